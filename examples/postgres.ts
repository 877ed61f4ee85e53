/**
 * PostgreSQL through libpq, which knows nothing of Node: `npm run example examples/postgres.ts`.
 *
 * It needs libpq (Debian: libpq5), and a server, which the environment names as for psql: PGHOST,
 * PGPORT, PGUSER, PGDATABASE, PGPASSWORD. It creates nothing there.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Queue, Schedule, Stream } from "effect"
import { Poller } from "effect-amy"
import { connect, firstValue, notifications, query } from "./postgres/postgres.ts"

const { PGDATABASE = "postgres", PGHOST = "127.0.0.1", PGPORT = "5432", PGUSER = "postgres" } = process.env
// Nothing listens on the first port, so libpq goes on to the second host, with another socket.
const info = `host=127.0.0.1,${PGHOST} port=1,${PGPORT} user=${PGUSER} dbname=${PGDATABASE}`

/** The notifications of a channel, on a connection that is made again when it is lost. */
const news = Stream.unwrap(Effect.map(connect(info), (connection) => notifications(connection, "news"))).pipe(
  Stream.tapError(({ message }) => Effect.sync(() => console.log("lost:", message.split("\n")[0]))),
  Stream.retry(Schedule.spaced("100 millis"))
)

const program = Effect.gen(function* () {
  const connection = yield* connect(info)
  console.log("connected to", (yield* firstValue(connection, "show server_version")).split(" ")[0])

  // A hundred MB, row by row. No more than a few rows are in memory at a time.
  const characters = yield* Stream.runFold(
    query(connection, "select repeat('x', 1000) from generate_series(1, 100000)"),
    () => 0,
    (sum, [row]) => sum + row!.length
  )
  console.log("rows of", characters, "characters")
  console.log("sent", yield* firstValue(connection, "select length($1)", "x".repeat(20_000_000)), "characters")

  // Interrupted, the query ends on the server, too, and the connection takes the next one.
  const slow = Stream.runDrain(query(connection, "select pg_sleep(60)"))
  console.log("too slow:", (yield* Effect.timeoutOption(slow, "100 millis"))._tag)
  console.log("still connected:", (yield* firstValue(connection, "select 'yes'")) === "yes")

  const heard = yield* Queue.unbounded<string>()
  yield* Effect.forkScoped(Stream.runForEach(news, (payload) => Queue.offer(heard, payload)))
  const say = (payload: string) => firstValue(connection, "select pg_notify('news', $1)", payload)
  const hear = Effect.map(Queue.take(heard), (payload) => console.log("heard:", payload))
  /** Waits for a connection that listens, and is not the one with this number. */
  const listener = (before: string) =>
    Effect.repeat(
      firstValue(connection, "select pid from pg_stat_activity where query = 'LISTEN news' and state = 'idle'"),
      { until: (pid) => pid !== "" && pid !== before, schedule: Schedule.spaced("10 millis") }
    )
  const first = yield* listener("none")
  yield* say("hello")
  // The server tells nothing more to a connection that it has been told to end.
  yield* hear
  yield* firstValue(connection, "select pg_terminate_backend($1)", first)
  yield* listener(first)
  yield* say("hello again")
  yield* hear
})

program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()), NodeRuntime.runMain)
