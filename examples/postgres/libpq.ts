/** libpq (Debian: libpq5), as far as this example calls it: its functions, declared for koffi. */
import koffi from "koffi"

const library = koffi.load("libpq.so.5")
koffi.opaque("PGconn")
koffi.opaque("PGresult")
koffi.opaque("PGcancel")
const PGnotify = koffi.struct("PGnotify", { relname: "char *", be_pid: "int", extra: "char *", next: "void *" })

declare const brand: unique symbol
export interface Connection {
  readonly [brand]: "PGconn"
}
export interface Result {
  readonly [brand]: "PGresult"
}
interface Cancel {
  readonly [brand]: "PGcancel"
}

const bind = <F>(prototype: string): F => library.func(prototype) as F

/** What a connection waits for, as PQconnectPoll returns it. */
export const Polling = { Failed: 0, Reading: 1, Writing: 2, Ok: 3 } as const
export const Status = { CommandOk: 1, TuplesOk: 2, SingleTuple: 9 } as const

export const PQconnectStart = bind<(info: string) => Connection>("PGconn *PQconnectStart(const char *info)")
export const PQconnectPoll = bind<(c: Connection) => number>("int PQconnectPoll(PGconn *c)")
export const PQsocket = bind<(c: Connection) => number>("int PQsocket(PGconn *c)")
export const PQerrorMessage = bind<(c: Connection) => string>("const char *PQerrorMessage(PGconn *c)")
export const PQsetnonblocking = bind<(c: Connection, on: number) => number>("int PQsetnonblocking(PGconn *c, int on)")
export const PQfinish = bind<(c: Connection) => void>("void PQfinish(PGconn *c)")
export const PQsendQueryParams = bind<
  (
    c: Connection,
    query: string,
    count: number,
    types: null,
    values: ReadonlyArray<string>,
    lengths: null,
    formats: null,
    resultFormat: number
  ) => number
>(
  "int PQsendQueryParams(PGconn *c, const char *query, int count, void *types, const char **values, void *lengths, void *formats, int resultFormat)"
)
export const PQsetSingleRowMode = bind<(c: Connection) => number>("int PQsetSingleRowMode(PGconn *c)")
export const PQflush = bind<(c: Connection) => number>("int PQflush(PGconn *c)")
export const PQconsumeInput = bind<(c: Connection) => number>("int PQconsumeInput(PGconn *c)")
export const PQisBusy = bind<(c: Connection) => number>("int PQisBusy(PGconn *c)")
export const PQgetResult = bind<(c: Connection) => Result | null>("PGresult *PQgetResult(PGconn *c)")
export const PQresultStatus = bind<(r: Result) => number>("int PQresultStatus(PGresult *r)")
export const PQresultErrorMessage = bind<(r: Result) => string>("const char *PQresultErrorMessage(PGresult *r)")
export const PQclear = bind<(r: Result) => void>("void PQclear(PGresult *r)")
export const PQntuples = bind<(r: Result) => number>("int PQntuples(PGresult *r)")
export const PQnfields = bind<(r: Result) => number>("int PQnfields(PGresult *r)")
export const PQgetvalue = bind<(r: Result, row: number, field: number) => string>(
  "const char *PQgetvalue(PGresult *r, int row, int field)"
)
const PQgetCancel = bind<(c: Connection) => Cancel | null>("PGcancel *PQgetCancel(PGconn *c)")
const PQcancelNow = bind<(cancel: Cancel, message: Uint8Array, size: number) => number>(
  "int PQcancel(PGcancel *cancel, void *message, int size)"
)
const PQfreeCancel = bind<(cancel: Cancel) => void>("void PQfreeCancel(PGcancel *cancel)")
const PQnotifiesPointer = bind<(c: Connection) => unknown>("void *PQnotifies(PGconn *c)")
const PQfreemem = bind<(memory: unknown) => void>("void PQfreemem(void *memory)")

/** Asks the server to give up what the connection runs. It blocks until the server has been asked. */
export const PQcancel = (connection: Connection): void => {
  const cancel = PQgetCancel(connection)
  if (cancel === null) return
  PQcancelNow(cancel, new Uint8Array(256), 256)
  PQfreeCancel(cancel)
}

/** Returns the next notification that has been read, and frees it. */
export const PQnotifies = (connection: Connection): { readonly channel: string; readonly payload: string } | null => {
  const pointer = PQnotifiesPointer(connection)
  if (pointer === null) return null
  const { extra, relname } = koffi.decode(pointer, PGnotify) as { readonly extra: string; readonly relname: string }
  PQfreemem(pointer)
  return { channel: relname, payload: extra }
}
