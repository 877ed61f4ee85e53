/** The library closes what it opened, and does not change what it did not open. */
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { Poller, Registrar } from "effect-amy"
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { breakSelector } from "../support/fault.ts"
import * as Kernel from "../support/kernel.ts"
import { layers, type PollerLayer, readyNow } from "../support/layers.ts"
import { open, outcome } from "../support/opened.ts"

const all: { readonly [name: string]: () => PollerLayer } = {
  ...layers,
  "layerBlocking on the main thread": () => Poller.layerBlocking({ allowMainThread: true })
}

/** Returns the descriptors that are open in a child process. */
const openInChild = (): ReadonlyArray<number> =>
  spawnSync("ls", ["/dev/fd/"], { encoding: "utf8" }).stdout.trim().split("\n").map(Number)

const closing = <A extends ReadonlyArray<number>>(make: () => A) =>
  Effect.acquireRelease(Effect.sync(make), (fds) => Effect.sync(() => fds.forEach(Kernel.close)))

for (const [name, layer] of Object.entries(all)) {
  describe(`promise 11: ownership (${name})`, () => {
    it.live("the blocking mode of a user's descriptor never changes", () =>
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

    it.live("a user's descriptor is never closed", () =>
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

    it.live("a user's descriptor is not closed if its number belonged to a registration, or to the library", () =>
      Effect.gen(function* () {
        const opened = yield* open(layer())
        const [gone] = [Kernel.source()]
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* opened.registrar.registerScoped(gone, "Read")
            Kernel.close(gone)
            // The same number names another file now.
            Kernel.dup2(0, gone)
          })
        )
        expect(Kernel.isOpen(gone)).toBe(true)
        const its = Kernel.openDescriptors()
        yield* opened.close
        expect(Kernel.isOpen(gone)).toBe(true)
        Kernel.close(gone)

        // Now the test has every number that the library had.
        const freed = [...its.keys()].filter((fd) => fd !== gone && !Kernel.isOpen(fd))
        expect(freed.length).toBeGreaterThanOrEqual(2)
        for (const fd of freed) Kernel.dup2(0, fd)
        const source = Kernel.source()
        yield* opened.close
        expect(yield* outcome(opened.poller.wait(0))).toBe("Closed")
        expect(yield* outcome(opened.poller.wait(1))).toBe("Closed")
        expect(yield* outcome(opened.registrar.register(source, "Read"))).toBe("Closed")
        expect(freed.map(Kernel.isOpen)).toEqual(freed.map(() => true))
        for (const fd of [...freed, source]) Kernel.close(fd)
      }).pipe(Effect.scoped)
    )

    it.live("a user's descriptor is not closed if a wait in the kernel fails", () =>
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

    it.live("every descriptor that the library opens is close-on-exec", () =>
      Effect.gen(function* () {
        const before = Kernel.openDescriptors()
        const inherited = Kernel.dup(0)
        const opened = yield* open(layer())
        const its = [...Kernel.openDescriptors().keys()].filter((fd) => !before.has(fd) && fd !== inherited)
        expect(its.length).toBeGreaterThanOrEqual(2)
        expect(its.filter((fd) => !Kernel.isCloseOnExec(fd))).toEqual([])
        // FreeBSD may list the standard streams only, and Linux without /proc lists nothing.
        if (existsSync(`/dev/fd/${inherited}`)) {
          const child = openInChild()
          expect(child).toContain(inherited)
          // The child itself opens a few descriptors, from 3 upwards.
          expect(its.filter((fd) => child.includes(fd))).toEqual([])
        }
        Kernel.close(inherited)
        yield* opened.close
      }).pipe(Effect.scoped)
    )
  })
}
