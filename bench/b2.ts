/**
 * B2: one notification there and back with `layerWorker`: write to an eventfd, wait until its notification has come from
 * the polling thread, and again. The peer is amy's shape in C: polling thread, channel, consuming thread.
 *
 * On two cores both mostly measure how long a sleeping core takes to wake up. Pinned to one CPU there is none to wake,
 * and what is left is the work and the switch from one thread to the other.
 */
import type { Question, Row } from "./support/question.ts"

const row = (label: string, where: string, ratioAtMost: number): Row => ({
  label,
  ours: { side: `layerWorker${where}`, name: "micros" },
  peer: { side: `C${where}`, name: "micros" },
  unit: "micros",
  target: { ratioAtMost }
})

export const b2: Question = {
  name: "b2",
  title: "one notification there and back, layerWorker",
  sides: ({ baseline, pinned, side }) => ({
    layerWorker: side("b2.ts", "worker"),
    C: baseline("b2"),
    "layerWorker, pinned": pinned(side("b2.ts", "worker")),
    "C, pinned": pinned(baseline("b2"))
  }),
  rows: [row("there and back, layerWorker", "", 1.25), row("there and back, layerWorker, one CPU", ", pinned", 2)]
}
