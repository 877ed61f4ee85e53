/** The entity: a counter that anybody can ask for by its name, and that lives in whichever process it happens to be. */
import { Effect, Schema } from "effect"
import { Entity } from "effect/cluster"
import { Rpc } from "effect/rpc"

/** A count, and the process that keeps it. */
const Answer = Schema.Struct({ count: Schema.Int, pid: Schema.Int })
export type Answer = typeof Answer.Type

export const Counter = Entity.make("Counter", [
  Rpc.make("where", { success: Answer }),
  Rpc.make("increment", { success: Answer }),
  // Has another counter incremented: that one may live in another process.
  Rpc.make("pass", { payload: { to: Schema.String }, success: Answer })
])

/** The counts are in memory: they die with their process. One that has to survive belongs in a database. */
export const layer = Counter.toLayer(
  Effect.gen(function* () {
    const counters = yield* Counter.client
    let count = 0
    const where = () => Effect.sync(() => ({ count, pid: process.pid }))
    return Counter.of({
      where,
      increment: () =>
        Effect.suspend(() => {
          count++
          return where()
        }),
      pass: ({ payload }) => Effect.orDie(counters(payload.to).increment())
    })
  })
)
