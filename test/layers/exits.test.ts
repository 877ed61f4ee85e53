/** A thread that is blocked in the kernel must never keep a process, or another thread, from ending. */
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { Poller } from "effect-amy"
import { hasUring } from "../support/batch.ts"
import * as Kernel from "../support/kernel.ts"
import { allFailed, open, operationsNow, startConsumers } from "../support/opened.ts"
import { type ConsumerData, runProgram, startConsumer, startThread } from "../support/programs.ts"

interface Expected {
  readonly scenario: string
  readonly code: number
  readonly signal?: NodeJS.Signals
  /** Lines after "ready"; none where finalizers are skipped. */
  readonly output?: ReadonlyArray<string>
  /** What standard error names; nothing else may be on it. */
  readonly error?: string
}

const released = ["finalized", "closed"]

/** What ends the same way on every layer. */
const alike: ReadonlyArray<Expected> = [
  { scenario: "process.exit from outside", code: 7 },
  { scenario: "process.exit in a fiber", code: 7 },
  { scenario: "process.exit in an exit listener", code: 8 },
  { scenario: "an uncaught exception", code: 1, error: "uncaught on purpose" },
  { scenario: "an unhandled rejection", code: 1, error: "unhandled on purpose" },
  // After a signal, runMain interrupts the program, waits for its finalizers, and exits with 130.
  { scenario: "runMain", signal: "SIGINT", code: 130, output: released },
  { scenario: "runMain", signal: "SIGTERM", code: 130, output: released },
  { scenario: "the natural end", code: 0 },
  { scenario: "the natural end under runMain", code: 0 },
  { scenario: "a failure under runMain", code: 3 }
]

const threads: ReadonlyArray<Expected> = [
  { scenario: "process.exit while a thread is attached", code: 7 },
  { scenario: "process.exit beside a thread with layerWorker", code: 7 },
  { scenario: "process.exit beside a thread with layerEventLoop", code: 7 },
  { scenario: "process.exit beside a thread in layerBlocking", code: 7 },
  { scenario: "process.exit attached to a thread with layerWorker", code: 7 },
  { scenario: "process.exit attached to a thread in layerBlocking", code: 7 }
]

const ends = ({ code, error, output, scenario, signal }: Expected, layer?: string) =>
  it.live(signal === undefined ? scenario : `${signal} under ${scenario}`, (test) =>
    Effect.gen(function* () {
      const ended = yield* runProgram(scenarioFile, layer === undefined ? [scenario] : [scenario, layer], signal)
      yield* Effect.promise(() => test.annotate(`ended ${Math.round(ended.millis)} ms after it was ready`))
      expect(ended).toMatchObject({ code, signal: null })
      expect(ended.output).toEqual(["ready", ...(output ?? [])])
      if (error === undefined) expect(ended.errors).toBe("")
      else expect(ended.errors).toContain(error)
    })
  )

const scenarioFile = "exits"

for (const layer of ["layerWorker", "layerEventLoop", "layerBlocking"]) {
  describe.concurrent(`promise 9: the process can always exit (${layer} on the main thread)`, () => {
    for (const expected of alike) ends(expected, layer)
  })
}

describe.concurrent("promise 9: the process can always exit (with threads)", () => {
  for (const expected of threads) ends(expected)
})

describe.concurrent("promise 9: a thread may be ended while it is busy", () => {
  for (const layer of ["layerWorker", "layerEventLoop", "layerBlocking"]) {
    it.live(`by process.exit (${layer})`, () =>
      Effect.gen(function* () {
        expect(yield* runProgram("busy", [layer, "process.exit"])).toMatchObject({ code: 7, signal: null, errors: "" })
      })
    )

    it.live(`by worker.terminate (${layer})`, () =>
      Effect.gen(function* () {
        const ended = yield* runProgram("busy", [layer, "worker.terminate"])
        expect(ended).toMatchObject({ code: 0, signal: null, errors: "", output: ["ready", "terminated"] })
      })
    )
  }
})

// What koffi does in a thread that is being ended may abort the process.
describe.concurrent("promise 9: a thread may be ended in the midst of anything", () => {
  for (const layer of ["layerWorker", "layerEventLoop", "layerBlocking", "layerAttach"]) {
    it.live(`that it does on ${layer}`, () =>
      Effect.gen(function* () {
        const ended = yield* runProgram("everything", [layer])
        expect(ended).toMatchObject({ code: 0, signal: null, errors: "", output: ["ready"] })
      })
    )
  }

  it.live("but for loading native code, for which the exit of the process waits", () =>
    Effect.gen(function* () {
      const ended = yield* runProgram("loading", [])
      expect(ended).toMatchObject({ code: 7, signal: null, errors: "", output: ["ready", "loaded"] })
    })
  )
})

