/**
 * A thread that Effect itself starts (`NodeWorker`). For each request it attaches to the poller of
 * the handle, waits there for the descriptor, and sends what was reported.
 */
import { NodeRuntime, NodeWorkerRunner } from "@effect/platform-node"
import { Effect } from "effect"
import { Poller, Registrar } from "effect-amy"
import * as WorkerRunner from "effect/workers/WorkerRunner"
import { plain, type PlainNotification } from "./attachedThread.ts"

export interface Request {
  readonly handle: Poller.PollerHandle
  readonly fd: number
}

export interface Response {
  readonly id: number
  readonly reported: ReadonlyArray<PlainNotification>
}

const answer = Effect.fnUntraced(function* ({ fd, handle }: Request) {
  return yield* Effect.gen(function* () {
    const poller = yield* Poller.Poller
    const id = yield* Registrar.register(fd, "Read")
    const reported = yield* poller.wait("100 seconds")
    yield* Registrar.deregister(fd)
    return { id, reported: reported.map(plain) } satisfies Response
  }).pipe(Effect.provide(Poller.layerAttach(handle)))
})

const program = Effect.gen(function* () {
  const platform = yield* WorkerRunner.WorkerRunnerPlatform
  const runner = yield* platform.start<Response, Request>()
  yield* runner.run((port, request) =>
    Effect.flatMap(answer(request), (response) => runner.send(port, response)).pipe(Effect.orDie)
  )
})

NodeRuntime.runMain(Effect.provide(program, NodeWorkerRunner.layer))
