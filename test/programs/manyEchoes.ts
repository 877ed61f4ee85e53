/**
 * Serves fifty clients of node:net that all write at the same moment, on each layer. Prints how its
 * sockets were read and written there.
 */
import { Effect, Layer } from "effect"
import { Poller, Tcp } from "effect-amy"
import { once } from "node:events"
import * as net from "node:net"
import { SocketBatch } from "../../src/internal/bytes/socketBatch.ts"
import { provideLibc, libc } from "../../src/internal/libc/koffi.ts"
import type { Functions } from "../../src/internal/libc/prototypes/index.ts"
import { iocbsAt } from "../support/olderKernel.ts"

const layers = {
  layerWorker: Poller.layerWorker(),
  layerEventLoop: Poller.layerEventLoop(),
  layerBlocking: Poller.layerBlocking({ allowMainThread: true }),
  layerAttach: Layer.unwrap(Effect.map(Poller.Poller, ({ handle }) => Poller.layerAttach(handle))).pipe(
    Layer.provide(Poller.layerWorker())
  )
}

// The clock stands still, so that writes stay in one batch on a slow machine, too.
SocketBatch.now = () => 0

const used = new Set<string>()
const real = libc()
const functions: Partial<Functions> = {
  io_uring_enter: (...all) => {
    used.add("io_uring")
    return real.functions.io_uring_enter(...all)
  },
  io_submit: (number, context, count, calls) => {
    // A single call may be the one by which the library finds out what the kernel knows.
    if (iocbsAt(count, calls).length > 1) used.add("Linux AIO")
    return real.functions.io_submit(number, context, count, calls)
  }
}
provideLibc({
  ...real,
  functions: Object.create(real.functions, Object.getOwnPropertyDescriptors(functions)) as Functions
})

const echo = (connection: Tcp.TcpStream) =>
  Effect.gen(function* () {
    const buffer = new Uint8Array(100)
    for (;;) {
      const count = yield* connection.read(buffer)
      if (count === 0) return
      yield* connection.writeAll(buffer, 0, count)
    }
  })

const clients = async (port: number) => {
  const sockets = await Promise.all(
    Array.from({ length: 50 }, async () => {
      const socket = net.connect(port, "127.0.0.1")
      await once(socket, "connect")
      return socket
    })
  )
  for (let round = 0; round < 3; round++) {
    const texts = sockets.map((_, index) => `message ${round} of ${index}`)
    sockets.forEach((socket, index) => socket.write(texts[index]!))
    const replies = await Promise.all(
      sockets.map(async (socket, index) => {
        let reply = ""
        while (reply.length < texts[index]!.length) reply += String((await once(socket, "data"))[0])
        return reply
      })
    )
    if (replies.join() !== texts.join()) throw new Error("a reply differs from its message")
  }
  for (const socket of sockets) socket.destroy()
}

const kinds: Record<string, string> = {}
for (const [name, layer] of Object.entries(layers)) {
  used.clear()
  const program = Effect.gen(function* () {
    const listener = yield* Tcp.listen("127.0.0.1:0")
    yield* Effect.forkScoped(listener.run(echo))
    yield* Effect.promise(() => clients(listener.address.port))
  })
  await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(layer)))
  kinds[name] = [...used].join() || "single calls"
}
console.log(JSON.stringify(kinds))
