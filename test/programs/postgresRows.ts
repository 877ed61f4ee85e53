/**
 * Reads a result of 100 MB row by row: `postgresRows.ts PORT`. Prints its length, and by how many
 * bytes the peak of memory has grown meanwhile.
 */
import { Effect, Stream } from "effect"
import { Poller } from "effect-amy"
import { connect, query } from "../../examples/postgres/postgres.ts"

const length = (connection: Parameters<typeof query>[0], rows: number) =>
  Stream.runFold(
    query(connection, `select repeat('x', 1000) from generate_series(1, ${rows})`),
    () => 0,
    (sum, [row]) => sum + row!.length
  )

const program = Effect.gen(function* () {
  const connection = yield* connect(`host=127.0.0.1 port=${process.argv[2]} user=postgres`)
  yield* length(connection, 10_000)
  const before = process.resourceUsage().maxRSS
  const read = yield* length(connection, 100_000)
  console.log(JSON.stringify({ read, grown: (process.resourceUsage().maxRSS - before) * 1024 }))
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop())))
