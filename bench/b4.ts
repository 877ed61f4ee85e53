/**
 * B4: `register` and `deregister` on one thread while another one is blocked in the poller. The
 * peer is the two system calls in C in the same situation. "bare" is the library's selector,
 * without Effect: two foreign function calls and the encoding of the event. "as effects" is what a
 * user runs.
 */
import type { Question, Row } from "./support/question.ts"

const row = (how: string, ratioAtMost: number): Row => ({
  label: `register and deregister, ${how}`,
  ours: { side: how, name: "micros" },
  peer: { side: "C", name: "micros" },
  unit: "micros",
  target: { ratioAtMost }
})

export const b4: Question = {
  name: "b4",
  title: "register and deregister while another thread waits",
  sides: ({ baseline, side }) => ({
    bare: side("b4.ts", "bare"),
    C: baseline("b4"),
    "as effects": side("b4.ts", "effects")
  }),
  rows: [row("bare", 1.3), row("as effects", 1.7)]
}
