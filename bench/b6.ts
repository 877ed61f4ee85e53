/**
 * B6: the echo of B5 through `effect/socket`. The peer is `NodeSocketServer` of
 * `@effect/platform-node`, with the same handler. The rows against the server in C are for
 * information.
 */
import type { Command, Question, Row, Toolbox } from "./support/question.ts"

const counts = [64, 512] as const

const row = (connections: number, layer: string, peer: string, ratioAtLeast?: number): Row => ({
  label: `PollerSocketServer, ${connections} connections, ${layer}, against ${peer}`,
  ours: { side: `${layer}, ${connections}`, name: "perSecond" },
  peer: { side: `${peer}, ${connections}`, name: "perSecond" },
  unit: "thousandsPerSecond",
  ...(ratioAtLeast === undefined ? {} : { target: { ratioAtLeast } })
})

const sides = (
  { baseline, loaded, side }: Toolbox,
  connections: number
): ReadonlyArray<readonly [string, Command | undefined]> => [
  [`layerEventLoop, ${connections}`, loaded(connections, side("b6.ts", "event-loop"))],
  [`NodeSocketServer, ${connections}`, loaded(connections, side("b6node.ts"))],
  [`C, ${connections}`, loaded(connections, baseline("echo"))],
  [`layerWorker, ${connections}`, loaded(connections, side("b6.ts", "worker"))]
]

export const b6: Question = {
  name: "b6",
  title: "TCP echo through effect/socket",
  sides: (toolbox) => Object.fromEntries(counts.flatMap((connections) => sides(toolbox, connections))),
  rows: counts.flatMap((connections) => [
    row(connections, "layerEventLoop", "NodeSocketServer", 1.5),
    row(connections, "layerWorker", "NodeSocketServer"),
    row(connections, "layerEventLoop", "C")
  ])
}
