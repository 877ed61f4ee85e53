/**
 * Tests the part of the main example that is easy to get wrong: the life of a connection that was
 * dealt to a thread. There are no threads here, and the test is the client.
 */
import { expect, it } from "@effect/vitest"
import { Effect, Fiber, Queue } from "effect"
import { Poller } from "effect-amy"
import * as Echo from "../../../examples/multithread-echo/echo.ts"
import type { WorkerReport } from "../../../examples/multithread-echo/messages.ts"
import * as Kernel from "../../support/kernel.ts"
import { describeLayers, readyNow } from "../../support/layers.ts"

/** Reads everything there is. Returns the number of bytes. */
const readAll = (fd: number): number => {
  let total = 0
  for (let length = Kernel.read(fd); length > 0; length = Kernel.read(fd)) total += length
  return total
}

/**
 * Makes both ends of a connection. The scope closes the client's end, and the server closes its
 * own.
 */
const pair = Effect.acquireRelease(Effect.sync(Kernel.tcpPair), ([client]) => Effect.sync(() => Kernel.close(client)))

/** Makes the connections, and the list of their reports. */
const server = Effect.gen(function* () {
  const reports = yield* Queue.make<WorkerReport>()
  const serve = yield* Echo.make((report) => Effect.asVoid(Queue.offer(reports, report)))
  return { serve, report: Queue.take(reports) }
})

/** Lets the fibers run until the client has read a number of bytes. */
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
  it.live("a connection goes on when a full send buffer has room again, and is read again after that", () =>
    Effect.gen(function* () {
      const { report, serve } = yield* server
      const [client, fd] = yield* pair
      const serving = yield* Effect.forkChild(serve(fd))

      // The client sends and does not read, until it cannot write even after the server had its
      // turn.
      let sent = 0
      for (let inVain = 0; inVain < 3;) {
        const filled = Kernel.fill(client)
        sent += filled
        inVain = filled > 0 ? 0 : inVain + 1
        yield* readyNow
        yield* Effect.yieldNow
      }
      // The client reads and sends nothing, so that only room to write can bring the rest.
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

  it.live("a connection whose client has reset it ends alone", () =>
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

  it.live("interruption closes the connections, as the end of their thread does", () =>
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
