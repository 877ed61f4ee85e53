/**
 * B5: a TCP echo server with one fiber for each connection. The peers are `node:net` on the same
 * Node, and servers in C, with `Bun.listen`, in Go and with tokio. Requests have 64 bytes, one at a
 * time on each connection, or 16 KiB, or 64 bytes with 16 of them outstanding.
 *
 * The load is a separate process in C, the same for every side. On a machine with two cores it has
 * one, and the server has the other. It does as much for a request as the server in C, so these two
 * are about equally busy, and C's figure is the most that this load can show. On `layerWorker` the
 * server has two threads, which makes three with the load. Those rows are for information only.
 * Go uses as many threads as it likes. tokio has one.
 *
 * The sheets have the processor time that the server takes for a request, in its own code and in
 * the kernel. It depends less on how busy the load and the machine are.
 */
import { loads, millis, type NamedLoad, peers, row, sheets, underLoads } from "./support/echo.ts"
import type { Question, Row } from "./support/question.ts"

const ours = "layerEventLoop"
const withoutUring = "layerEventLoop without io_uring"

const atLeast = (load: NamedLoad): number => (load.bytes > 64 ? 2 : load.outstanding > 1 ? 1.5 : 1.4)

const rows = (load: NamedLoad): ReadonlyArray<Row> => [
  row("echo", load, ours, "node:net", atLeast(load)),
  row("echo", load, ours, "C", 0.9),
  row("echo", load, ours, "Bun", 1),
  row("echo", load, withoutUring, ours, 0.95),
  row("echo", load, "layerWorker", "node:net")
]

export const b5: Question = {
  name: "b5",
  title: "TCP echo, a fiber for each connection",
  millis,
  sides: (toolbox) =>
    underLoads(toolbox, {
      [ours]: toolbox.side("b5.ts", "event-loop"),
      "node:net": toolbox.side("b5node.ts"),
      [withoutUring]: toolbox.forbidden(toolbox.side("b5.ts", "event-loop")),
      ...peers(toolbox),
      layerWorker: toolbox.side("b5.ts", "worker")
    }),
  rows: loads.flatMap(rows),
  sheets: sheets([ours, withoutUring, "layerWorker", "node:net", "C", "Bun", "Go", "tokio"])
}
