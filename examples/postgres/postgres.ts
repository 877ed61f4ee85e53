/**
 * A PostgreSQL client on libpq. Each operation is a step of the library's, and `ForeignFd.drive`
 * waits between the steps.
 */
import { Array as Arr, Cause, Data, Effect, Stream } from "effect"
import { ForeignFd } from "effect-amy"
import * as pq from "./libpq.ts"

export class PostgresError extends Data.TaggedError("PostgresError")<{ readonly message: string }> {}

const failure = (connection: pq.Connection) => new PostgresError({ message: pq.PQerrorMessage(connection).trim() })

/** Runs steps of the library. A step throws `PostgresError`. */
const drive = <A>(step: (ready: ReadonlyArray<ForeignFd.ReadyFd>) => ForeignFd.Step<A>) =>
  ForeignFd.drive((ready) => Effect.try({ try: () => step(ready), catch: (error) => error as PostgresError }))

/** Connects to the first host that accepts. The scope closes the connection. */
export const connect = (info: string) =>
  Effect.acquireRelease(
    Effect.sync(() => pq.PQconnectStart(info)),
    (connection) => Effect.sync(() => pq.PQfinish(connection))
  ).pipe(
    Effect.tap((connection) => {
      // libpq wants to be called once its socket is writable, and says then what it waits for.
      let polling: number = pq.Polling.Writing
      return drive((ready) => {
        if (ready.length > 0) polling = pq.PQconnectPoll(connection)
        if (polling === pq.Polling.Failed) throw failure(connection)
        if (polling === pq.Polling.Ok) return ForeignFd.done(pq.PQsetnonblocking(connection, 1))
        // Asked for each time: for the next host, libpq opens another socket.
        return ForeignFd.waitFor(pq.PQsocket(connection), polling === pq.Polling.Reading ? "Read" : "Write")
      })
    })
  )

const consumeInput = (connection: pq.Connection): void => {
  if (pq.PQconsumeInput(connection) === 0) throw failure(connection)
}

/** Sends what libpq holds. The server may have something to say before it reads on. */
const flush = (connection: pq.Connection) =>
  drive((ready) => {
    if (ready.some(({ event }) => event !== "Write")) consumeInput(connection)
    const left = pq.PQflush(connection)
    if (left === -1) throw failure(connection)
    return left === 0 ? ForeignFd.done(undefined) : ForeignFd.waitFor(pq.PQsocket(connection), "Both")
  })

const atOnce = 100

/**
 * Waits for results: those that have been read by now. In single-row mode each is a row. After the
 * last comes `null`.
 */
const nextResults = (connection: pq.Connection) =>
  drive((ready) => {
    if (ready.length > 0) consumeInput(connection)
    const results: Array<pq.Result | null> = []
    while (results.length < atOnce && results.at(-1) !== null && pq.PQisBusy(connection) === 0) {
      results.push(pq.PQgetResult(connection))
    }
    return results.length > 0 ? ForeignFd.done(results) : ForeignFd.waitFor(pq.PQsocket(connection), "Read")
  })

export type Row = ReadonlyArray<string>

/** Takes the rows of a result, and frees it. Throws `PostgresError` if it is an error. */
const rowsOf = (result: pq.Result): ReadonlyArray<Row> => {
  try {
    const status = pq.PQresultStatus(result)
    if (status !== pq.Status.CommandOk && status !== pq.Status.TuplesOk && status !== pq.Status.SingleTuple) {
      throw new PostgresError({ message: pq.PQresultErrorMessage(result).trim() })
    }
    const fields = Array.from({ length: pq.PQnfields(result) }, (_, field) => field)
    return Array.from({ length: pq.PQntuples(result) }, (_, row) =>
      fields.map((field) => pq.PQgetvalue(result, row, field))
    )
  } finally {
    pq.PQclear(result)
  }
}

const free = (results: ReadonlyArray<pq.Result | null>) => {
  for (const result of results) if (result !== null) pq.PQclear(result)
  return results.at(-1) === null
}

/** Asks the server to stop, and reads what is left, so that the connection takes the next query. */
const abandon = (connection: pq.Connection) =>
  Effect.suspend(() => {
    pq.PQcancel(connection)
    return Effect.repeat(Effect.map(nextResults(connection), free), { until: (isLast) => isLast })
  })

/** Runs a query, and streams its rows. If the stream is interrupted, so is the query. */
export const query = (connection: pq.Connection, sql: string, ...parameters: ReadonlyArray<string>) =>
  Stream.unwrap(
    Effect.gen(function* () {
      let isOver = false
      yield* Effect.addFinalizer(() => (isOver ? Effect.void : Effect.ignore(abandon(connection))))
      if (pq.PQsendQueryParams(connection, sql, parameters.length, null, parameters, null, null, 0) === 0) {
        isOver = true
        return yield* Effect.fail(failure(connection))
      }
      pq.PQsetSingleRowMode(connection)
      yield* flush(connection)
      const pull = Effect.gen(function* () {
        while (!isOver) {
          const results = yield* nextResults(connection)
          isOver = results.at(-1) === null
          const rows: Array<Row> = []
          let failed: unknown
          for (const result of results) {
            if (result === null) continue
            try {
              rows.push(...rowsOf(result))
            } catch (error) {
              failed = error
            }
          }
          if (failed !== undefined) return yield* Effect.fail(failed as PostgresError)
          if (Arr.isArrayNonEmpty(rows)) return rows
        }
        return yield* Cause.done()
      })
      return Stream.fromPull(Effect.succeed(pull))
    })
  )

/** Runs a query, and gives the first column of its first row, or "" if there is none. */
export const firstValue = (connection: pq.Connection, sql: string, ...parameters: ReadonlyArray<string>) =>
  Stream.runFold(
    query(connection, sql, ...parameters),
    (): string | undefined => undefined,
    (first, row) => first ?? row[0]
  ).pipe(Effect.map((value) => value ?? ""))

/** Streams what other connections send to a channel with NOTIFY. */
export const notifications = (connection: pq.Connection, channel: string) => {
  const next = drive((ready) => {
    if (ready.length > 0) consumeInput(connection)
    const notification = pq.PQnotifies(connection)
    return notification === null
      ? ForeignFd.waitFor(pq.PQsocket(connection), "Read")
      : ForeignFd.done(notification.payload)
  })
  return Stream.concat(
    Stream.drain(query(connection, `LISTEN ${channel}`)),
    Stream.fromPull(Effect.succeed(Effect.map(next, (payload) => [payload] as const)))
  )
}
