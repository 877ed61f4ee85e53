/** The example of libpq, against a real server. */
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schedule, Scope, Stream } from "effect"
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { documentedExamples } from "../support/documentation.ts"
import { runExample } from "../support/example.ts"
import * as Kernel from "../support/kernel.ts"
import { nextLayerEntries } from "../support/layers.ts"
import { nameWith } from "../support/libraries.ts"
import { hasPostgres, type Server, startServer } from "../support/postgres.ts"
import { runProgram } from "../support/programs.ts"

// It loads libpq, which this machine may not have.
const postgres = hasPostgres ? await import("../../examples/postgres/postgres.ts") : (undefined as never)

const documented = ["README.md", "docs/*.md"].flatMap(documentedExamples).filter(({ needs }) => needs === "postgres")

describe.skipIf(!hasPostgres)(`${nameWith("libpq and PostgreSQL", hasPostgres, "postgresql libpq5")}`, () => {
  const scope = Scope.makeUnsafe()
  let server: Server
  beforeAll(async () => {
    server = await Effect.runPromise(Scope.provide(startServer, scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  /** Nothing listens on the first port. */
  const info = () => `host=127.0.0.1,127.0.0.1 port=1,${server.port} user=postgres`

  it.live("the example prints what it says", () =>
    Effect.gen(function* () {
      process.env["PGPORT"] = String(server.port)
      const { code, signal, stdout } = yield* runExample("postgres")
      expect({ code, signal }).toEqual({ code: 0, signal: null })
      expect(stdout.replace(/^connected to \d+(\.\d+)+/, "connected to a server").split("\n")).toEqual([
        "connected to a server",
        "rows of 100000000 characters",
        "sent 20000000 characters",
        "too slow: None",
        "still connected: true",
        "heard: hello",
        expect.stringMatching(/^lost: /),
        "heard: hello again",
        ""
      ])
    })
  )

  for (const { code, prints, source } of documented) {
    it.live(`the documentation runs ${source}`, () =>
      Effect.gen(function* () {
        const options = ["--conditions=effect-amy-source", "--input-type=module-typescript", "--eval", code]
        const env = { ...process.env, PGHOST: "127.0.0.1", PGPORT: String(server.port), PGUSER: "postgres" }
        const { stdout } = yield* Effect.promise(() => promisify(execFile)(process.execPath, options, { env }))
        expect(stdout.trimEnd().split("\n")).toEqual(prints)
      })
    )
  }

  it.live("a result of 100 MB is read in the memory of a few rows", () =>
    Effect.gen(function* () {
      const { code, errors, output } = yield* runProgram("postgresRows", [String(server.port)])
      expect({ code, errors }).toEqual({ code: 0, errors: "" })
      const { grown, read } = JSON.parse(output[0]!) as { readonly grown: number; readonly read: number }
      expect(read).toBe(100_000_000)
      expect(grown).toBeLessThan(40_000_000)
    })
  )

  for (const [name, layer] of nextLayerEntries()) {
    it.live(`a large result, a large parameter and an interruption, and nothing stays open (${name})`, () =>
      Effect.gen(function* () {
        const before = Kernel.openDescriptors().size
        yield* Effect.scoped(
          Effect.gen(function* () {
            const connection = yield* postgres.connect(info())
            const { firstValue, query } = postgres
            expect((yield* firstValue(connection, "select repeat('y', 3000000)")).length).toBe(3_000_000)
            expect(yield* firstValue(connection, "select length($1)", "x".repeat(3_000_000))).toBe("3000000")
            const error = yield* Effect.flip(Stream.runDrain(query(connection, "select 1 / 0")))
            expect(error._tag === "PostgresError" && error.message).toContain("division by zero")
            const sleeping = yield* Effect.forkChild(Stream.runDrain(query(connection, "select pg_sleep(3600)")))
            yield* Effect.yieldNow
            yield* Fiber.interrupt(sleeping)
            // A stream that ends early leaves the connection as good as before.
            const two = yield* Stream.runCollect(Stream.take(query(connection, "select generate_series(1, 1000)"), 2))
            expect(two).toEqual([["1"], ["2"]])
            expect(yield* firstValue(connection, "select 'as before'")).toBe("as before")
          })
        )
        expect(Kernel.openDescriptors().size).toBeLessThanOrEqual(before)
      }).pipe(Effect.provide(layer()))
    )

    it.live(`a retry connects again after the server was restarted (${name})`, () =>
      Effect.gen(function* () {
        const news = Stream.unwrap(
          Effect.map(postgres.connect(info()), (connection) => postgres.notifications(connection, "news"))
        ).pipe(Stream.retry(Schedule.spaced("20 millis")))
        const heard: Array<string> = []
        const listening = yield* Effect.forkChild(
          news.pipe(
            Stream.changes,
            Stream.takeUntil((payload) => payload === "after"),
            Stream.runForEach((payload) => Effect.sync(() => heard.push(payload)))
          )
        )
        // Sent until it has been heard: the listener may not be there yet.
        const say = (payload: string) =>
          Effect.scoped(
            Effect.flatMap(postgres.connect(info()), (connection) =>
              Effect.repeat(postgres.firstValue(connection, "select pg_notify('news', $1)", payload), {
                until: () => heard.includes(payload),
                schedule: Schedule.spaced("10 millis")
              })
            )
          )
        yield* say("before")
        yield* server.restart
        yield* say("after")
        yield* Fiber.join(listening)
        expect(heard).toEqual(["before", "after"])
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )
  }
})
