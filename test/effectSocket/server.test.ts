/**
 * `SocketServer` as its module documents it: the same tests on Node's implementation and on ours.
 */
import { expect, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Latch, Logger, Queue, Scope } from "effect"
import { NetAddress } from "effect/net"
import type { Socket } from "effect/socket"
import { PollerSocket } from "effect-amy"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  anyPort,
  describeSockets,
  echo,
  failureOf,
  pullText,
  pullToEnd,
  serving,
  whereIs
} from "../support/effectSockets.ts"
import { turn } from "../support/watched.ts"

/** Sends a text to each connection, and ends it. */
const say = (text: string) => (socket: Socket.Socket) =>
  Effect.gen(function* () {
    yield* socket.reader
    const { write } = yield* socket.writer
    yield* write(text)
  }).pipe(Effect.scoped)

/** Reads all that a server sends to a new connection. */
const hear = ({ reader }: Socket.Socket) =>
  Effect.scoped(Effect.flatMap(reader, ({ pull }) => Effect.map(pullToEnd(pull), ({ bytes }) => bytes.toString())))

describeSockets("SocketServer", (sockets, run) => {
  const { connect, listen } = sockets

  it.live("has an address with the port that the kernel chose", () =>
    run(
      Effect.gen(function* () {
        const { address } = yield* listen(anyPort)
        expect(address).toMatchObject({ _tag: "InetAddressV4" })
        expect("port" in address && address.port).toBeGreaterThan(0)
      })
    )
  )

  it.live("an address in use is an open error", () =>
    run(
      Effect.gen(function* () {
        const server = yield* listen(anyPort)
        const error = yield* Effect.flip(Effect.scoped(listen(whereIs(server))))
        expect([error._tag, error.reason._tag]).toEqual(["SocketServerError", "SocketServerOpenError"])
      })
    )
  )

  it.live("connections wait while it does not run", () =>
    run(
      Effect.gen(function* () {
        const server = yield* listen(anyPort)
        for (const text of ["first", "second"]) {
          const socket = yield* connect(whereIs(server))
          const hearing = yield* Effect.forkChild(hear(socket), { startImmediately: true })
          yield* turn
          expect(hearing.pollUnsafe()).toBeUndefined()
          const running = yield* Effect.forkChild(server.run(say(text)), { startImmediately: true })
          expect(yield* Fiber.join(hearing)).toBe(text)
          yield* Fiber.interrupt(running)
        }
      })
    )
  )

  it.live("an error that a handler does not handle is logged, and the server goes on", () =>
    run(
      Effect.gen(function* () {
        const lines: Array<string> = []
        const logger = Logger.map(Logger.formatLogFmt, (line) => void lines.push(line))
        const server = yield* listen(anyPort)
        let connections = 0
        yield* server
          .run((socket) =>
            Effect.gen(function* () {
              const n = ++connections
              yield* say(`${n}`)(socket)
              if (n === 1) return yield* Effect.fail("this one fails")
              if (n === 2) return yield* Effect.die("this one dies")
            })
          )
          .pipe(Effect.provide(Logger.layer([logger])), Effect.forkScoped({ startImmediately: true }))
        const socket = yield* connect(whereIs(server))
        expect([yield* hear(socket), yield* hear(socket), yield* hear(socket)]).toEqual(["1", "2", "3"])
        expect(lines).toHaveLength(2)
        for (const line of lines) expect(line).toContain("Unhandled error in SocketServer")
        expect([lines[0], lines[1]]).toEqual([
          expect.stringContaining("this one fails"),
          expect.stringContaining("this one dies")
        ])
      })
    )
  )

  it.live("when its scope closes while it runs, the handlers at work go on to their end", () =>
    run(
      Effect.gen(function* () {
        const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
        const server = yield* Scope.provide(listen(anyPort), scope)
        const started = Latch.makeUnsafe()
        const mayAnswer = Latch.makeUnsafe()
        yield* server
          .run((socket) =>
            Effect.gen(function* () {
              yield* socket.reader
              yield* started.open
              yield* mayAnswer.await
              const { write } = yield* socket.writer
              yield* write("answer")
            }).pipe(Effect.scoped)
          )
          .pipe(Effect.ignore, Effect.forkScoped({ startImmediately: true }))
        const hearing = yield* Effect.forkChild(Effect.flatMap(connect(whereIs(server)), hear), {
          startImmediately: true
        })
        yield* started.await
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
        for (let i = 0; i < 5; i++) yield* turn
        yield* mayAnswer.open
        expect(yield* Fiber.join(hearing)).toBe("answer")
        yield* Fiber.join(closing)
      })
    )
  )

  it.live("interrupting it interrupts the handlers, and closes their connections", () =>
    run(
      Effect.gen(function* () {
        const server = yield* listen(anyPort)
        const started = Latch.makeUnsafe()
        const exits = yield* Queue.unbounded<Exit.Exit<unknown, unknown>>()
        const running = yield* Effect.forkChild(
          server.run((socket) =>
            Effect.gen(function* () {
              const { pull } = yield* socket.reader
              yield* started.open
              yield* pull
            }).pipe(
              Effect.scoped,
              Effect.onExit((exit) => Queue.offer(exits, exit))
            )
          )
        )
        const socket = yield* connect(whereIs(server))
        const { pull } = yield* socket.reader
        yield* started.await
        yield* Fiber.interrupt(running)
        const exit = yield* Queue.take(exits)
        expect(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)).toBe(true)
        expect(yield* failureOf(pull)).toBe("SocketCloseError 1000")
      })
    )
  )

  it.live("many connections at a time do not disturb each other", () =>
    run(
      Effect.gen(function* () {
        const socket = yield* serving(sockets, echo)
        const server = yield* listen(anyPort)
        yield* Effect.forkScoped(server.run(echo), { startImmediately: true })
        yield* Effect.forEach(
          Array.from({ length: 100 }, (_, n) => n),
          (n) =>
            Effect.gen(function* () {
              const socket = yield* connect(whereIs(server))
              const { pull } = yield* socket.reader
              const { write } = yield* socket.writer
              for (let round = 0; round < 3; round++) {
                const text = `connection ${n}, round ${round}`
                yield* write(text)
                yield* pullText(pull, text)
              }
            }).pipe(Effect.scoped),
          { concurrency: "unbounded", discard: true }
        )
        yield* Effect.scoped(socket.reader)
      })
    )
  )

  it.live("listens at a path, and removes it at the end", () =>
    run(
      Effect.gen(function* () {
        const directory = yield* Effect.acquireRelease(
          Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-socket-"))),
          (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
        )
        const path = join(directory, "server")
        yield* Effect.gen(function* () {
          const server = yield* listen({ path })
          expect(server.address).toMatchObject({ _tag: "UnixPathAddress", path })
          yield* Effect.forkScoped(server.run(say("from a path")), { startImmediately: true })
          expect(yield* hear(yield* connect({ path }))).toBe("from a path")
        }).pipe(Effect.scoped)
        expect(existsSync(path)).toBe(false)
      })
    )
  )
})

