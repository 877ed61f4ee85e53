/**
 * Registering is one kernel call on the calling thread. Ids are unique in a poller. A registration
 * can change threads.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { Poller, Registrar } from "effect-amy"
import { execFileSync } from "node:child_process"
import { constants, mkdtempSync, rmSync } from "node:fs"
import { open } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { commands } from "../support/attachedThread.ts"
import * as Kernel from "../support/kernel.ts"
import { describeLayers, idsReadyNow, rowsHere } from "../support/layers.ts"
import { describeEveryLayer, wakesOf } from "../support/observe.ts"
import { startThread } from "../support/threads.ts"

const sources = (count: number): Array<number> => Array.from({ length: count }, Kernel.source)

/** Makes sources, which the scope closes after the poller. */
const scoped = (count: number) =>
  Effect.acquireRelease(
    Effect.sync(() => sources(count)),
    (fds) => Effect.sync(() => fds.forEach(Kernel.close))
  )

const ascending = (ids: ReadonlyArray<number>): Array<number> => ids.toSorted((a, b) => a - b)

describeEveryLayer("promise 1: registration is local", (layer) => {
  it.live("register, reregister and deregister return in the same step and do not wake the poller", () =>
    Effect.gen(function* () {
      const registrar = yield* Registrar.Registrar
      const { handle } = yield* Poller.Poller
      const fds = yield* scoped(500)
      yield* idsReadyNow
      const before = wakesOf(handle)
      for (const fd of fds) {
        // A synchronous run fails if the effect has to wait for anything.
        const id = Effect.runSync(registrar.register(fd, "Read"))
        Effect.runSync(registrar.reregister(fd, id, "Both"))
        Effect.runSync(registrar.deregister(fd))
      }
      expect(wakesOf(handle)).toBe(before)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("an effect that registers does so each time it runs", () =>
    Effect.gen(function* () {
      const [fd] = (yield* scoped(1)) as [number]
      const register = Registrar.register(fd, "Read")
      const deregister = Registrar.deregister(fd)
      const first = yield* register
      yield* deregister
      const second = yield* register
      expect(second).toBeGreaterThan(first)
      Kernel.signal(fd)
      expect(yield* idsReadyNow).toEqual([second])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describeLayers("promise 1: registering from another thread", (layer) => {
  it.live("a descriptor that is ready already is reported to the thread that registers it, without a wake-up", () =>
    Effect.gen(function* () {
      const { handle } = yield* Poller.Poller
      const fds = yield* scoped(50)
      fds.forEach(Kernel.signal)
      const thread = yield* startThread(handle)
      const before = wakesOf(handle)
      for (const fd of fds) {
        const id = yield* thread.call("register", fd, "Read")
        const reported = yield* thread.call("collect", [id])
        expect(reported.map((each) => [each.id, each.event])).toEqual([[id, "Read"]])
      }
      expect(wakesOf(handle)).toBe(before)
      expect((yield* thread.call("stats")).registrations).toBe(50)
      expect(yield* thread.call("wait", 0)).toEqual([])
      // The two waits of zero do wake the poller.
      expect(yield* idsReadyNow).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("reregister and deregister take effect at once, without a wake-up", () =>
    Effect.gen(function* () {
      const { handle } = yield* Poller.Poller
      const [fd] = (yield* scoped(1)) as [number]
      const thread = yield* startThread(handle)
      const id = yield* thread.call("register", fd, "Read")
      const before = wakesOf(handle)
      yield* thread.call("reregister", id, fd, "Write")
      expect((yield* thread.call("collect", [id])).map((each) => each.event)).toEqual(["Write"])
      yield* thread.call("deregister", fd)
      expect(wakesOf(handle)).toBe(before)
      Kernel.signal(fd)
      expect(yield* thread.call("wait", 0)).toEqual([])
      expect((yield* thread.call("stats")).registrations).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a refused registration fails with its reason in that thread", () =>
    Effect.gen(function* () {
      const { handle } = yield* Poller.Poller
      const [fd] = (yield* scoped(1)) as [number]
      const thread = yield* startThread(handle)
      yield* Registrar.register(fd, "Read")
      const failures = yield* Effect.all([
        Effect.flip(thread.call("register", fd, "Read")),
        Effect.flip(thread.call("register", -1, "Read")),
        Effect.flip(thread.call("reregister", 77, fd, "Read"))
      ])
      expect(failures.map((each) => each.failure)).toEqual(["AlreadyRegistered", "BadDescriptor", "NotRegistered"])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describeEveryLayer("promise 2: ids", (layer) => {
  it.live("a user's first id is 1, and ids rise and are never reused", () =>
    Effect.gen(function* () {
      const fds = yield* scoped(20)
      const ids = yield* commands.churn(fds, 50)
      expect(ids[0]).toBe(1)
      expect(ids).toEqual(Array.from({ length: 20 * 51 }, (_, index) => index + 1))
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("the ids still rise after a refused registration", () =>
    Effect.gen(function* () {
      const fds = yield* scoped(2)
      const first = yield* Registrar.register(fds[0]!, "Read")
      expect(Exit.isFailure(yield* Effect.exit(Registrar.register(fds[0]!, "Read")))).toBe(true)
      expect(Exit.isFailure(yield* Effect.exit(Registrar.register(-1, "Read")))).toBe(true)
      const second = yield* Registrar.register(fds[1]!, "Read")
      expect(second).toBeGreaterThan(first)
      fds.forEach(Kernel.signal)
      expect(yield* idsReadyNow).toEqual([first, second])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describe("promise 2: ids over all threads", () => {
  for (const [name, layer] of Object.entries(
    rowsHere({
      layerWorker: Poller.layerWorker(),
      layerEventLoop: Poller.layerEventLoop()
    })
  )) {
    it.live(
      `four threads register at once: ids are unique, rise in each thread, and each gets its own notifications (${name})`,
      () =>
        Effect.gen(function* () {
          const { handle, stats } = yield* Poller.Poller
          const threads = yield* Effect.all([startThread(handle), startThread(handle), startThread(handle)], {
            concurrency: "unbounded"
          })
          const owned: ReadonlyArray<Array<number>> = [
            yield* scoped(20),
            yield* scoped(20),
            yield* scoped(20),
            yield* scoped(20)
          ]
          const rounds = 100
          const all = yield* Effect.all(
            [
              ...threads.map((thread, index) => thread.call("churn", owned[index]!, rounds)),
              // This thread is the fourth. It begins a turn later, when the messages to the others
              // are on their way.
              Effect.andThen(
                Effect.promise(() => new Promise(setImmediate)),
                commands.churn(owned[3]!, rounds)
              )
            ],
            { concurrency: "unbounded" }
          )
          for (const ids of all) expect(ids).toEqual(ascending(ids))
          const flat = all.flat()
          expect(flat.length).toBe(4 * 20 * (rounds + 1))
          expect(new Set(flat).size).toBe(flat.length)
          expect(Math.min(...flat)).toBe(1)
          expect(flat.every(Number.isSafeInteger)).toBe(true)
          expect((yield* stats).registrations).toBe(80)

          owned.flat().forEach(Kernel.signal)
          const last = all.map((ids) => ids.slice(-20))
          for (const [index, thread] of threads.entries()) {
            const reported = yield* thread.call("wait", 0)
            expect(ascending(reported.map(({ id }) => id))).toEqual(last[index])
          }
          expect(yield* idsReadyNow).toEqual(last[3])
        }).pipe(Effect.scoped, Effect.provide(layer))
    )
  }
})

describeLayers("handing a registration over to another thread", (layer) => {
  it.live("reregister moves the notifications to the thread that calls it, and back", () =>
    Effect.gen(function* () {
      const { handle } = yield* Poller.Poller
      const [fd] = (yield* scoped(1)) as [number]
      const thread = yield* startThread(handle)
      const id = yield* Registrar.register(fd, "Read")
      Kernel.signal(fd)
      expect(yield* idsReadyNow).toEqual([id])

      // A descriptor is a number, so it can be posted.
      yield* thread.call("reregister", id, fd, "Read")
      expect((yield* thread.call("collect", [id])).length).toBe(1)
      Kernel.signal(fd)
      expect((yield* thread.call("collect", [id])).length).toBe(1)
      expect(yield* idsReadyNow).toEqual([])

      yield* Registrar.reregister(fd, id, "Read")
      expect(yield* idsReadyNow).toEqual([id])
      Kernel.signal(fd)
      expect(yield* idsReadyNow).toEqual([id])
      expect(yield* thread.call("wait", 0)).toEqual([])
      yield* Registrar.deregister(fd)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("no edge is lost or goes to the wrong thread in a hundred changes of the thread", () =>
    Effect.gen(function* () {
      const { handle } = yield* Poller.Poller
      const [fd] = (yield* scoped(1)) as [number]
      const threads = yield* Effect.all([startThread(handle), startThread(handle)])
      const id = yield* threads[0].call("register", fd, "Read", { mode: "oneshot" })
      for (let round = 0; round < 100; round++) {
        Kernel.signal(fd)
        const owner = threads[round % 2]!
        const reported = yield* owner.call("collect", [id])
        expect(reported.length).toBe(1)
        Kernel.drain(fd)
        yield* threads[(round + 1) % 2]!.call("reregister", id, fd, "Read", { mode: "oneshot" })
      }
      for (const thread of threads) expect(yield* thread.call("wait", 0)).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("any thread can deregister", () =>
    Effect.gen(function* () {
      const { handle, stats } = yield* Poller.Poller
      const [fd] = (yield* scoped(1)) as [number]
      const thread = yield* startThread(handle)
      yield* Registrar.register(fd, "Read")
      yield* thread.call("deregister", fd)
      Kernel.signal(fd)
      expect(yield* idsReadyNow).toEqual([])
      // The number can be registered here again, and counts once.
      const again = yield* Registrar.register(fd, "Read")
      expect(yield* idsReadyNow).toEqual([again])
      expect((yield* stats).registrations).toBe(1)
      yield* Registrar.deregister(fd)
      expect((yield* stats).registrations).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describeLayers("objects that have a descriptor", (layer) => {
  it.live("each operation takes an object with a number fd", () =>
    Effect.gen(function* () {
      const [fd] = (yield* scoped(1)) as [number]
      const id = yield* Registrar.register({ fd }, "Read")
      Kernel.signal(fd)
      expect(yield* idsReadyNow).toEqual([id])
      yield* Registrar.reregister({ fd }, id, "Read")
      expect(yield* idsReadyNow).toEqual([id])
      yield* Registrar.deregister({ fd })
      Kernel.signal(fd)
      expect(yield* idsReadyNow).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a FileHandle of Node works", () =>
    Effect.gen(function* () {
      const directory = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "registration-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true }))
      )
      const path = join(directory, "fifo")
      execFileSync("mkfifo", [path])
      const file = yield* Effect.acquireRelease(
        Effect.promise(() => open(path, constants.O_RDWR | constants.O_NONBLOCK)),
        (file) => Effect.promise(() => file.close())
      )
      const id = yield* Registrar.registerScoped(file, "Read")
      expect(yield* idsReadyNow).toEqual([])
      Kernel.write(file.fd, 3)
      expect(yield* idsReadyNow).toEqual([id])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describe("waiting for all that is ready, from several threads", () => {
  for (const [name, layer] of Object.entries(
    rowsHere({
      layerWorker: Poller.layerWorker(),
      layerEventLoop: Poller.layerEventLoop()
    })
  )) {
    it.live(`each of many simultaneous waits of zero returns (${name})`, () =>
      Effect.gen(function* () {
        const { handle } = yield* Poller.Poller
        const threads = yield* Effect.all([startThread(handle), startThread(handle)], { concurrency: "unbounded" })
        for (let round = 0; round < 300; round++) {
          const answers = yield* Effect.all([...threads.map((thread) => thread.call("wait", 0)), idsReadyNow], {
            concurrency: "unbounded"
          })
          expect(answers).toEqual([[], [], []])
        }
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
  }
})
