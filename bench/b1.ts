/**
 * B1: how many notifications a second come through `Poller.notifications`, against amy's shape in C: a thread that
 * waits in the kernel, a channel, and a thread that consumes.
 *
 * A thousand eventfds are registered edge-triggered. A process of its own, the same for every side, writes to each of
 * them once, which is a round, and begins the next one when the consumer has seen all thousand notifications of the
 * last, for which the consumer pays one small `write` a round. So nothing is ever merged, each notification counts, and
 * a round that brings more or less than a thousand fails the run. Nobody reads the eventfds: to an edge-triggered
 * registration each write is an edge.
 *
 * A thousand writes take the writer about a third of a millisecond, during which notifications come in small batches.
 * In the rows called "burst", four writes make them all ready, so that what is left is the way from the kernel to the
 * consumer, and its largest batches.
 */
import type { Question, Row } from "./support/question.ts"

const row = (layer: string, mode: "each" | "burst"): Row => ({
  label: `notifications a second, ${layer}${mode === "burst" ? ", burst" : ""}`,
  ours: { side: `${layer}, ${mode}`, name: "perSecond" },
  peer: { side: `C, ${mode}`, name: "perSecond" },
  unit: "perSecond",
  ...(mode === "each" ? { target: { ratioAtLeast: 0.7 } } : {})
})

export const b1: Question = {
  name: "b1",
  title: "1,000 descriptors made ready over and over",
  sides: ({ baseline, side, written }) => ({
    "layerWorker, each": written("each", side("b1.ts", "worker")),
    "C, each": written("each", baseline("b1")),
    "layerEventLoop, each": written("each", side("b1.ts", "event-loop")),
    "layerWorker, burst": written("burst", side("b1.ts", "worker")),
    "C, burst": written("burst", baseline("b1")),
    "layerEventLoop, burst": written("burst", side("b1.ts", "event-loop"))
  }),
  rows: [
    row("layerWorker", "each"),
    row("layerEventLoop", "each"),
    row("layerWorker", "burst"),
    row("layerEventLoop", "burst")
  ]
}
