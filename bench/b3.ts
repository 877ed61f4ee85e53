/**
 * B3: one notification there and back with `layerEventLoop`. The thread writes to an eventfd, and
 * waits until the notification has come through the event loop, over and over. The peers are the
 * same loop without the library (`koffi.node.poll` on an epoll instance, `epoll_wait` in its
 * callback), and one thread in C.
 *
 * The row without a target explains the difference. There the loop without the library hands over
 * to a fiber through a `Queue`, as a library of effects has to.
 */
import type { Question, Row } from "./support/question.ts"

const row = (peer: string, ratioAtMost?: number): Row => ({
  label: `there and back, layerEventLoop, against ${peer}`,
  ours: { side: "layerEventLoop", name: "micros" },
  peer: { side: peer, name: "micros" },
  unit: "micros",
  ...(ratioAtMost === undefined ? {} : { target: { ratioAtMost } })
})

export const b3: Question = {
  name: "b3",
  title: "one notification there and back, layerEventLoop",
  sides: ({ baseline, side }) => ({
    layerEventLoop: side("b2.ts", "event-loop"),
    "a bare koffi loop": side("b3.ts", "bare"),
    "a koffi loop and a Queue": side("b3.ts", "queue"),
    C: baseline("b3")
  }),
  rows: [row("a bare koffi loop", 1.1), row("a koffi loop and a Queue"), row("C", 4)]
}
