/**
 * B5: a TCP echo server with one fiber for each connection. The peers are `node:net` on the same
 * Node, and a server in C. Requests have 64 bytes, one at a time on each connection.
 *
 * The load is a separate process in C, the same for every side. On a machine with two cores it has
 * one, and the server has the other. It does as much for a request as the server in C, so these two
 * are about equally busy, and C's figure is the most that this load can show. On `layerWorker` the
 * server has two threads, which makes three with the load. Those rows are for information only.
 */
import type { Command, Question, Row, Toolbox } from "./support/question.ts"

const counts = [64, 512] as const

const row = (connections: number, layer: string, peer: string, ratioAtLeast?: number): Row => ({
  label: `echo, ${connections} connections, ${layer}, against ${peer}`,
  ours: { side: `${layer}, ${connections}`, name: "perSecond" },
  peer: { side: `${peer}, ${connections}`, name: "perSecond" },
  unit: "thousandsPerSecond",
  ...(ratioAtLeast === undefined ? {} : { target: { ratioAtLeast } })
})

const sides = (
  { baseline, loaded, side }: Toolbox,
  connections: number
): ReadonlyArray<readonly [string, Command | undefined]> => [
  [`layerEventLoop, ${connections}`, loaded(connections, side("b5.ts", "event-loop"))],
  [`node:net, ${connections}`, loaded(connections, side("b5node.ts"))],
  [`C, ${connections}`, loaded(connections, baseline("echo"))],
  [`layerWorker, ${connections}`, loaded(connections, side("b5.ts", "worker"))]
]

export const b5: Question = {
  name: "b5",
  title: "TCP echo, a fiber for each connection",
  sides: (toolbox) => Object.fromEntries(counts.flatMap((connections) => sides(toolbox, connections))),
  rows: counts.flatMap((connections) => [
    row(connections, "layerEventLoop", "node:net", 1.2),
    row(connections, "layerEventLoop", "C", 0.8),
    row(connections, "layerWorker", "node:net")
  ])
}
