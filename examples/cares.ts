/**
 * DNS through c-ares, with a server that does not reply: `npm run example examples/cares.ts`.
 *
 * It needs c-ares (Debian: libc-ares2). It asks two servers of its own, on Node's sockets: one that
 * keeps silent, and one that knows every name.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect } from "effect"
import { Poller } from "effect-amy"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import * as CAres from "./cares/cares.ts"

/** Starts a server that replies to a query with 192.0.2.7, or does not reply. Gives its address. */
const server = (isSilent: boolean) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const socket = createSocket("udp4").on("message", (query, { address, port }) => {
        if (isSilent) return
        const header = Buffer.from(query.subarray(0, 12))
        // A response, with one question and one answer.
        header.writeUInt16BE(0x8180, 2)
        header.writeUInt16BE(1, 6)
        header.writeUInt32BE(0, 8)
        const question = query.subarray(12, query.indexOf(0, 12) + 5)
        // Its name is that of the question; of type A, class IN, for a minute, with four bytes.
        const answer = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7])
        socket.send(Buffer.concat([header, question, answer]), port, address)
      })
      await once(socket.bind(0, "127.0.0.1"), "listening")
      return socket
    }),
    (socket) => Effect.sync(() => socket.close())
  ).pipe(Effect.map((socket) => `127.0.0.1:${socket.address().port}`))

const program = Effect.gen(function* () {
  const silent = yield* server(true)
  const good = yield* server(false)

  const resolver = yield* CAres.make([silent, good], 50)
  console.log("the second server replied:", yield* resolver.lookup("example.test"))
  const names = Array.from({ length: 20 }, (_, index) => `host${index}.test`)
  const found = yield* Effect.forEach(names, resolver.lookup, { concurrency: "unbounded" })
  console.log(
    found.length,
    "names at once:",
    found.flat().every((address) => address === "192.0.2.7")
  )

  const alone = yield* CAres.make([silent], 50)
  console.log("the silent server alone:", (yield* Effect.flip(alone.lookup("example.test"))).message)
})

program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()), NodeRuntime.runMain)
