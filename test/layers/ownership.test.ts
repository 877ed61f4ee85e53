/** What the library opens is its own and nobody else's; what it did not open it leaves as it was. */
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { Poller, Registrar } from "effect-amy"
import { spawnSync } from "node:child_process"
import { breakSelector } from "../support/fault.ts"
import * as Kernel from "../support/kernel.ts"
import { layers, type PollerLayer, readyNow } from "../support/layers.ts"
import { open, outcome } from "../support/opened.ts"

const all: { readonly [name: string]: () => PollerLayer } = {
  ...layers,
  "layerBlocking on the main thread": () => Poller.layerBlocking({ allowMainThread: true })
}

/** The numbers that a child process finds open, as it sees them itself. */
const openInChild = (): ReadonlyArray<number> =>
  spawnSync("ls", ["/proc/self/fd"], { encoding: "utf8" }).stdout.trim().split("\n").map(Number)

const closing = <A extends ReadonlyArray<number>>(make: () => A) =>
  Effect.acquireRelease(Effect.sync(make), (fds) => Effect.sync(() => fds.forEach(Kernel.close)))

for (const [name, layer] of Object.entries(all)) {
  describe(`promise 11: ownership (${name})`, () => {
    it.live("never changes the blocking mode of a descriptor that it did not open", () =>
      Effect.gen(function* () {
        const [blocking, writer] = yield* closing(Kernel.blockingPipe)
        const [nonblocking] = yield* closing(Kernel.pipe)
        const modes = () => [blocking, writer, nonblocking].map(Kernel.isNonblocking)
        const before = [false, false, true]
        expect(modes()).toEqual(before)
        yield* Effect.gen(function* () {
          const id = yield* Registrar.register(blocking, "Read")
          const other = yield* Registrar.register(writer, "Write")
          yield* Registrar.register(nonblocking, "Read")
          expect(modes()).toEqual(before)
          Kernel.write(writer)
          expect((yield* readyNow).map((one) => one.id).toSorted()).toEqual([id, other])
          yield* Registrar.reregister(blocking, id, "Both", { mode: "oneshot" })
          expect((yield* readyNow).map((one) => one.id)).toEqual([id])
          expect(modes()).toEqual(before)
          yield* Registrar.deregister(blocking)
          expect(modes()).toEqual(before)
        }).pipe(Effect.provide(layer()))
        expect(modes()).toEqual(before)
      }).pipe(Effect.scoped)
    )

    it.live("never closes a descriptor that it did not open", () =>
      Effect.gen(function* () {
        const [read, write] = yield* closing(Kernel.pipe)
        const [deregistered, scoped] = yield* closing(Kernel.socketPair)
        const mine = [read, write, deregistered, scoped]
        const opened = yield* open(layer())
        yield* opened.registrar.register(read, "Read")
        yield* opened.registrar.register(write, "Write")
        yield* opened.registrar.register(deregistered, "Both")
        yield* opened.registrar.deregister(deregistered)
        yield* Effect.scoped(opened.registrar.registerScoped(scoped, "Both"))
        expect(yield* outcome(opened.registrar.register(read, "Read"))).toBe("AlreadyRegistered")
        expect(mine.map(Kernel.isOpen)).toEqual([true, true, true, true])
        yield* opened.close
        expect(mine.map(Kernel.isOpen)).toEqual([true, true, true, true])
      }).pipe(Effect.scoped)
    )

    it.live("not when its number belonged to a registration before, nor when it belonged to the library", () =>
      Effect.gen(function* () {
        const opened = yield* open(layer())
        const [gone] = [Kernel.eventfd()]
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* opened.registrar.registerScoped(gone, "Read")
            Kernel.close(gone)
            // The same number, meaning something else by now.
            Kernel.dup2(0, gone)
          })
        )
        expect(Kernel.isOpen(gone)).toBe(true)
        const its = Kernel.openDescriptors()
        yield* opened.close
        expect(Kernel.isOpen(gone)).toBe(true)
        Kernel.close(gone)

        // Every number that it had is now the test's.
        const freed = [...its.keys()].filter((fd) => fd !== gone && !Kernel.isOpen(fd))
        expect(freed.length).toBeGreaterThanOrEqual(2)
        for (const fd of freed) Kernel.dup2(0, fd)
        const eventfd = Kernel.eventfd()
        yield* opened.close
        expect(yield* outcome(opened.poller.wait(0))).toBe("Closed")
        expect(yield* outcome(opened.poller.wait(1))).toBe("Closed")
        expect(yield* outcome(opened.registrar.register(eventfd, "Read"))).toBe("Closed")
        expect(freed.map(Kernel.isOpen)).toEqual(freed.map(() => true))
        for (const fd of [...freed, eventfd]) Kernel.close(fd)
      }).pipe(Effect.scoped)
    )

    it.live("not when whoever waits in the kernel dies", () =>
      Effect.gen(function* () {
        const [read, write] = yield* closing(Kernel.pipe)
        const opened = yield* open(layer())
        yield* opened.registrar.register(read, "Read")
        yield* breakSelector(opened.poller.handle)
        expect(yield* outcome(opened.poller.wait(Duration.infinity))).toBe("WorkerFailed")
        yield* opened.close
        expect([read, write].map(Kernel.isOpen)).toEqual([true, true])
      }).pipe(Effect.scoped)
    )

    it.live("everything that it opens is close-on-exec", () =>
      Effect.gen(function* () {
        const before = Kernel.openDescriptors()
        const inherited = Kernel.dup(0)
        const opened = yield* open(layer())
        const its = [...Kernel.openDescriptors().keys()].filter((fd) => !before.has(fd) && fd !== inherited)
        expect(its.length).toBeGreaterThanOrEqual(2)
        expect(its.filter((fd) => !Kernel.isCloseOnExec(fd))).toEqual([])
        const child = openInChild()
        expect(child).toContain(inherited)
        // The child's own numbers are those that it opens from 3 upwards, and it has few.
        expect(its.filter((fd) => child.includes(fd))).toEqual([])
        Kernel.close(inherited)
        yield* opened.close
      }).pipe(Effect.scoped)
    )
  })
}
