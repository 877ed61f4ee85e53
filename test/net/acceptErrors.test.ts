/** What a listener does when accept(2) fails: promise 18. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Queue, Stream } from "effect"
import { PollerSocketServer, Tcp, Unix } from "effect-amy"
import type * as NetAddress from "effect/net/NetAddress"
import { join } from "node:path"
import { errnoOf } from "../support/errorsPage.ts"
import { failingCalls } from "../support/failingCalls.ts"
import { nextLayerEntries } from "../support/layers.ts"
import { directory } from "../support/owned.ts"
import { leavesNothing } from "./tcp/support.ts"

const ofOneConnection = [
  "ECONNABORTED",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "ENETDOWN",
  "ENETRESET",
  "ENETUNREACH",
  "ENONET",
  "ENOPROTOOPT",
  "EOPNOTSUPP",
  "EPROTO",
  "ETIMEDOUT"
]
const ofTheMoment = ["EPERM", "EACCES", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]

const accepting = failingCalls("accept4")

/** A listener of each kind, with what connects to it. */
const listeners = Effect.gen(function* () {
  const tcp = yield* Tcp.listen("127.0.0.1:0")
  const unix = yield* Unix.listen(join(yield* directory, "socket"))
  return [
    { listener: tcp as Tcp.TcpListener | Unix.UnixListener, connect: Effect.asVoid(Tcp.connect(tcp.address)) },
    {
      listener: unix as Tcp.TcpListener | Unix.UnixListener,
      connect: Effect.asVoid(Unix.connect((unix.address as { path: string }).path))
    }
  ]
})

describe.skipIf(process.platform !== "linux")("a listener goes on", () => {
  it.live("after every error of one connection, and every error of the moment", () =>
    Effect.gen(function* () {
      const calls = yield* accepting
      yield* Effect.gen(function* () {
        for (const { connect, listener } of yield* listeners) {
          for (const code of [...ofOneConnection, ...ofTheMoment]) {
            calls.errnos.push(errnoOf(code))
            yield* connect
            yield* listener.accept
            expect(calls.errnos, code).toEqual([])
          }
        }
      }).pipe(Effect.scoped, Effect.provide(nextLayerEntries()[0]![1]()))
    }).pipe(Effect.scoped, leavesNothing)
  )

  it.live("in `run`, `incoming` and a SocketServer", () =>
    Effect.gen(function* () {
      const calls = yield* accepting
      const all = [...ofOneConnection, "EPERM", "EMFILE"].map(errnoOf)
      yield* Effect.gen(function* () {
        const served = yield* Queue.unbounded<string>()
        const serve = Queue.offer(served, "served")
        for (const { connect, listener } of yield* listeners) {
          const fiber = yield* Effect.forkChild((listener as Tcp.TcpListener).run(() => serve))
          calls.errnos.push(...all)
          yield* connect
          expect(yield* Queue.take(served)).toBe("served")
          yield* Fiber.interrupt(fiber)

          calls.errnos.push(...all)
          yield* connect
          const incoming = (listener as Tcp.TcpListener).incoming
          expect(yield* Stream.runCollect(Stream.take(incoming, 1))).toHaveLength(1)
        }
        const server = yield* PollerSocketServer.make({ host: "127.0.0.1", port: 0 })
        yield* Effect.forkChild(server.run(() => serve))
        calls.errnos.push(...all)
        yield* Tcp.connect(server.address as NetAddress.InetAddress)
        expect(yield* Queue.take(served)).toBe("served")
      }).pipe(Effect.scoped, Effect.provide(nextLayerEntries().at(-1)![1]()))
    }).pipe(Effect.scoped, leavesNothing)
  )

  it.live("without keeping the thread, where every attempt fails", () =>
    Effect.gen(function* () {
      const calls = yield* accepting
      yield* Effect.gen(function* () {
        const listener = yield* Tcp.listen("127.0.0.1:0")
        for (let i = 0; i < 200; i++) calls.errnos.push(errnoOf("EHOSTDOWN"))
        yield* Tcp.connect(listener.address)
        const fiber = yield* Effect.forkChild(listener.accept, { startImmediately: true })
        expect(calls.count).toBeLessThan(200)
        expect(fiber.pollUnsafe()).toBeUndefined()
        yield* Fiber.join(fiber)
        expect(calls.count).toBe(201)
      }).pipe(Effect.scoped, Effect.provide(nextLayerEntries()[0]![1]()))
    }).pipe(Effect.scoped, leavesNothing)
  )
})

describe.skipIf(process.platform !== "linux")("a listener ends", () => {
  it.live("where its descriptor cannot accept any more", () =>
    Effect.gen(function* () {
      const calls = yield* accepting
      yield* Effect.gen(function* () {
        const listener = yield* Tcp.listen("127.0.0.1:0")
        for (const [code, tag] of [
          ["EBADF", "BadDescriptor"],
          ["EINVAL", "InvalidArgument"],
          ["ENOTSOCK", "InvalidArgument"],
          ["EFAULT", "SystemError"]
        ]) {
          calls.errnos.push(errnoOf(code!))
          yield* Tcp.connect(listener.address)
          const { reason } = yield* Effect.flip(listener.accept)
          expect(reason).toMatchObject({ _tag: tag, code })
        }
      }).pipe(Effect.scoped, Effect.provide(nextLayerEntries()[0]![1]()))
    }).pipe(Effect.scoped, leavesNothing)
  )
})
