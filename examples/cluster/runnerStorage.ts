/** The cluster's `RunnerStorage`, which the registry on a port keeps. */
import { Effect, Layer } from "effect"
import { ClusterError, RunnerAddress, RunnerStorage } from "effect/cluster"
import { RpcClient } from "effect/rpc"
import { Registry } from "./registry.ts"
import { host, makeProtocol } from "./transport.ts"

const persisted = ClusterError.PersistenceError.refail

export const layer = (port: number) =>
  Layer.effect(
    RunnerStorage.RunnerStorage,
    Effect.gen(function* () {
      const protocol = yield* makeProtocol(RunnerAddress.make(host, port))
      const registry = yield* RpcClient.make(Registry).pipe(Effect.provideService(RpcClient.Protocol, protocol))
      return RunnerStorage.makeEncoded({
        register: (address, runner, healthy) => persisted(registry.register({ address, runner, healthy })),
        unregister: (address) => persisted(registry.unregister({ address })),
        getRunners: Effect.map(persisted(registry.runners()), (runners) => [...runners]),
        setRunnerHealth: (address, healthy) => persisted(registry.setHealth({ address, healthy })),
        acquire: (address, shards) =>
          Effect.map(persisted(registry.acquire({ address, shards })), (shards) => [...shards]),
        refresh: (address, shards) => persisted(registry.refresh({ address, shards })),
        release: (address, shard) => persisted(registry.release({ address, shard })),
        releaseAll: (address) => persisted(registry.releaseAll({ address }))
      })
    })
  )
