/**
 * B6: the echo of B5 through `effect/socket`. The peer is `NodeSocketServer` of
 * `@effect/platform-node`, with the same handler. The servers of others are those of B5, for
 * information.
 */
import { loads, millis, type NamedLoad, peers, row, sheets, underLoads } from "./support/echo.ts"
import type { Question, Row } from "./support/question.ts"

const ours = "layerEventLoop"
const withoutUring = "layerEventLoop without io_uring"
const what = "PollerSocketServer"

const rows = (load: NamedLoad): ReadonlyArray<Row> => [
  row(what, load, ours, "NodeSocketServer", 1.8),
  row(what, load, withoutUring, ours, 0.95),
  row(what, load, "layerWorker", "NodeSocketServer"),
  row(what, load, ours, "C", load.connections < 512 ? undefined : 0.9)
]

export const b6: Question = {
  name: "b6",
  title: "TCP echo through effect/socket",
  millis,
  sides: (toolbox) =>
    underLoads(toolbox, {
      [ours]: toolbox.side("b6.ts", "event-loop"),
      NodeSocketServer: toolbox.side("b6node.ts"),
      [withoutUring]: toolbox.forbidden(toolbox.side("b6.ts", "event-loop")),
      ...peers(toolbox),
      layerWorker: toolbox.side("b6.ts", "worker")
    }),
  rows: loads.flatMap(rows),
  sheets: sheets([ours, withoutUring, "layerWorker", "NodeSocketServer", "C", "Bun", "Go", "tokio"])
}
