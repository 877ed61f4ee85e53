/**
 * Our side of B2 and B3: `b2.ts worker|event-loop`. One fiber writes to an eventfd, and takes its
 * notification from `Poller.queue`.
 */
import { Effect, Queue } from "effect"
import { Poller, Registrar } from "effect-amy"
import * as Kernel from "../../test/support/kernel.ts"
import { layerOf } from "../support/layers.ts"
import * as Meter from "../support/meter.ts"

const program = Effect.gen(function* () {
  const fd = yield* Effect.acquireRelease(Effect.sync(Kernel.eventfd), (fd) => Effect.sync(() => Kernel.close(fd)))
  const queue = yield* Poller.queue
  const expected = yield* Registrar.register(fd, "Read")
  const take = Queue.take(queue)
  const meter = Meter.start()
  for (;;) {
    Kernel.signal(fd)
    const { id } = yield* take
    if (id !== expected) return yield* Effect.die(new Error(`${id} was reported`))
    const elapsed = meter.add(1)
    if (elapsed !== undefined) return Meter.report({ micros: (elapsed * 1e3) / meter.done })
  }
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(layerOf(process.argv[2]))))
