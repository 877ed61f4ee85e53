/**
 * B8: the time that `layerWorker` takes to start and to close, in a process that has done both
 * before, and its memory. Users install JavaScript, so the library is compiled first. The rows
 * without a target measure the TypeScript sources. There the polling thread has to strip the types
 * from each of its files.
 */
import type { Question, Row } from "./support/question.ts"

const row = (what: string, label: string, figure: string, below?: number): Row => ({
  label: `${label}, layerWorker, ${what}`,
  ours: { side: what, name: figure },
  unit: "millis",
  ...(below === undefined ? {} : { target: { below } })
})

const memory = (label: string, figure: string, below: number): Row => ({
  label: `${label}, layerWorker, compiled`,
  ours: { side: "memory", name: figure },
  unit: "kilobytes",
  target: { below }
})

export const b8: Question = {
  name: "b8",
  title: "start, close and memory of layerWorker",
  sides: ({ compiled, side }) => ({
    compiled: side("b8.ts", compiled()),
    sources: side("b8.ts", "effect-amy"),
    memory: side("b8memory.ts", compiled())
  }),
  rows: [
    row("compiled", "start", "startMillis", 40),
    row("compiled", "close", "closeMillis", 10),
    row("sources", "start", "startMillis"),
    row("sources", "close", "closeMillis"),
    memory("shared memory of a layer with one thread", "sharedBytes", 200e3),
    memory("resident memory after 2,000 layers, beyond the start", "grownBytes", 100e6),
    memory("the largest that it was meanwhile, beyond the start", "peakBytes", 100e6)
  ]
}
