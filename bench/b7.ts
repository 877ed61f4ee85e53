/**
 * B7: the cost of idle registrations: JavaScript heap for each, and CPU time while nothing happens.
 * It makes 100,000 of them, or as many as the limit on open files allows (`ulimit -n`).
 */
import type { Question, Row } from "./support/question.ts"

const rows = (layer: string): ReadonlyArray<Row> => [
  { label: `idle registrations, ${layer}`, ours: { side: layer, name: "count" }, unit: "count" },
  {
    label: `heap of an idle registration, ${layer}`,
    ours: { side: layer, name: "bytes" },
    unit: "bytes",
    target: { below: 200 }
  },
  {
    label: `CPU while idle, ${layer}`,
    ours: { side: layer, name: "cpuPercent" },
    unit: "percent",
    // Not quite zero: a blocked thread wakes once a second, in case the thread that should wake it
    // was killed. A wait that spins uses 100 %.
    target: { below: 0.2 }
  }
]

export const b7: Question = {
  name: "b7",
  title: "100,000 idle registrations, or as many as may be open",
  sides: ({ side }) => ({
    layerWorker: side("b7.ts", "worker", "--expose-gc"),
    layerEventLoop: side("b7.ts", "event-loop", "--expose-gc")
  }),
  rows: [...rows("layerWorker"), ...rows("layerEventLoop")]
}
