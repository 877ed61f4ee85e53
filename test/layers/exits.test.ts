/** A thread that is blocked in the kernel never keeps a process, or another thread, from ending. */
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { Poller } from "effect-amy"
import { aioContexts, describeAio, hasUring, setFor } from "../support/batch.ts"
import * as Kernel from "../support/kernel.ts"
import { allFailed, open, operationsNow, startConsumers } from "../support/opened.ts"
import { type ConsumerData, runProgram, startConsumer, startThread } from "../support/programs.ts"

interface Expected {
  readonly scenario: string
  readonly code: number
  readonly signal?: NodeJS.Signals
  /** The lines after "ready". Without finalizers there are none. */
  readonly output?: ReadonlyArray<string>
  /** A part of standard error, which must be empty if this is missing. */
  readonly error?: string
}

const released = ["finalized", "closed"]

/** The scenarios that end in the same way on every layer. */
const alike: ReadonlyArray<Expected> = [
  { scenario: "process.exit from outside", code: 7 },
  { scenario: "process.exit in a fiber", code: 7 },
  { scenario: "process.exit in an exit listener", code: 8 },
  { scenario: "an uncaught exception", code: 1, error: "uncaught on purpose" },
  { scenario: "an unhandled rejection", code: 1, error: "unhandled on purpose" },
  // After a signal, `runMain` interrupts the program, waits for its finalizers, and exits with 130.
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
    it.live(`process.exit ends it (${layer})`, () =>
      Effect.gen(function* () {
        expect(yield* runProgram("busy", [layer, "process.exit"])).toMatchObject({ code: 7, signal: null, errors: "" })
      })
    )

    it.live(`worker.terminate ends it (${layer})`, () =>
      Effect.gen(function* () {
        const ended = yield* runProgram("busy", [layer, "worker.terminate"])
        expect(ended).toMatchObject({ code: 0, signal: null, errors: "", output: ["ready", "terminated"] })
      })
    )
  }
})

// A call of koffi in a thread that is being terminated could abort the process.
describe.concurrent("promise 9: a thread may be terminated at any point", () => {
  for (const layer of ["layerWorker", "layerEventLoop", "layerBlocking", "layerAttach"]) {
    it.live(`threads that use everything end (${layer})`, () =>
      Effect.gen(function* () {
        const ended = yield* runProgram("everything", [layer])
        expect(ended).toMatchObject({ code: 0, signal: null, errors: "", output: ["ready"] })
      })
    )
  }

  it.live("the exit of the process waits for a thread that loads native code", () =>
    Effect.gen(function* () {
      const ended = yield* runProgram("loading", [])
      expect(ended).toMatchObject({ code: 7, signal: null, errors: "", output: ["ready", "loaded"] })
    })
  )
})

