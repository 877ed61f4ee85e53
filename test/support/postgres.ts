/** A PostgreSQL server of the test's own, on a free port and in a temporary folder. */
import { Effect, type Scope } from "effect"
import { type ExecFileSyncOptions, execFileSync } from "node:child_process"
import { chownSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { hasLibrary } from "./libraries.ts"

const [programs] = globSync("/usr/lib/postgresql/*/bin").toSorted().toReversed()

export const hasPostgres = programs !== undefined && existsSync(join(programs, "initdb")) && hasLibrary("libpq.so.5")

export interface Server {
  readonly port: number
  /** Stops the server, whatever its clients do, and starts it again. */
  readonly restart: Effect.Effect<void>
}

/** The server refuses to run as root. */
const user = (): { readonly uid: number; readonly gid: number } | undefined => {
  if (process.getuid!() !== 0) return undefined
  const [, , uid, gid] = /^(postgres|nobody):[^:]*:(\d+):(\d+)/m.exec(readFileSync("/etc/passwd", "utf8"))!
  return { uid: Number(uid), gid: Number(gid) }
}

/**
 * Returns a free port that the kernel gives to no socket by itself: another test could get it before
 * the server listens, or while the server restarts.
 */
const freePort: Effect.Effect<number> = Effect.callback<number>((resume) => {
  const server = createServer()
  server.once("error", () => resume(freePort))
  server.listen(10_000 + Math.floor(Math.random() * 20_000), "127.0.0.1", () => {
    const { port } = server.address() as { readonly port: number }
    server.close(() => resume(Effect.succeed(port)))
  })
})

/** Starts a server. The scope stops it, and removes its files. */
export const startServer: Effect.Effect<Server, never, Scope.Scope> = Effect.gen(function* () {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "postgres-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )
  const owner = user()
  if (owner !== undefined) chownSync(directory, owner.uid, owner.gid)
  const options: ExecFileSyncOptions = { ...owner, stdio: "ignore", cwd: directory }
  const run = (program: string, ...args: ReadonlyArray<string>) => execFileSync(join(programs!, program), args, options)
  const data = join(directory, "data")
  const port = yield* freePort
  const settings = `-p ${port} -k ${directory} -c listen_addresses=127.0.0.1 -c fsync=off`
  const control = (action: string) =>
    Effect.sync(
      () => void run("pg_ctl", "-D", data, "-o", settings, "-l", join(directory, "log"), "-m", "fast", "-w", action)
    )
  yield* Effect.acquireRelease(
    Effect.andThen(
      Effect.sync(() => void run("initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync")),
      control("start")
    ),
    () => control("stop")
  )
  return { port, restart: control("restart") }
})
