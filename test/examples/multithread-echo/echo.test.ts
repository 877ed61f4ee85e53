/**
 * The part of the main example that is easy to get wrong: what becomes of a connection that was dealt to a thread. Without
 * threads and without chance: the test is the client.
 */
import { expect, it } from "@effect/vitest"
import { Effect, Fiber, Queue } from "effect"
import { Poller } from "effect-amy"
import * as Echo from "../../../examples/multithread-echo/echo.ts"
import type { WorkerReport } from "../../../examples/multithread-echo/messages.ts"
import * as Kernel from "../../support/kernel.ts"
import { describeLayers, readyNow } from "../../support/layers.ts"

/** Reads all there is; answers how many bytes that was. */
const readAll = (fd: number): number => {
  let total = 0
  for (let length = Kernel.read(fd); length > 0; length = Kernel.read(fd)) total += length
  return total
}

/** Both ends of a connection; the scope closes the client's, and whoever serves the other one closes that. */
const pair = Effect.acquireRelease(Effect.sync(Kernel.tcpPair), ([client]) => Effect.sync(() => Kernel.close(client)))

/** Connections, and what they report. */
const server = Effect.gen(function* () {
  const reports = yield* Queue.make<WorkerReport>()
  const serve = yield* Echo.make((report) => Effect.asVoid(Queue.offer(reports, report)))
  return { serve, report: Queue.take(reports) }
})

/** Lets the fibers do all that can be done now. Answers what the client has read until it is so and so much. */
const readUntil = Effect.fnUntraced(function* (fd: number, total: number) {
  let read = readAll(fd)
  while (read < total) {
    yield* readyNow
    yield* Effect.yieldNow
    read += readAll(fd)
  }
  return read
})

describeLayers("the connections of examples/multithread-echo.ts", (layer) => {
  it.live("go on when a full send buffer has room again, and are read again after that", () =>
    Effect.gen(function* () {
      const { report, serve } = yield* server
      const [client, fd] = yield* pair
      const serving = yield* Effect.forkChild(serve(fd))

      // The client sends and does not read, until it could write nothing more though the server had its turn.
      let sent = 0
      for (let inVain = 0; inVain < 3;) {
        const filled = Kernel.fill(client)
        sent += filled
        inVain = filled > 0 ? 0 : inVain + 1
        yield* readyNow
        yield* Effect.yieldNow
      }
      // It reads, and sends nothing: only room to write can bring the rest.
      expect(yield* readUntil(client, sent)).toBe(sent)

      Kernel.write(client, 10)
      expect(yield* readUntil(client, 10)).toBe(10)

      Kernel.shutdownWrite(client)
      const total = sent + 10
      const ended = yield* report
      expect(ended).toMatchObject({ connections: 1, failures: 0, received: total, sent: total })
      expect(ended.fullBuffers).toBeGreaterThan(0)
      expect(ended.notifications).toBeGreaterThan(0)
      yield* Fiber.join(serving)
      expect(Kernel.isOpen(fd)).toBe(false)
      const poller = yield* Poller.Poller
      expect((yield* poller.stats).registrations).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("end, each for itself, when a client has broken off", () =>
    Effect.gen(function* () {
      const { report, serve } = yield* server
      const [gone, first] = Kernel.tcpPair()
      const [there, second] = yield* pair
      const serving = yield* Effect.forkChild(Effect.all([serve(first), serve(second)], { concurrency: 2 }))
      Kernel.closeWithReset(gone)
      expect(yield* report).toMatchObject({
        connections: 1,
        failures: 1,
        lastFailure: expect.stringMatching(/^recv on fd \d+: ECONNRESET/) as unknown
      })
      expect(Kernel.isOpen(first)).toBe(false)
      Kernel.write(there, 1)
      expect(yield* readUntil(there, 1)).toBe(1)
      Kernel.shutdownWrite(there)
      expect(yield* report).toMatchObject({ connections: 2, failures: 1, received: 1, sent: 1 })
      yield* Fiber.join(serving)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("are closed when they are interrupted, as those are that a closing thread has left", () =>
    Effect.gen(function* () {
      const { serve } = yield* server
      const [client, fd] = yield* pair
      const serving = yield* Effect.forkChild(serve(fd))
      Kernel.write(client, 1)
      expect(yield* readUntil(client, 1)).toBe(1)
      expect(Kernel.isOpen(fd)).toBe(true)
      yield* Fiber.interrupt(serving)
      expect(Kernel.isOpen(fd)).toBe(false)
      const poller = yield* Poller.Poller
      expect((yield* poller.stats).registrations).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})