describe("promise 9: worker.terminate() of an attached thread", () => {
  it.live("the poller still works for the others, and reclaims the place and the descriptors when it needs them", () =>
    Effect.gen(function* () {
      const before = { descriptors: Kernel.openDescriptors(), threads: Kernel.threadCount() }
      const main = yield* open(Poller.layerWorker({ maxThreads: 2 }))
      const own = Kernel.source()
      const id = yield* main.registrar.register(own, "Read")
      const withoutAttached = Kernel.openDescriptors()

      for (let round = 0; round < 3; round++) {
        const thread = yield* startConsumer({ layer: "attached", handle: main.poller.handle })
        Kernel.signal(thread.fd)
        expect(yield* thread.next).toEqual({ _tag: "notified", ids: [thread.id] })
        yield* Effect.promise(() => thread.worker.terminate())
        // Its registration still exists, but nothing takes its notifications.
        Kernel.signal(thread.fd)
        Kernel.signal(own)
        expect((yield* main.poller.wait(Duration.infinity)).map((one) => one.id)).toEqual([id])
        // The thread could not close it any more.
        Kernel.close(thread.fd)
      }

      // Attaching reuses the only place beside the owner's, and closes the descriptors of the
      // thread that had it.
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

  it.live("closing the poller closes the thread's descriptors, too", () =>
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

  it.live.skipIf(!hasUring)("closing the poller closes the thread's io_uring, too", () =>
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

  it.live("closing the poller closes the descriptors of a thread that is still about to end", () =>
    Effect.gen(function* () {
      const before = Kernel.openDescriptors()
      const main = yield* open(Poller.layerEventLoop())
      const thread = yield* startConsumer({ layer: "attached", handle: main.poller.handle })
      // A blocked thread cannot close its descriptors by itself.
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

describeAio("contexts of Linux AIO, which belong to the process", () => {
  setFor("UV_USE_IO_URING", "0")

  it.live("a thread uses the context of a terminated one, and the main thread keeps one at most", () =>
    Effect.gen(function* () {
      const before = Math.max(aioContexts(), 1)
      for (let round = 0; round < 2; round++) {
        const main = yield* open(Poller.layerWorker({ maxThreads: 2 }))
        for (let thread = 0; thread < 2; thread++) {
          const attached = yield* startThread<ReadonlyArray<number>>("ringThread", main.poller.handle)
          const connections = yield* attached.next
          yield* Effect.promise(() => attached.worker.terminate())
          connections.forEach(Kernel.close)
          expect(aioContexts()).toBeLessThanOrEqual(before + 1)
        }
        const attached = yield* startThread<ReadonlyArray<number>>("ringThread", main.poller.handle)
        yield* attached.next
        attached.worker.postMessage("close")
        yield* attached.exited
        yield* main.close
        expect(aioContexts()).toBeLessThanOrEqual(before)
      }
    })
  )

  it.live("a thread that closes its own poller destroys its context", () =>
    Effect.gen(function* () {
      const before = aioContexts()
      const owner = yield* startThread<ReadonlyArray<number>>("ringThread", undefined)
      yield* owner.next
      expect(aioContexts()).toBe(before + 1)
      owner.worker.postMessage("close")
      yield* owner.exited
      expect(aioContexts()).toBe(before)
    })
  )

  it.live("the last thread to leave the poller of a terminated thread takes its context", () =>
    Effect.gen(function* () {
      const before = aioContexts()
      const owner = yield* startConsumer({ layer: "eventLoop" })
      const attached = yield* startThread<ReadonlyArray<number>>("ringThread", owner.handle)
      yield* attached.next
      expect(aioContexts()).toBe(before + 1)
      yield* Effect.promise(() => owner.worker.terminate())
      Kernel.close(owner.fd)
      attached.worker.postMessage("close")
      yield* attached.exited
      expect(aioContexts()).toBe(before)
    })
  )
})

describe("promise 9: worker.terminate() of the thread that owns the poller", () => {
  for (const layer of ["worker", "eventLoop", "blocking"] as const satisfies ReadonlyArray<ConsumerData["layer"]>) {
    it.live(`the consumers of the attached threads fail with WorkerFailed (${layer})`, (test) =>
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
        yield* Effect.promise(() => test.annotate(`terminated after ${times[0]} ms, notified ${times[1]} ms later`))
        expect(yield* operationsNow(attached)).toEqual(allFailed)
        yield* attached.close
      })
    )
  }
})

describe("promise 8: a thread that exits with its poller open ends it for the attached threads", () => {
  for (const layer of ["worker", "eventLoop", "blocking"] as const satisfies ReadonlyArray<ConsumerData["layer"]>) {
    it.live(`process.exit in that thread (${layer})`, () =>
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

describe("promise 11: the exit of the process touches no descriptor that reused a number of the library", () => {
  it.live("after the owner has closed the poller that the main thread is attached to", () =>
    Effect.gen(function* () {
      const ended = yield* runProgram("lateExit", [])
      expect(ended).toMatchObject({ code: 0, signal: null, errors: "", output: ["ready", "untouched"] })
    })
  )
})
