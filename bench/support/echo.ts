/** What B5 and B6 share: the loads, the servers of others, and the sheets. */
import type { Column, Command, Load, Millis, Row, Sheet, Target, Toolbox } from "./question.ts"

export interface NamedLoad extends Load {
  /** Ends the names of its sides. */
  readonly name: string
  readonly title: string
}

export const loads: ReadonlyArray<NamedLoad> = [
  { name: "64", title: "64 connections", connections: 64, bytes: 64, outstanding: 1 },
  { name: "512", title: "512 connections", connections: 512, bytes: 64, outstanding: 1 },
  { name: "1,024", title: "1,024 connections", connections: 1024, bytes: 64, outstanding: 1 },
  { name: "16 KiB", title: "64 connections, 16 KiB", connections: 64, bytes: 16 * 1024, outstanding: 1 },
  { name: "pipelined", title: "64 connections, 16 outstanding", connections: 64, bytes: 64, outstanding: 16 }
]

/** A server that starts with 1,024 connections is busy with these at first. */
export const millis: Millis = { warmUp: 1000, measured: 2000 }

/** The servers of others, beside the one in Node that a question compares with. */
export const peers = (toolbox: Toolbox): Readonly<Record<string, Command | undefined>> => ({
  C: toolbox.baseline("echo"),
  Bun: toolbox.peer("bun"),
  Go: toolbox.peer("go"),
  tokio: toolbox.peer("tokio")
})

/** Each server under each load. The servers take turns under a load. */
export const underLoads = (
  toolbox: Toolbox,
  servers: Readonly<Record<string, Command | undefined>>
): Readonly<Record<string, Command | undefined>> =>
  Object.fromEntries(
    loads.flatMap((load) =>
      Object.entries(servers).map(([server, command]) => [`${server}, ${load.name}`, toolbox.loaded(load, command)])
    )
  )

/** A row of the requests a second of two servers under a load. */
export const row = (what: string, load: NamedLoad, ours: string, peer: string, ratioAtLeast?: number): Row => ({
  label: `${what}, ${load.title}, ${ours}, against ${peer}`,
  ours: { side: `${ours}, ${load.name}`, name: "perSecond" },
  peer: { side: `${peer}, ${load.name}`, name: "perSecond" },
  unit: "thousandsPerSecond",
  ...(ratioAtLeast === undefined ? {} : { target: { ratioAtLeast } satisfies Target })
})

const columns: ReadonlyArray<Column> = [
  { label: "requests", name: "perSecond", unit: "thousandsPerSecond" },
  { label: "half within", name: "p50", unit: "micros" },
  { label: "99 % within", name: "p99", unit: "micros" },
  { label: "server's CPU a request", name: "cpuMicros", unit: "micros" },
  { label: "user", name: "userMicros", unit: "micros" },
  { label: "system", name: "systemMicros", unit: "micros" }
]

/** A sheet for each load, with all servers. */
export const sheets = (servers: ReadonlyArray<string>): ReadonlyArray<Sheet> =>
  loads.map(({ name, title }) => ({
    title,
    columns,
    lines: servers.map((server) => ({ label: server, side: `${server}, ${name}` }))
  }))
