/** The entity: a counter with a name. Any process can call it, and it lives in one of them. */
import { Effect, Schema } from "effect"
import { Entity } from "effect/cluster"
import { Rpc } from "effect/rpc"

/** A count, and the process that holds it. */
const Answer = Schema.Struct({ count: Schema.Int, pid: Schema.Int })
export type Answer = typeof Answer.Type

export const Counter = Entity.make("Counter", [
  Rpc.make("where", { success: Answer }),
  Rpc.make("increment", { success: Answer }),
  // Increments another counter, which may live in another process.
  Rpc.make("pass", { payload: { to: Schema.String }, success: Answer })
])

/**
 * Keeps the counts in memory, so they are lost with their process. A count that has to survive
 * belongs in a database.
 */
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
