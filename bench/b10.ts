/**
 * B10: a wait for a descriptor that a C library reads. "ready" waits for one that is ready already;
 * the peer is poll(2) through koffi, the least that such a wait can cost. "back" passes readiness
 * there and back between two fibers; the peer does so between two callbacks of `koffi.node.poll`.
 */
import type { Question } from "./support/question.ts"

const micros = (side: string) => ({ side, name: "micros" })

export const b10: Question = {
  name: "b10",
  title: "a wait for a descriptor that a C library reads",
  sides: ({ side }) => ({
    "ready, layerEventLoop": side("b10.ts", "ready-event-loop"),
    "poll(2)": side("b10.ts", "poll"),
    "ready, layerWorker": side("b10.ts", "ready-worker"),
    "back, layerEventLoop": side("b10.ts", "back-event-loop"),
    "bare loop": side("b10.ts", "bare"),
    "back, layerWorker": side("b10.ts", "back-worker")
  }),
  rows: [
    {
      label: "what is ready, layerEventLoop",
      ours: micros("ready, layerEventLoop"),
      peer: micros("poll(2)"),
      unit: "micros",
      target: { aboveAtMost: 2 }
    },
    {
      label: "what is ready, layerWorker",
      ours: micros("ready, layerWorker"),
      peer: micros("poll(2)"),
      unit: "micros",
      target: { aboveAtMost: 2 }
    },
    {
      label: "there and back, layerEventLoop",
      ours: micros("back, layerEventLoop"),
      peer: micros("bare loop"),
      unit: "micros",
      target: { ratioAtMost: 1.3 }
    },
    {
      label: "there and back, layerWorker",
      ours: micros("back, layerWorker"),
      peer: micros("bare loop"),
      unit: "micros"
    }
  ]
}
