/** Formats the table, and finds out whether anything was lost. */
import type { Descriptors } from "./descriptors.ts"
import { opened } from "./descriptors.ts"
import type { Measurement } from "./measure.ts"
import { total } from "./messages.ts"
import type { ClientOptions } from "./options.ts"

export interface Outcome {
  readonly options: ClientOptions
  readonly measurement: Measurement
  readonly before: Descriptors
  readonly after: Descriptors
}

/** Returns one sentence for each loss. */
export const losses = ({ after, before, measurement, options }: Outcome): ReadonlyArray<string> => {
  const { accepted, clients, workers } = measurement
  const received = total(workers, "received")
  const sent = total(workers, "sent")
  const ended = total(workers, "connections")
  const failures = total(workers, "failures")
  const leaked = opened(before, after)
  return [
    ...clients.problems,
    accepted !== options.clients && `${options.clients} clients connected, and ${accepted} connections were accepted`,
    ended !== accepted && `${accepted} connections were accepted, and ${ended} ended`,
    failures > 0 &&
      `${failures} connections failed, one of them with: ${workers.find((w) => w.failures > 0)?.lastFailure}`,
    received !== clients.sent && `the clients sent ${clients.sent} bytes, and the server received ${received}`,
    sent !== received && `the server received ${received} bytes, and sent ${sent}`,
    clients.received !== clients.sent && `the clients sent ${clients.sent} bytes, and received ${clients.received}`,
    leaked.length > 0 && `descriptors still open: ${leaked.join(", ")}`
  ].filter((loss) => loss !== false)
}

export const table = ({ after, before, measurement, options }: Outcome): string => {
  const { accepted, clients, poller, workers } = measurement
  const echoes = clients.kinds.reduce((sum, each) => sum + each.echoes, 0)
  const notifications = poller.notifications + total(workers, "notifications")
  return [
    `${options.clients} clients for ${options.seconds} s, ${workers.length} worker threads, one polling thread`,
    columns([
      ["connections", count(accepted)],
      ["echoes", count(echoes)],
      ["bytes echoed", mebibytes(total(workers, "sent"))],
      ["notifications", count(notifications)],
      ["waits in the kernel", count(poller.waits)],
      ["descriptors before", count(before.size)],
      ["descriptors after", count(after.size)]
    ]),
    columns([
      ["thread", "connections", "share", "bytes", "notifications", "full send buffers"],
      ["main (accepts)", count(accepted), "", "", count(poller.notifications), ""],
      ...workers.map((worker, index) => [
        `worker ${index + 1}`,
        count(worker.connections),
        `${((100 * worker.sent) / Math.max(1, total(workers, "sent"))).toFixed(1)} %`,
        mebibytes(worker.sent),
        count(worker.notifications),
        count(worker.fullBuffers)
      ])
    ]),
    columns([
      ["round trip", "clients", "echoes", "p50", "p99"],
      ...clients.kinds.map(({ clients, echoes, kind, p50, p99 }) => [
        kind,
        count(clients),
        count(echoes),
        milliseconds(p50),
        milliseconds(p99)
      ])
    ])
  ].join("\n\n")
}

const count = (n: number): string => n.toLocaleString("en")
const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`
const milliseconds = (ms: number): string => `${ms.toFixed(2)} ms`

/** Aligns the first column to the left, and the others to the right. */
const columns = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows
    .map((row) =>
      row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join("   ")
    )
    .map((line) => line.trimEnd())
    .join("\n")
}
