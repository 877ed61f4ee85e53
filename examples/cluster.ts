/**
 * Effect Cluster on the poller's sockets. Each entity lives in one of several processes, and any
 * process can call it. It is for systems of more than one machine.
 *
 * - Two runners share the counters between them. Each runs in its own process. The caller of a
 *   counter does not know where the counter lives.
 * - One runner is killed. Its counters move to the other runner with the next call.
 * - The other runner is asked to leave, and leaves.
 *
 * This file has the story. `cluster/counter.ts` is the entity. `cluster/member.ts` makes a process
 * a member of the cluster. The runners meet in `cluster/registry.ts`, and `cluster/transport.ts`
 * has the sockets.
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

/** Runs a runner in this process until it has to leave. */
const run = (registryPort: number) => RunnerProcess.hasToLeave.pipe(Effect.provide(layerRunner(registryPort)))

/** Runs the story, from a client of the cluster. */
const story = Effect.fnUntraced(function* (
  runners: readonly [RunnerProcess.RunnerProcess, RunnerProcess.RunnerProcess]
) {
  const counters = yield* Counter.client

  // Shards are assigned by the runners' addresses, so a counter lives elsewhere in each run.
  const first = "counter 1"
  const { pid } = yield* counters(first).where()
  const [a, b] = pid === runners[0].pid ? runners : [runners[1], runners[0]]
  let second = first
  for (let n = 2; (yield* counters(second).where()).pid !== b.pid; n++) second = `counter ${n}`

  const nameOf = (pid: number) => (pid === a.pid ? "A" : pid === b.pid ? "B" : `unknown, process ${pid}`)
  const print = <E>(counter: string, answer: Effect.Effect<Answer, E>) =>
    Effect.flatMap(answer, ({ count, pid }) => Console.log(`${counter}: ${count}, on runner ${nameOf(pid)}`))

  yield* Console.log(`runner A is process ${a.pid}, runner B is process ${b.pid}`)
  yield* print(first, counters(first).increment())
  yield* print(first, counters(first).increment())
  yield* print("the other", counters(second).increment())
  yield* print("the other, called by the first", counters(first).pass({ to: second }))

  yield* Console.log(`runner A is killed: ${yield* a.kill}`)
  // The message waits until runner B has the counter. The counter starts at zero: its count was in
  // A's memory.
  yield* print(first, counters(first).increment())
  yield* print("the other", counters(second).increment())

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
