/**
 * B12: the memory of an idle TCP connection whose fiber waits to read: the JavaScript heap, the
 * memory beside it, and the resident memory, for each of 5,000 connections. Each has served one
 * request. The peers are `node:net` and `NodeSocketServer` on the same Node.
 *
 * `read` reads into a buffer of 4 KiB that its handler keeps, which counts as memory beside the
 * heap. All others read chunks.
 */
import type { Question, Row } from "./support/question.ts"

const rows = (side: string, peer: string, below?: number): ReadonlyArray<Row> => [
  {
    label: `heap of an idle connection, ${side}, against ${peer}`,
    ours: { side, name: "heapBytes" },
    peer: { side: peer, name: "heapBytes" },
    unit: "bytes",
    ...(below === undefined ? {} : { target: { below } })
  },
  {
    label: `memory beside the heap, ${side}`,
    ours: { side, name: "externalBytes" },
    unit: "bytes"
  },
  {
    label: `resident memory, ${side}, against ${peer}`,
    ours: { side, name: "residentBytes" },
    peer: { side: peer, name: "residentBytes" },
    unit: "bytes"
  }
]

const mostTcp = 2500
const mostServer = 4000

export const b12: Question = {
  name: "b12",
  title: "memory of 5,000 idle connections, or as many as may be open",
  sides: ({ side }) => ({
    "Tcp read, layerEventLoop": side("b12.ts", ["read", "event-loop"], "--expose-gc"),
    "Tcp stream, layerEventLoop": side("b12.ts", ["stream", "event-loop"], "--expose-gc"),
    "PollerSocketServer, layerEventLoop": side("b12.ts", ["server", "event-loop"], "--expose-gc"),
    "Tcp read, layerWorker": side("b12.ts", ["read", "worker"], "--expose-gc"),
    "PollerSocketServer, layerWorker": side("b12.ts", ["server", "worker"], "--expose-gc"),
    "node:net": side("b12node.ts", ["net"], "--expose-gc"),
    NodeSocketServer: side("b12node.ts", ["server"], "--expose-gc")
  }),
  rows: [
    ...rows("Tcp read, layerEventLoop", "node:net", mostTcp),
    ...rows("Tcp stream, layerEventLoop", "node:net"),
    ...rows("PollerSocketServer, layerEventLoop", "NodeSocketServer", mostServer),
    ...rows("Tcp read, layerWorker", "node:net", mostTcp),
    ...rows("PollerSocketServer, layerWorker", "NodeSocketServer", mostServer)
  ]
}
