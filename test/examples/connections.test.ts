/**
 * The part of the main example that is easy to get wrong: what a connection waits for. Without threads and without
 * chance: the test is the client, and says when the server has its turn.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Poller } from "effect-amy"
import * as Connections from "../../examples/support/connections.ts"
import { EchoConnection } from "../../examples/support/echoConnection.ts"
import type { WorkerReport } from "../../examples/support/messages.ts"
import * as Kernel from "../support/kernel.ts"
import { readyNow } from "../support/layers.ts"

/** Reads all there is; answers how many bytes that was. */
const readAll = (fd: number): number => {
  let total = 0
  for (let length = Kernel.read(fd); length > 0; length = Kernel.read(fd)) total += length
  return total
}

/** Both ends of a connection; the scope closes the client's, and who adopts the other one closes that. */
const pair = Effect.acquireRelease(Effect.sync(Kernel.socketPair), ([client]) =>
  Effect.sync(() => Kernel.close(client))
)

/** The connections of a thread, and what they have reported; `turn` goes on with whatever is ready now. */
const server = Effect.gen(function* () {
  const reports: Array<WorkerReport> = []
  const connections = yield* Connections.make((report) => Effect.sync(() => void reports.push(report)))
  const turn = Effect.gen(function* () {
    const ready = yield* readyNow
    for (const { id } of ready) yield* connections.advance(id)
    return ready.length
  })
  return { connections, reports, turn }
})

describe("the connections of examples/multithread-echo.ts", () => {
  it.live("go on when a full send buffer has room again, and are read again after that", () =>
    Effect.gen(function* () {
      const { connections, reports, turn } = yield* server
      const [client, fd] = yield* pair
      yield* connections.adopt(fd)

      // The client sends and does not read, until neither of the two can write any more.
      let sent = 0
      for (let filled = Kernel.fill(client); filled > 0; filled = Kernel.fill(client)) {
        sent += filled
        yield* turn
      }
      expect(yield* turn).toBe(0)

      // It reads, and sends nothing: only room to write can bring the rest.
      let echoed = 0
      do {
        echoed += readAll(client)
      } while ((yield* turn) > 0)
      expect(echoed).toBe(sent)

      sent += Kernel.write(client, 10)
      yield* turn
      echoed += readAll(client)
      expect(echoed).toBe(sent)

      Kernel.shutdownWrite(client)
      yield* turn
      expect(reports).toMatchObject([{ connections: 1, failures: 0, received: sent, sent }])
      expect(reports[0]!.fullBuffers).toBeGreaterThan(0)
      expect(Kernel.isOpen(fd)).toBe(false)
      const poller = yield* Poller.Poller
      expect((yield* poller.stats).registrations).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))
  )

  it.live("end, each for itself, when a client has broken off", () =>
    Effect.gen(function* () {
      const { connections, reports, turn } = yield* server
      const [gone, first] = Kernel.socketPair()
      const [there, second] = yield* pair
      yield* connections.adopt(first)
      yield* connections.adopt(second)
      Kernel.write(gone, 1)
      Kernel.close(gone)
      Kernel.write(there, 1)
      yield* turn
      expect(readAll(there)).toBe(1)
      expect(reports).toMatchObject([{ connections: 1, failures: 1, lastFailure: "write failed: EPIPE" }])
      expect(Kernel.isOpen(first)).toBe(false)
      expect(Kernel.isOpen(second)).toBe(true)
    }).pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))
  )

  it.live("are closed with their scope", () =>
    Effect.gen(function* () {
      const [, fd] = yield* pair
      yield* Effect.scoped(Effect.flatMap(server, ({ connections }) => connections.adopt(fd)))
      expect(Kernel.isOpen(fd)).toBe(false)
      const poller = yield* Poller.Poller
      expect((yield* poller.stats).registrations).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))
  )

  it("read nothing more while the send buffer is full", () => {
    const [client, fd] = Kernel.socketPair()
    const connection = new EchoConnection(fd)
    expect(connection.advance()).toBe("Read")
    do Kernel.fill(client)
    while (connection.advance() !== "Write")
    Kernel.fill(client)
    const { received, sent } = connection
    expect(connection.advance()).toBe("Write")
    expect(connection.received).toBe(received)
    expect(received - sent).toBeGreaterThan(0)
    expect(received - sent).toBeLessThanOrEqual(64 * 1024)
    Kernel.close(client)
    Kernel.close(fd)
  })
})
