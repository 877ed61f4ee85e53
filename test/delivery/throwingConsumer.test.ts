/**
 * A consumer runs on the library's stack. An error that its observer throws is reported, and
 * affects nothing else.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { runProgram } from "../support/programs.ts"

const ways = [
  "AsyncFd.read",
  "AsyncFd.readable",
  "Registrar.watch",
  "Poller.queue",
  "Poller.wait",
  "PollChannel.receive",
  "Tcp.read",
  "Tcp.writeAll"
]

describe("promises 4 and 8: an observer that throws silences no other consumer", () => {
  for (const layer of ["layerEventLoop", "layerWorker", "layerBlocking", "layerAttach"]) {
    it.live(`others go on in its batch, later, and when the layer closes (${layer})`, () =>
      Effect.gen(function* () {
        const { code, errors, output } = yield* runProgram("throwing", [layer])
        expect({ code, errors }).toEqual({ code: 0, errors: "" })
        expect(output.map((line) => JSON.parse(line) as unknown)).toEqual(
          ways.map((name) => ({
            name,
            sameBatch: [1, 1],
            timer: true,
            closed: ["Closed", "Closed"],
            ended: ["PollerError", "Done"],
            // Each error is reported once, as an uncaught exception.
            thrown: Array.from({ length: 4 }, () => "thrown by onExit"),
            left: 0
          }))
        )
      })
    )
  }
})
