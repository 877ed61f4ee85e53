/**
 * An echo server that has descriptors for a few connections only. It sends their number, and at the
 * message "measure" the share of the processor that it uses.
 */
import { Effect, Stream } from "effect"
import { Poller, Tcp } from "effect-amy"
import koffi from "koffi"
import * as Kernel from "../support/kernel.ts"

const room = 4
const setrlimit = koffi.load(null).func("int setrlimit(int resource, void *limit)") as (
  resource: number,
  limit: BigUint64Array
) => number

const commands = (async function* () {
  const waiting: Array<(command: unknown) => void> = []
  process.on("message", (command) => waiting.shift()?.(command))
  for (;;) yield await new Promise<unknown>((resolve) => waiting.push(resolve))
})()
const next = Effect.promise(async () => (await commands.next()).value)

const sockets = (): number => [...Kernel.openDescriptors().values()].filter((what) => what.startsWith("socket:")).length

const program = Effect.gen(function* () {
  const before = sockets()
  yield* Effect.gen(function* () {
    const listener = yield* Tcp.listen("127.0.0.1:0")
    yield* Effect.forkChild(
      listener.run((connection) => Stream.run(connection.stream, connection.sink)),
      {
        startImmediately: true
      }
    )
    // Occupies the free numbers below the highest one in use: the limit counts from there.
    const fillers: Array<number> = []
    const highest = Math.max(...Kernel.openDescriptors().keys())
    for (let fd = Kernel.source(); ; fd = Kernel.source()) {
      fillers.push(fd)
      if (fd > highest) break
    }
    const limit = BigInt(fillers.at(-1)! + 1 + room)
    if (setrlimit(7, new BigUint64Array([limit, limit])) !== 0) throw new Error(`setrlimit: ${koffi.errno()}`)
    process.send!({ port: listener.address.port, room })
    if ((yield* next) !== "measure") throw new Error('expected the message "measure"')
    const began = performance.now()
    const cpu = process.cpuUsage()
    yield* Effect.sleep("1 second")
    const { system, user } = process.cpuUsage(cpu)
    process.send!({ busy: (system + user) / 1000 / (performance.now() - began) })
    yield* next
    fillers.forEach(Kernel.close)
  }).pipe(
    Effect.scoped,
    Effect.provide(process.argv[2] === "layerWorker" ? Poller.layerWorker() : Poller.layerEventLoop())
  )
  process.send!({ left: sockets() - before })
})

await Effect.runPromise(program)
process.disconnect!()
