/**
 * B1: notifications a second through `Poller.batches`, and one a pull through
 * `Poller.notifications`. The peer is amy's shape in C: a thread that waits in the kernel, a
 * channel, and a thread that consumes.
 *
 * A thousand eventfds are registered edge-triggered. A separate process, the same for every side,
 * writes to each of them once, which is a round. The next round begins when the consumer has seen
 * all thousand notifications, and asks for it with one small `write`. So nothing is merged, and
 * each notification counts. A round that brings more or less than a thousand fails the run. No
 * program reads the eventfds, because each write is an edge to an edge-triggered registration.
 *
 * A thousand writes take the writer about a third of a millisecond. Meanwhile notifications come in
 * small batches. In the rows called "burst", four writes make all descriptors ready. What is left
 * is the path from the kernel to the consumer, with its largest batches.
 */
import type { Question, Row } from "./support/question.ts"

const row = (layer: string, mode: "each" | "burst"): Row => ({
  label: `notifications a second, ${layer}${mode === "burst" ? ", burst" : ""}`,
  ours: { side: `${layer}, ${mode}`, name: "perSecond" },
  peer: { side: `C, ${mode}`, name: "perSecond" },
  unit: "perSecond",
  ...(mode === "each" ? { target: { ratioAtLeast: 0.85 } } : {})
})

const onePull = (layer: string): Row => ({
  label: `notifications a second, ${layer}, one a pull`,
  ours: { side: `${layer}, one a pull`, name: "perSecond" },
  peer: { side: "C, each", name: "perSecond" },
  unit: "perSecond"
})

export const b1: Question = {
  name: "b1",
  title: "1,000 descriptors made ready over and over",
  sides: ({ baseline, side, written }) => ({
    "layerWorker, each": written("each", side("b1.ts", "worker")),
    "layerWorker, one a pull": written("each", side("b1.ts", "worker, one")),
    "C, each": written("each", baseline("b1")),
    "layerEventLoop, each": written("each", side("b1.ts", "event-loop")),
    "layerEventLoop, one a pull": written("each", side("b1.ts", "event-loop, one")),
    "layerWorker, burst": written("burst", side("b1.ts", "worker")),
    "C, burst": written("burst", baseline("b1")),
    "layerEventLoop, burst": written("burst", side("b1.ts", "event-loop"))
  }),
  rows: [
    row("layerWorker", "each"),
    row("layerEventLoop", "each"),
    row("layerWorker", "burst"),
    row("layerEventLoop", "burst"),
    onePull("layerWorker"),
    onePull("layerEventLoop")
  ]
}
