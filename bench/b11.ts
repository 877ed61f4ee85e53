/**
 * B11: UDP datagrams of 64 and of 1,200 bytes, which a server sends back (echo), or only counts
 * (sink). The peers are `node:dgram` and `NodeDatagramSocket` on the same Node, and a server in C
 * with recvmmsg(2) and sendmmsg(2).
 *
 * The load is a separate process in C, the same for every side. Four clients have sixteen datagrams
 * outstanding each. Of a sink, every sixteenth is replied to, which lets the client go on.
 *
 * "many" is `receiveMany` with `sendMany`; "each" is a stream, and a `send` for each datagram. The
 * sheets have the processor time that the server takes for a datagram, in its own code and in the
 * kernel. It depends less on how busy the load and the machine are.
 */
import type { Command, Question, Row, Toolbox } from "./support/question.ts"

interface Load {
  readonly what: "echo" | "sink"
  readonly bytes: number
}

const loads: ReadonlyArray<Load> = (["echo", "sink"] as const).flatMap((what) =>
  [64, 1200].map((bytes) => ({ what, bytes }))
)
const nameOf = ({ bytes, what }: Load): string => `${what}, ${bytes} bytes`

const many = "many, layerEventLoop"
const each = "each, layerEventLoop"
const service = "PollerDatagramSocket"

const servers = ({ baseline, side }: Toolbox, { what }: Load): Readonly<Record<string, Command | undefined>> => ({
  [many]: side("b11.ts", ["event-loop", "many", what]),
  "node:dgram": side("b11node.ts", what),
  C: withArgument(baseline("udp"), what),
  [each]: side("b11.ts", ["event-loop", "each", what]),
  [service]: side("b11service.ts", ["poller", what]),
  NodeDatagramSocket: side("b11service.ts", ["node", what]),
  "many, layerWorker": side("b11.ts", ["worker", "many", what])
})

const withArgument = (command: Command | undefined, argument: string): Command | undefined =>
  command === undefined ? undefined : [...command, argument]

const loaded = ({ baseline }: Toolbox, load: Load, server: Command | undefined): Command | undefined => {
  const program = baseline("udpload")
  if (server === undefined || program === undefined) return undefined
  return [...program, load.what, String(load.bytes), "--", ...server]
}

const row = (load: Load, ours: string, peer: string, ratioAtLeast?: number): Row => ({
  label: `${nameOf(load)}, ${ours}, against ${peer}`,
  ours: { side: `${ours}, ${nameOf(load)}`, name: "perSecond" },
  peer: { side: `${peer}, ${nameOf(load)}`, name: "perSecond" },
  unit: "thousandsPerSecond",
  ...(ratioAtLeast === undefined ? {} : { target: { ratioAtLeast } })
})

export const b11: Question = {
  name: "b11",
  title: "UDP datagrams, echo and sink",
  millis: { warmUp: 1000, measured: 1500 },
  sides: (toolbox) =>
    Object.fromEntries(
      loads.flatMap((load) =>
        Object.entries(servers(toolbox, load)).map(([name, server]) => [
          `${name}, ${nameOf(load)}`,
          loaded(toolbox, load, server)
        ])
      )
    ),
  rows: loads.flatMap((load) => [
    row(load, many, "node:dgram", 2.3),
    row(load, many, "C", 0.85),
    row(load, each, "node:dgram"),
    row(load, each, "C"),
    row(load, service, "NodeDatagramSocket")
  ]),
  sheets: loads.map((load) => ({
    title: nameOf(load),
    columns: [
      { label: "datagrams", name: "perSecond", unit: "thousandsPerSecond" },
      { label: "server's CPU a datagram", name: "cpuMicros", unit: "micros" },
      { label: "lost", name: "lost", unit: "count" }
    ],
    lines: [many, each, "many, layerWorker", service, "node:dgram", "NodeDatagramSocket", "C"].map((server) => ({
      label: server,
      side: `${server}, ${nameOf(load)}`
    }))
  }))
}
