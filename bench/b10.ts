/**
 * B10: a wait for a descriptor that a C library reads. "ready" waits for one that is ready already;
 * the peer is poll(2) through koffi, the least that such a wait can cost. "back" passes readiness
 * there and back between two fibers. One peer does so between two callbacks of `koffi.node.poll`,
 * which stay, and so would miss a socket that the library has replaced. The other opens one for each
 * wait, which is what a wait of this library does.
 */
import type { Question, Row } from "./support/question.ts"

const layers = {
  layerEventLoop: "event-loop",
  layerWorker: "worker",
  layerAttach: "attached",
  layerBlocking: "blocking"
} as const

const micros = (side: string) => ({ side, name: "micros" })

export const b10: Question = {
  name: "b10",
  title: "a wait for a descriptor that a C library reads",
  sides: ({ side }) => ({
    "poll(2)": side("b10.ts", "poll"),
    "bare loop": side("b10.ts", "bare"),
    "bare loop, anew": side("b10.ts", "anew"),
    ...Object.fromEntries(
      Object.entries(layers).flatMap(([name, argument]) => [
        [`ready, ${name}`, side("b10.ts", `ready-${argument}`)],
        [`back, ${name}`, side("b10.ts", `back-${argument}`)]
      ])
    )
  }),
  rows: Object.keys(layers).flatMap((name): ReadonlyArray<Row> => [
    {
      label: `what is ready, ${name}`,
      ours: micros(`ready, ${name}`),
      peer: micros("poll(2)"),
      unit: "micros",
      target: { aboveAtMost: 2 }
    },
    {
      label: `there and back, ${name}`,
      ours: micros(`back, ${name}`),
      peer: micros("bare loop"),
      unit: "micros",
      ...(name === "layerEventLoop" ? { target: { ratioAtMost: 1.3 } } : {})
    },
    {
      label: `the same, against a watch for each wait, ${name}`,
      ours: micros(`back, ${name}`),
      peer: micros("bare loop, anew"),
      unit: "micros"
    }
  ])
}
