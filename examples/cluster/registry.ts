/**
 * The registry of the cluster: which runners there are, and which shards each one holds. A
 * production cluster keeps it in a database (`SqlRunnerStorage`). Here one process keeps it in
 * memory and serves it to the others.
 *
 * A runner's entry lives as long as its connection. When a process dies, the kernel closes its
 * connections, so the others notice at once. (A machine that loses its network closes nothing. A
 * real registry needs time limits as well.)
 */
import { Effect, Latch, Layer, Schema } from "effect"
import { Rpc, RpcGroup, RpcServer } from "effect/rpc"

const address = Schema.String
const shards = Schema.Array(Schema.String)

/** The operations of a `RunnerStorage`. */
export class Registry extends RpcGroup.make(
  Rpc.make("register", { payload: { address, runner: Schema.String, healthy: Schema.Boolean }, success: Schema.Int }),
  Rpc.make("unregister", { payload: { address } }),
  Rpc.make("runners", { success: Schema.Array(Schema.Tuple([Schema.String, Schema.Boolean])) }),
  Rpc.make("setHealth", { payload: { address, healthy: Schema.Boolean } }),
  Rpc.make("acquire", { payload: { address, shards }, success: shards }),
  Rpc.make("refresh", { payload: { address, shards }, success: shards }),
  Rpc.make("release", { payload: { address, shard: Schema.String } }),
  Rpc.make("releaseAll", { payload: { address } })
) {}

interface Entry {
  readonly runner: string
  readonly connection: number
  healthy: boolean
}

/**
 * Serves the registry on the `SocketServer` in the context. It admits no runner until `atLeast`
 * runners have connected, so that the shards are assigned once, to all of them.
 */
export const layer = (atLeast: number) => {
  const entries = new Map<string, Entry>()
  const holders = new Map<string, string>()
  const isComplete = Latch.makeUnsafe()
  let machines = 0

  const releaseAll = (address: string): void => {
    for (const [shard, holder] of holders) if (holder === address) holders.delete(shard)
  }
  const unregister = (address: string): void => {
    entries.delete(address)
  }

  const handlers = Registry.toLayer({
    register: ({ address, healthy, runner }, { client }) =>
      Effect.suspend(() => {
        entries.set(address, { runner, healthy, connection: client.id })
        if (entries.size >= atLeast) isComplete.openUnsafe()
        return Effect.as(isComplete.await, ++machines)
      }),
    unregister: ({ address }) => Effect.sync(() => unregister(address)),
    runners: () =>
      Effect.sync(() =>
        isComplete.isOpen() ? [...entries.values()].map(({ healthy, runner }) => [runner, healthy] as const) : []
      ),
    setHealth: ({ address, healthy }) =>
      Effect.sync(() => {
        const entry = entries.get(address)
        if (entry !== undefined) entry.healthy = healthy
      }),
    acquire: ({ address, shards }) =>
      Effect.sync(() => {
        // A runner that lost its connection in the meantime has to register again first.
        if (!entries.has(address)) return []
        for (const shard of shards) if (!holders.has(shard)) holders.set(shard, address)
        return shards.filter((shard) => holders.get(shard) === address)
      }),
    refresh: ({ address, shards }) => Effect.sync(() => shards.filter((shard) => holders.get(shard) === address)),
    release: ({ address, shard }) =>
      Effect.sync(() => {
        if (holders.get(shard) === address) holders.delete(shard)
      }),
    releaseAll: ({ address }) => Effect.sync(() => releaseAll(address))
  })

  const onDisconnect = (connection: number) =>
    Effect.sync(() => {
      for (const [address, entry] of entries) {
        if (entry.connection !== connection) continue
        unregister(address)
        releaseAll(address)
      }
    })

  return RpcServer.layer(Registry, { onDisconnect }).pipe(
    Layer.provide(handlers),
    Layer.provide(RpcServer.layerProtocolSocketServer)
  )
}
