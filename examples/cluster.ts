/**
 * Effect Cluster on the poller's sockets: entities that live in one process of several, and are asked from any, for those
 * who outgrow one machine.
 *
 * - Two runners share the counters between them, each in a process of its own. Who asks a counter does not know where
 *   it lives.
 * - One runner is killed. Its counters live on in the other one, from the next question on.
 * - The other one is asked to leave, and does.
 *
 * This file has the story. `cluster/counter.ts` is the entity, `cluster/member.ts` what makes a process a part of the
 * cluster, `cluster/registry.ts` where the runners meet, and `cluster/transport.ts` the sockets.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import { RpcSerialization } from "effect/rpc"
import { SocketServer } from "effect/socket"
import { Poller } from "effect-amy"
import { type Answer, Counter } from "./cluster/counter.ts"
import { layerClient, layerRunner } from "./cluster/member.ts"
import * as Registry from "./cluster/registry.ts"
import * as RunnerProcess from "./cluster/runnerProcess.ts"
import { addressOf, layerServer } from "./cluster/transport.ts"

/** What a runner's process does, until it is to leave. */
const run = (registryPort: number) => RunnerProcess.hasToLeave.pipe(Effect.provide(layerRunner(registryPort)))

/** What happens, told by a client of the cluster. */
const story = Effect.fnUntraced(function* (
  runners: readonly [RunnerProcess.RunnerProcess, RunnerProcess.RunnerProcess]
) {
  const counters = yield* Counter.client

  // Shards are dealt out by the runners' addresses, so where a counter lives is another matter each time.
  const first = "counter 1"
  const { pid } = yield* counters(first).where()
  const [a, b] = pid === runners[0].pid ? runners : [runners[1], runners[0]]
  let second = first
  for (let n = 2; (yield* counters(second).where()).pid !== b.pid; n++) second = `counter ${n}`

  const nameOf = (pid: number) => (pid === a.pid ? "A" : pid === b.pid ? "B" : `a stranger, process ${pid}`)
  const tell = <E>(who: string, answer: Effect.Effect<Answer, E>) =>
    Effect.flatMap(answer, ({ count, pid }) => Console.log(`${who}: ${count}, says runner ${nameOf(pid)}`))

  yield* Console.log(`runner A is process ${a.pid}, runner B is process ${b.pid}`)
  yield* tell(first, counters(first).increment())
  yield* tell(first, counters(first).increment())
  yield* tell("the other", counters(second).increment())
  yield* tell("the other, asked by the first", counters(first).pass({ to: second }))

  yield* Console.log(`runner A is killed: ${yield* a.kill}`)
  // The message waits until somebody has the counter again. It begins anew, for its count was in A's memory.
  yield* tell(first, counters(first).increment())
  yield* tell("the other", counters(second).increment())

  yield* Console.log(`runner B leaves: ${yield* b.leave}`)
})

const lead = Effect.gen(function* () {
  const { port } = yield* addressOf(yield* SocketServer.SocketServer)
  const runners = yield* Effect.all([
    RunnerProcess.start("--runner", `${port}`),
    RunnerProcess.start("--runner", `${port}`)
  ])
  yield* story(runners).pipe(
    Effect.timeout("1 minute"),
    Effect.provide(layerClient(port)),
    Effect.raceFirst(Effect.raceAllFirst(runners.map(({ watch }) => watch)))
  )
}).pipe(
  Effect.scoped,
  Effect.provide(Registry.layer(2).pipe(Layer.provideMerge(layerServer))),
  Effect.andThen(Console.log("everything is closed"))
)

const [mode, port] = process.argv.slice(2)

Effect.suspend(() => (mode === "--runner" ? run(Number(port)) : lead)).pipe(
  Effect.provide(RpcSerialization.layerSchemaBinary()),
  Effect.provide(Poller.layerEventLoop()),
  NodeRuntime.runMain
)