describeSockets("SocketServer: an abstract name", (sockets, run) => {
  it.live("is a path that begins with a zero byte, and the reported address leads to it", () =>
    run(
      Effect.gen(function* () {
        for (const name of [`abstract ${process.pid}`, `zeros\0 ${process.pid}\0`]) {
          const path = `\0effect-amy ${name}`
          const server = yield* sockets.listen({ path })
          expect(server.address).toEqual(NetAddress.unixPathAddress(path))
          yield* Effect.forkScoped(server.run(say("from a name")), { startImmediately: true })
          expect(yield* hear(yield* sockets.connect(whereIs(server)))).toBe("from a name")
          expect(yield* hear(yield* PollerSocket.make({ address: server.address }))).toBe("from a name")
          const { reason } = yield* Effect.flip(Effect.scoped(sockets.listen({ path })))
          expect(reason._tag).toBe("SocketServerOpenError")
        }
      })
    )
  )
})

describeSockets("SocketServer: the last bytes before the end arrive", (sockets, run) => {
  /** More bytes than the kernel accepts while the peer reads nothing. */
  const answer = Buffer.alloc(1024 * 1024, "answer ")

  it.live("if bytes of the peer were left unread", () =>
    run(
      Effect.gen(function* () {
        const hasAsked = Latch.makeUnsafe()
        const socket = yield* serving(sockets, (socket) =>
          Effect.gen(function* () {
            yield* socket.reader
            const { write } = yield* socket.writer
            yield* hasAsked.await
            yield* write(answer)
          }).pipe(Effect.scoped)
        )
        const { pull } = yield* socket.reader
        const { write } = yield* socket.writer
        yield* write("a request that nobody reads")
        // A turn of the event loop later, either implementation has sent it.
        yield* turn
        yield* hasAsked.open
        const { bytes, end } = yield* pullToEnd(pull)
        expect([bytes.equals(answer), end]).toEqual([true, "SocketCloseError 1000"])
      })
    )
  )

  it.live("if the first request was read, and the second was not", () =>
    run(
      Effect.gen(function* () {
        const hasRead = Latch.makeUnsafe()
        const hasAskedAgain = Latch.makeUnsafe()
        const socket = yield* serving(sockets, (socket) =>
          Effect.gen(function* () {
            const { pull } = yield* socket.reader
            const { write } = yield* socket.writer
            yield* pullText(pull, "one")
            yield* hasRead.open
            yield* hasAskedAgain.await
            yield* write(answer)
          }).pipe(Effect.scoped)
        )
        const { pull } = yield* socket.reader
        const { write } = yield* socket.writer
        yield* write("one")
        yield* hasRead.await
        yield* write("two")
        yield* turn
        yield* hasAskedAgain.open
        const { bytes, end } = yield* pullToEnd(pull)
        expect([bytes.equals(answer), end]).toEqual([true, "SocketCloseError 1000"])
      })
    )
  )

  it.live("if a fiber that waited for more was interrupted before it came", () =>
    run(
      Effect.gen(function* () {
        const ready = Latch.makeUnsafe()
        const hasAsked = Latch.makeUnsafe()
        const ended = Deferred.makeUnsafe<void>()
        const socket = yield* serving(sockets, (socket) =>
          Effect.gen(function* () {
            const { pull } = yield* socket.reader
            const { write } = yield* socket.writer
            const waiting = yield* Effect.forkChild(pull, { startImmediately: true })
            yield* turn
            yield* Fiber.interrupt(waiting)
            yield* ready.open
            yield* hasAsked.await
            yield* write(answer)
          }).pipe(Effect.scoped, Effect.ensuring(Deferred.succeed(ended, undefined)))
        )
        const { pull } = yield* socket.reader
        const { write } = yield* socket.writer
        yield* ready.await
        yield* write("too late")
        yield* turn
        yield* hasAsked.open
        const { bytes, end } = yield* pullToEnd(pull)
        expect([bytes.equals(answer), end]).toEqual([true, "SocketCloseError 1000"])
        yield* Deferred.await(ended)
      })
    )
  )
})
