/**
 * B2: one notification there and back with `layerWorker`. One thread writes to an eventfd, and
 * waits until the notification has come from the polling thread, over and over. The peer is amy's
 * shape in C: a polling thread, a channel, and a consuming thread.
 *
 * On two cores both sides mostly measure how long a sleeping core takes to wake up. Pinned to one
 * CPU, what is left is the work and the switch from one thread to the other.
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
  rows: [row("there and back, layerWorker", "", 1.2), row("there and back, layerWorker, one CPU", ", pinned", 2)]
}
