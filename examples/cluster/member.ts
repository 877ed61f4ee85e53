/** The two kinds of members: runners, where entities live, and clients, which only call them. */
import { Effect, Layer, Option, References } from "effect"
import { MessageStorage, RunnerHealth, ShardingConfig, SocketRunner } from "effect/cluster"
import { SocketServer } from "effect/socket"
import * as Counter from "./counter.ts"
import * as RunnerStorage from "./runnerStorage.ts"
import { addressOf, layerClientProtocol, layerServer } from "./transport.ts"

/** Shorter intervals than the defaults, so that the example does not take long. */
const config = {
  shardsPerGroup: 64,
  refreshAssignmentsInterval: 100,
  entityMessagePollInterval: 500,
  shardLockRefreshInterval: 5000
}

/** The services that both need, except their configuration. */
const shared = (registryPort: number) =>
  Layer.mergeAll(layerClientProtocol, MessageStorage.layerNoop, RunnerStorage.layer(registryPort))

/** A runner has to listen before it can publish its address. */
const layerRunnerConfig = Layer.unwrap(
  SocketServer.SocketServer.pipe(
    Effect.flatMap(addressOf),
    Effect.map((address) => ShardingConfig.layer({ ...config, runnerAddress: Option.some(address) }))
  )
)

export const layerRunner = (registryPort: number) =>
  Counter.layer.pipe(
    Layer.provide(SocketRunner.layer),
    // The registry notices by itself which runners have gone.
    Layer.provide(RunnerHealth.layerNoop),
    Layer.provide(shared(registryPort)),
    Layer.provide(layerRunnerConfig),
    Layer.provide(layerServer),
    // A runner warns when no other runner can take its shards. That is so at the end of every run.
    Layer.provide(Layer.succeed(References.MinimumLogLevel, "Error"))
  )

export const layerClient = (registryPort: number) =>
  SocketRunner.layerClientOnly.pipe(Layer.provide(shared(registryPort)), Layer.provide(ShardingConfig.layer(config)))
