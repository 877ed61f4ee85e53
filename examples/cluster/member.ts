/** The two ways to take part in the cluster: as a runner, where entities live, and as a client, which only asks. */
import { Effect, Layer, Option, References } from "effect"
import { MessageStorage, RunnerHealth, ShardingConfig, SocketRunner } from "effect/cluster"
import { SocketServer } from "effect/socket"
import * as Counter from "./counter.ts"
import * as RunnerStorage from "./runnerStorage.ts"
import { addressOf, layerClientProtocol, layerServer } from "./transport.ts"

/** Shorter than the defaults: nobody wants to watch an example wait. */
const config = {
  shardsPerGroup: 64,
  refreshAssignmentsInterval: 100,
  entityMessagePollInterval: 500,
  shardLockRefreshInterval: 5000
}

/** What both need, but for their configuration. */
const shared = (registryPort: number) =>
  Layer.mergeAll(layerClientProtocol, MessageStorage.layerNoop, RunnerStorage.layer(registryPort))

/** A runner has to listen before it can say where. */
const layerRunnerConfig = Layer.unwrap(
  SocketServer.SocketServer.pipe(
    Effect.flatMap(addressOf),
    Effect.map((address) => ShardingConfig.layer({ ...config, runnerAddress: Option.some(address) }))
  )
)

export const layerRunner = (registryPort: number) =>
  Counter.layer.pipe(
    Layer.provide(SocketRunner.layer),
    // The registry sees by itself who is gone.
    Layer.provide(RunnerHealth.layerNoop),
    Layer.provide(shared(registryPort)),
    Layer.provide(layerRunnerConfig),
    Layer.provide(layerServer),
    // It warns when there is nobody left to hand its shards to, which is so at the end of every story.
    Layer.provide(Layer.succeed(References.MinimumLogLevel, "Error"))
  )

export const layerClient = (registryPort: number) =>
  SocketRunner.layerClientOnly.pipe(Layer.provide(shared(registryPort)), Layer.provide(ShardingConfig.layer(config)))
