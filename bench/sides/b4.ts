/**
 * Our side of B4: `b4.ts bare|effects`. The main thread makes pairs of calls, while the polling
 * thread is blocked in the same epoll instance.
 */
import { Effect } from "effect"
import { Poller, Registrar } from "effect-amy"
import { libc } from "../../src/internal/libc/koffi.ts"
import * as Epoll from "../../src/internal/kernel/openSelector.ts"
import { Interest } from "../../src/internal/kernel/selector.ts"
import * as Kernel from "../../test/support/kernel.ts"
import * as Meter from "../support/meter.ts"
import { contentsOf } from "../../src/internal/layers/pollerHandle.ts"

const pairs = 1000

const bare = (poller: Poller.Poller["Service"], fd: number) =>
  Effect.sync(() => {
    const selector = Epoll.attach(libc(), contentsOf(poller.handle).selector)
    const meter = Meter.start()
    for (;;) {
      for (let id = 1; id <= pairs; id++) {
        if (selector.add(fd, Interest.Read, 1, id) !== 0) throw new Error("add")
        if (selector.remove(fd) !== 0) throw new Error("remove")
      }
      const elapsed = meter.add(pairs)
      if (elapsed === undefined) continue
      selector.close()
      return (elapsed * 1e3) / meter.done
    }
  })

const effects = (registrar: Registrar.Registrar["Service"], fd: number) =>
  Effect.gen(function* () {
    const meter = Meter.start()
    for (;;) {
      for (let pair = 1; pair <= pairs; pair++) {
        yield* registrar.register(fd, "Read")
        yield* registrar.deregister(fd)
      }
      const elapsed = meter.add(pairs)
      if (elapsed !== undefined) return (elapsed * 1e3) / meter.done
    }
  })

const program = Effect.gen(function* () {
  const fd = yield* Effect.acquireRelease(Effect.sync(Kernel.eventfd), (fd) => Effect.sync(() => Kernel.close(fd)))
  const poller = yield* Poller.Poller
  const registrar = yield* Registrar.Registrar
  const micros = yield* process.argv[2] === "bare" ? bare(poller, fd) : effects(registrar, fd)
  Meter.report({ micros })
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerWorker())))
