/**
 * Transfers through libcurl, twenty at once: `npm run example examples/curl.ts`.
 *
 * It needs libcurl (Debian: libcurl4). The server is one of Node's, in the same process.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect } from "effect"
import { Poller } from "effect-amy"
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import * as Curl from "./curl/curl.ts"

/** Starts a server that sends as many bytes as the path says, in parts. Gives its URL. */
const server = Effect.acquireRelease(
  Effect.promise(async () => {
    const server = createServer((request, response) => {
      const length = Number(request.url!.slice(1))
      if (Number.isNaN(length)) return // It never replies.
      for (let sent = 0; sent < length; sent += 10_000)
        response.write(Buffer.alloc(Math.min(10_000, length - sent), "x"))
      response.end()
    })
    await once(server.listen(0, "127.0.0.1"), "listening")
    return server
  }),
  (server) =>
    Effect.promise(() => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(resolve))
    })
).pipe(Effect.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`))

const program = Effect.gen(function* () {
  const url = yield* server
  const client = yield* Curl.make
  const lengths = Array.from({ length: 20 }, (_, index) => (index + 1) * 50_000)
  const bodies = yield* Effect.forEach(lengths, (length) => client.get(`${url}/${length}`), {
    concurrency: "unbounded"
  })
  const total = bodies.reduce((sum, body) => sum + body.length, 0)
  console.log(`${bodies.length} transfers at once, ${total} bytes`)

  console.log("no reply:", (yield* Effect.timeoutOption(client.get(`${url}/never`), "50 millis"))._tag)
  console.log("refused:", (yield* Effect.flip(client.get("http://127.0.0.1:1/"))).message)
})

program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()), NodeRuntime.runMain)
