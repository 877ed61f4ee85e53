/**
 * B9: threads that compute for each notification, against one such thread.
 *
 * In the rows of `layerAttach` they share one poller, a `layerWorker`. In those of `layerEventLoop`
 * each has a poller of its own. Each thread has registered some eventfds. A handler computes for
 * about 50 µs: it hashes the same number of blocks in every run. Then it makes its descriptor ready
 * again, so each thread always has work. With as many threads as cores, the polling thread of
 * `layerWorker` shares a core with one of them. Its own work is what is missing from the full
 * ratio.
 *
 * In the rows "without a poller" the threads only compute. They show what the machine itself gives.
 */
import { availableParallelism } from "node:os"
import { blocksFor } from "./support/burn.ts"
import type { Question, Row } from "./support/question.ts"

const handlerMicros = 50

const cores = availableParallelism()
const several = [2, cores].filter((threads, index) => index === 0 || threads > 2)

const side = (how: string, threads: number): string => `${how}, ${threads} ${threads === 1 ? "thread" : "threads"}`

const row = (how: string, threads: number, ratioAtLeast?: number): Row => ({
  label: `notifications handled, ${threads} threads against one, ${how}`,
  ours: { side: side(how, threads), name: "perSecond" },
  peer: { side: side(how, 1), name: "perSecond" },
  unit: "thousandsPerSecond",
  ...(ratioAtLeast === undefined ? {} : { target: { ratioAtLeast } })
})

export const b9: Question = {
  name: "b9",
  title: "threads that compute for each notification",
  sides(toolbox) {
    const blocks = String(blocksFor(handlerMicros))
    return Object.fromEntries(
      [1, ...several].flatMap((threads) => [
        [side("layerAttach", threads), [...toolbox.side("b9.ts", "attached"), String(threads), blocks]],
        [side("layerEventLoop each", threads), [...toolbox.side("b9.ts", "own"), String(threads), blocks]],
        [side("without a poller", threads), [...toolbox.side("b9.ts", "alone"), String(threads), blocks]]
      ])
    )
  },
  rows: several.flatMap((threads) => [
    // On one core, nothing can scale.
    row("layerAttach", threads, cores === 1 ? undefined : 0.8 * Math.min(threads, cores)),
    row("layerEventLoop each", threads),
    row("without a poller", threads)
  ])
}