describe("promise 9: worker.terminate() of an attached thread", () => {
  it.live("leaves the poller working for the others, and its place and descriptors are taken back when needed", () =>
    Effect.gen(function* () {
      const before = { descriptors: Kernel.openDescriptors(), threads: Kernel.threadCount() }
      const main = yield* open(Poller.layerWorker({ maxThreads: 2 }))
      const own = Kernel.eventfd()
      const id = yield* main.registrar.register(own, "Read")
      const withoutAttached = Kernel.openDescriptors()

      for (let round = 0; round < 3; round++) {
        const thread = yield* startConsumer({ layer: "attached", handle: main.poller.handle })
        Kernel.signal(thread.fd)
        expect(yield* thread.next).toEqual({ _tag: "notified", ids: [thread.id] })
        yield* Effect.promise(() => thread.worker.terminate())
        // Its registration is still there, and nobody takes what it reports.
        Kernel.signal(thread.fd)
        Kernel.signal(own)
        expect((yield* main.poller.wait(Duration.infinity)).map((one) => one.id)).toEqual([id])
        // The thread could not do it any more.
        Kernel.close(thread.fd)
      }

      // The one place beside the owner's can be had again, and with it go the descriptors of the thread that had it.
      const next = yield* open(Poller.layerAttach(main.poller.handle))
      expect(Kernel.openDescriptors().size).toBe(withoutAttached.size + 2)
      yield* next.close
      expect(Kernel.openDescriptors()).toEqual(withoutAttached)

      yield* main.close
      Kernel.close(own)
      expect(Kernel.openDescriptors()).toEqual(before.descriptors)
      expect(Kernel.threadCount()).toBe(before.threads)
    })
  )

  it.live("its descriptors are taken back by the closing of the poller, too", () =>
    Effect.gen(function* () {
      const before = Kernel.openDescriptors()
      const main = yield* open(Poller.layerWorker())
      const thread = yield* startConsumer({ layer: "attached", handle: main.poller.handle })
      yield* Effect.promise(() => thread.worker.terminate())
      Kernel.close(thread.fd)
      yield* main.close
      expect(Kernel.openDescriptors()).toEqual(before)
    })
  )

  it.live.skipIf(!hasUring)("also that of io_uring, which it opens when it has use for it", () =>
    Effect.gen(function* () {
      const before = Kernel.openDescriptors()
      const main = yield* open(Poller.layerWorker())
      const thread = yield* startThread<ReadonlyArray<number>>("ringThread", main.poller.handle)
      const connections = yield* thread.next
      yield* Effect.promise(() => thread.worker.terminate())
      connections.forEach(Kernel.close)
      yield* main.close
      expect(Kernel.openDescriptors()).toEqual(before)
    })
  )

  it.live("and so they are from one that has not ended yet when the poller closes", () =>
    Effect.gen(function* () {
      const before = Kernel.openDescriptors()
      const main = yield* open(Poller.layerEventLoop())
      const thread = yield* startConsumer({ layer: "attached", handle: main.poller.handle })
      // So that it cannot let go of them by itself when it hears of the end.
      thread.worker.postMessage("block")
      expect(yield* thread.next).toEqual({ _tag: "blocked" })
      yield* main.close
      const terminated = thread.worker.terminate()
      yield* Effect.promise(() => terminated)
      Kernel.close(thread.fd)
      yield* Effect.repeat(Effect.sleep(50), { until: () => Kernel.openDescriptors().size <= before.size })
      expect(Kernel.openDescriptors()).toEqual(before)
    })
  )
})

describe("promise 9: worker.terminate() of the thread that owns the poller", () => {
  for (const layer of ["worker", "eventLoop", "blocking"] as const satisfies ReadonlyArray<ConsumerData["layer"]>) {
    it.live(`fails the consumers of the attached threads with WorkerFailed (${layer})`, (test) =>
      Effect.gen(function* () {
        const owner = yield* startConsumer({ layer })
        const attached = yield* open(Poller.layerAttach(owner.handle))
        const consumers = yield* startConsumers(attached)
        const start = performance.now()
        yield* Effect.promise(() => owner.worker.terminate())
        const terminated = performance.now()
        expect(yield* consumers).toEqual({
          waitForEver: "WorkerFailed",
          waitAnHour: "WorkerFailed",
          take: "WorkerFailed",
          stream: "WorkerFailed"
        })
        const times = [terminated - start, performance.now() - terminated].map(Math.round)
        yield* Effect.promise(() => test.annotate(`terminated after ${times[0]} ms, told ${times[1]} ms later`))
        expect(yield* operationsNow(attached)).toEqual(allFailed)
        yield* attached.close
      })
    )
  }
})

describe("promise 8: a thread that exits with its poller open ends it for those who are attached", () => {
  for (const layer of ["worker", "eventLoop", "blocking"] as const satisfies ReadonlyArray<ConsumerData["layer"]>) {
    it.live(`by process.exit in that thread (${layer})`, () =>
      Effect.gen(function* () {
        const owner = yield* startConsumer({ layer })
        const attached = yield* open(Poller.layerAttach(owner.handle))
        const consumers = yield* startConsumers(attached)
        owner.worker.postMessage("exit")
        expect(yield* consumers).toEqual({
          waitForEver: "Closed",
          waitAnHour: "Closed",
          take: "Done",
          stream: "success"
        })
        yield* attached.close
      })
    )
  }
})

describe("promise 11: the exit of the process touches no descriptor that took the number of one of the library's", () => {
  it.live("after the poller that the main thread is attached to was closed by its owner", () =>
    Effect.gen(function* () {
      const ended = yield* runProgram("lateExit", [])
      expect(ended).toMatchObject({ code: 0, signal: null, errors: "", output: ["ready", "untouched"] })
    })
  )
})
