/** Unix stream sockets: addresses, paths, a full backlog, and sockets of Node at the other end. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import { Fd, type Poller, type Registrar, Unix } from "effect-amy"
import { spawn } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { connect as connectNode, createServer, type Server } from "node:net"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import * as Kernel from "../support/kernel.ts"
import { describeLayers } from "../support/layers.ts"
import { times } from "../support/long.ts"
import { outcomeOf, reasonOf } from "../support/outcome.ts"
import { begin, beginWaiting, encode, scopedFds, waiters } from "../support/watched.ts"
import { notLinux, onLinux } from "../support/platform.ts"

/** Expects the test to leave no descriptor open, and no fiber waiting. */
const leavesNothing = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const before = [...Kernel.openDescriptors().keys()]
    yield* Effect.scoped(effect)
    expect([...Kernel.openDescriptors().keys()]).toEqual(before)
    expect(yield* waiters).toBe(0)
  })

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "unix-test-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
)

const freePath = Effect.map(directory, (directory) => join(directory, "socket"))

let names = 0
const freeName = () => ({ abstract: `effect-amy test ${process.pid} ${++names}` })

/** Reads a number of bytes, as text. */
const readText = (stream: Unix.UnixStream, count: number) =>
  Effect.gen(function* () {
    const buffer = new Uint8Array(count)
    let length = 0
    while (length < count) {
      const read = yield* stream.read(buffer, length)
      if (read === 0) break
      length += read
    }
    return new TextDecoder().decode(buffer.subarray(0, length))
  })

const greet = (one: Unix.UnixStream, other: Unix.UnixStream) =>
  Effect.gen(function* () {
    yield* one.writeAll(encode("there"))
    expect(yield* readText(other, 5)).toBe("there")
    yield* other.writeAll(encode("and back"))
    expect(yield* readText(one, 8)).toBe("and back")
  })

/** A scope that the test closes. */
const inOwnScope = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    return { value: yield* Scope.provide(effect, scope), close: Scope.close(scope, Exit.void) }
  })

type Body = Effect.Effect<unknown, unknown, Poller.Poller | Registrar.Registrar | Scope.Scope>

describeLayers("Unix", (layer, layerName) => {
  const live = (name: string, body: () => Body) =>
    it.live(name, () => Effect.provide(leavesNothing(Effect.suspend(body)), layer()))
  const liveOnLinux = (needs: string, name: string, body: () => Body) =>
    it.live.skipIf(notLinux)(onLinux(needs, name), () => Effect.provide(leavesNothing(Effect.suspend(body)), layer()))

  describe("addresses", () => {
    live("the listener and the far end of a connection have the path, the near end has no address", () =>
      Effect.gen(function* () {
        const path = yield* freePath
        for (const input of [path, { path }]) {
          yield* Effect.gen(function* () {
            const listener = yield* Unix.listen(input)
            expect(listener.address).toMatchObject({ _tag: "UnixPathAddress", path })
            const client = yield* Unix.connect(listener.address)
            const server = yield* listener.accept
            expect(yield* client.localAddress).toEqual({ _tag: "UnixUnnamedAddress" })
            expect(yield* server.remoteAddress).toEqual({ _tag: "UnixUnnamedAddress" })
            expect(yield* client.remoteAddress).toMatchObject({ _tag: "UnixPathAddress", path })
            expect(yield* server.localAddress).toMatchObject({ _tag: "UnixPathAddress", path })
            yield* greet(client, server)
          }).pipe(Effect.scoped)
        }
      })
    )

    liveOnLinux("abstract names", "an abstract name leaves nothing in the file system, and is free at once", () =>
      Effect.gen(function* () {
        const name = freeName()
        for (let round = 0; round < 2; round++) {
          yield* Effect.gen(function* () {
            const listener = yield* Unix.listen(name)
            expect(listener.address).toEqual({ _tag: "UnixAbstractAddress", name: name.abstract })
            const client = yield* Unix.connect(name)
            const server = yield* listener.accept
            expect(yield* client.remoteAddress).toEqual({ _tag: "UnixAbstractAddress", name: name.abstract })
            yield* greet(client, server)
            expect(yield* reasonOf(Unix.listen(name))).toBe("AddressInUse")
          }).pipe(Effect.scoped)
        }
        expect(yield* reasonOf(Unix.connect(name))).toBe("ConnectionRefused")
      })
    )

    liveOnLinux("abstract names", "a reported address is accepted as it is: of a path, and of an abstract name", () =>
      Effect.gen(function* () {
        const names = [yield* freePath, freeName(), { abstract: `zeros \0 inside, and after ${process.pid}\0\0` }]
        for (const name of names) {
          const first = yield* inOwnScope(Unix.listen(name))
          const client = yield* Unix.connect(first.value.address)
          const server = yield* first.value.accept
          yield* greet(client, server)
          for (const address of [yield* client.remoteAddress, yield* server.localAddress]) {
            expect(address).toEqual(first.value.address)
            yield* greet(yield* Unix.connect(address), yield* first.value.accept)
            // As another thread gets it.
            yield* greet(yield* Unix.connect(structuredClone(address)), yield* first.value.accept)
          }
          yield* first.close
          const again = yield* Unix.listen(first.value.address)
          expect(again.address).toEqual(first.value.address)
          yield* greet(yield* Unix.connect(again.address), yield* again.accept)
        }
      })
    )

    liveOnLinux(
      "abstract names",
      "a reported address that is no text is accepted, too: bytes of any kind, and a path of all 108 bytes",
      () =>
        Effect.gen(function* () {
          const parent = yield* directory
          const path = (name: Uint8Array) => Buffer.concat([Buffer.from(`${parent}/`), name])
          const abstract = (name: Uint8Array) => Buffer.concat([Buffer.of(0), Buffer.from(`${parent}/`), name])
          const odd = Buffer.of(0xff, 0xfe, 0x80)
          const names = [
            path(odd),
            path(Buffer.alloc(108 - parent.length - 1, "x")),
            abstract(odd),
            // A program that passes the whole structure has zeros at the end.
            Buffer.concat([abstract(Buffer.from("padded")), Buffer.alloc(40)]),
            Buffer.of(0)
          ]
          for (const name of names) {
            const [listener] = yield* scopedFds(() => [Kernel.listenUnix(name)])
            const taken = Kernel.connectUnix(name)
            const address = yield* (yield* Unix.fromFd(taken)).remoteAddress
            yield* scopedFds(() => [Kernel.accept(listener!)])
            const client = yield* Unix.connect(address)
            const [accepted] = yield* scopedFds(() => [Kernel.accept(listener!)])
            Kernel.writeText(accepted!, "there")
            expect(yield* readText(client, 5)).toBe("there")
            expect(yield* client.remoteAddress).toEqual(address)
            expect(yield* reasonOf(Unix.listen(address))).toBe("AddressInUse")
          }
        })
    )

    liveOnLinux("abstract names", "a path that begins with a zero byte is an abstract name, as it is for Node", () =>
      Effect.gen(function* () {
        const { abstract } = freeName()
        const listener = yield* Unix.listen(`\0${abstract}`)
        expect(listener.address).toEqual({ _tag: "UnixAbstractAddress", name: abstract })
        yield* greet(yield* Unix.connect({ path: `\0${abstract}` }), yield* listener.accept)
        yield* greet(yield* Unix.connect({ abstract }), yield* listener.accept)
        expect(yield* reasonOf(Unix.listen({ abstract }))).toBe("AddressInUse")
      })
    )

    live("an unnamed address is refused, with what to pass instead", () =>
      Effect.gen(function* () {
        const [one] = yield* Unix.socketPair
        for (const address of [yield* one.localAddress, yield* one.remoteAddress]) {
          for (const { reason } of [
            yield* Effect.flip(Unix.connect(address)),
            yield* Effect.flip(Unix.listen(address))
          ]) {
            expect([reason._tag, reason.message]).toEqual(["InvalidArgument", expect.stringContaining("pass a path")])
          }
        }
      })
    )

    liveOnLinux(
      "abstract names",
      "the longest path and the longest abstract name fit, and one byte more does not",
      () =>
        Effect.gen(function* () {
          const parent = yield* directory
          const longest = join(parent, "x".repeat(107 - Buffer.byteLength(parent) - 1))
          expect(Buffer.byteLength(longest)).toBe(107)
          const listener = yield* Unix.listen(longest)
          expect(listener.address).toMatchObject({ path: longest })
          const client = yield* Unix.connect(longest)
          expect(yield* client.remoteAddress).toMatchObject({ path: longest })
          // The limit counts bytes, not characters.
          for (const path of [`${longest}x`, `${longest.slice(0, -1)}ü`]) {
            expect(yield* reasonOf(Unix.listen(path))).toBe("InvalidArgument")
            expect(yield* reasonOf(Unix.connect(path))).toBe("InvalidArgument")
          }
          const { abstract } = freeName()
          const name = { abstract: abstract.padEnd(107, "x") }
          yield* Unix.listen(name)
          yield* Unix.connect(name)
          expect(yield* reasonOf(Unix.listen({ abstract: abstract.padEnd(108, "x") }))).toBe("InvalidArgument")
        })
    )

    live("an invalid address is refused", () =>
      Effect.gen(function* () {
        const inputs = [
          "",
          "with\0zero",
          `\0${"x".repeat(108)}`,
          { _tag: "UnixAbstractAddress", name: 7 },
          { _tag: "UnixAbstractAddress" },
          { _tag: "UnixUnnamedAddress" },
          { path: "" },
          { abstract: "" },
          {},
          { abstract: 7 },
          { path: undefined },
          { path: 5 },
          undefined,
          null,
          5
        ]
        for (const input of inputs as ReadonlyArray<Unix.UnixAddressInput>) {
          expect(yield* reasonOf(Unix.listen(input)), `${JSON.stringify(input)}`).toBe("InvalidArgument")
          expect(yield* reasonOf(Unix.connect(input)), `${JSON.stringify(input)}`).toBe("InvalidArgument")
        }
      })
    )

    live("options out of range are refused, and buffer sizes reach the kernel", () =>
      Effect.gen(function* () {
        const path = yield* freePath
        for (const options of [{ backlog: -1 }, { backlog: 1.5 }, { backlog: Number.NaN }, { sendBufferSize: -1 }]) {
          expect(yield* reasonOf(Unix.listen(path, options)), `${JSON.stringify(options)}`).toBe("InvalidArgument")
        }
        expect(existsSync(path)).toBe(false)
        const listener = yield* Unix.listen(path, { sendBufferSize: 65_536 })
        expect(yield* reasonOf(Unix.connect(path, { receiveBufferSize: Number.NaN }))).toBe("InvalidArgument")
        const client = yield* Unix.connect(path, { sendBufferSize: 8192 })
        const server = yield* listener.accept
        const wide = yield* Unix.connect(path, { sendBufferSize: 131_072 })
        const widened = yield* Unix.connect(path, { sendBufferSize: 8192 })
        expect(yield* reasonOf(widened.setOptions({ sendBufferSize: 0 }))).toBe("InvalidArgument")
        yield* widened.setOptions({ sendBufferSize: 131_072 })
        const filled = Kernel.fill(client.fd)
        expect(filled).toBeLessThan(Kernel.fill(wide.fd))
        expect(filled).toBeLessThan(Kernel.fill(widened.fd))
        yield* server.close
      })
    )
  })

  describe("a path", () => {
    live("that does not exist, or has no directory, fails with NotFound", () =>
      Effect.gen(function* () {
        const path = yield* freePath
        expect(yield* reasonOf(Unix.connect(path))).toBe("NotFound")
        expect(yield* reasonOf(Unix.listen(join(path, "below")))).toBe("NotFound")
        writeFileSync(path, "")
        expect(yield* reasonOf(Unix.listen(join(path, "below")))).toBe("NotFound")
      })
    )

    live("with a file, or left by a listener that is gone, fails with AddressInUse, and stays", () =>
      Effect.gen(function* () {
        const path = yield* freePath
        writeFileSync(path, "somebody's")
        expect(yield* reasonOf(Unix.listen(path))).toBe("AddressInUse")
        expect(existsSync(path)).toBe(true)
        expect(yield* reasonOf(Unix.connect(path))).toBe("ConnectionRefused")
        rmSync(path)

        const moved = `${path}.moved`
        const { close, value } = yield* inOwnScope(Unix.listen(path))
        renameSync(path, moved)
        yield* close
        expect(value.fd).toBe(-1)
        expect(yield* reasonOf(Unix.listen(moved))).toBe("AddressInUse")
        expect(yield* reasonOf(Unix.connect(moved))).toBe("ConnectionRefused")
      })
    )

    live("is removed with the scope, also if the listener was closed before", () =>
      Effect.gen(function* () {
        const path = yield* freePath
        yield* Effect.scoped(Unix.listen(path))
        expect(existsSync(path)).toBe(false)
        yield* Effect.scoped(Effect.flatMap(Unix.listen(path), ({ close }) => close))
        expect(existsSync(path)).toBe(false)
      })
    )

    live("is removed when the listener is closed, and a later file there is not", () =>
      Effect.gen(function* () {
        const path = yield* freePath
        const first = yield* inOwnScope(Unix.listen(path))
        yield* first.value.close
        expect(existsSync(path)).toBe(false)
        // A file system may reuse the inode number of the removed file.
        const second = yield* Unix.listen(path)
        yield* first.close
        const client = yield* Unix.connect(path)
        yield* greet(client, yield* second.accept)
      })
    )

    live("that cannot be accessed any more does not keep its listener open", () =>
      Effect.gen(function* () {
        const path = yield* directory
        const inner = join(path, "inner")
        mkdirSync(inner)
        const { close, value } = yield* inOwnScope(Unix.listen(join(inner, "socket")))
        const { fd } = value
        renameSync(inner, `${inner}.moved`)
        symlinkSync(inner, inner)
        yield* close
        expect([value.fd, Kernel.isOpen(fd)]).toEqual([-1, false])
      })
    )

    live("that is relative is removed even if the working directory has changed", () =>
      Effect.gen(function* () {
        const path = yield* freePath
        const before = process.cwd()
        process.chdir(dirname(path))
        const listener = yield* inOwnScope(Unix.listen(basename(path)))
        process.chdir(before)
        expect(existsSync(path)).toBe(true)
        yield* listener.close
        expect(existsSync(path)).toBe(false)
      })
    )

    live("is not removed if another file has taken its place", () =>
      Effect.gen(function* () {
        const path = yield* freePath
        const first = yield* inOwnScope(Unix.listen(path))
        renameSync(path, `${path}.old`)
        const second = yield* Unix.listen(path)
        yield* first.close
        const client = yield* Unix.connect(path)
        yield* greet(client, yield* second.accept)
      })
    )
  })

  describe("connections", () => {
    live("each end shuts down on its own", () =>
      Effect.gen(function* () {
        const [one, other] = yield* Unix.socketPair
        yield* one.writeAll(encode("question"))
        yield* one.shutdown("write")
        expect(yield* readText(other, 100)).toBe("question")
        expect(yield* reasonOf(one.writeAll(encode("more")))).toBe("BrokenPipe")
        yield* other.writeAll(encode("answer"))
        yield* other.close
        expect(yield* readText(one, 100)).toBe("answer")
        expect(yield* one.read(new Uint8Array(1))).toBe(0)
      })
    )

    live("stream and sink carry 4 MiB in order", () =>
      Effect.gen(function* () {
        const [one, other] = yield* Unix.socketPair
        const chunks = Array.from({ length: 64 }, (_, n) => new Uint8Array(65_536).fill(n))
        const writing = yield* begin(
          Effect.andThen(Stream.run(Stream.fromIterable(chunks), one.sink), one.shutdown("write"))
        )
        const read = yield* Stream.runCollect(other.stream)
        yield* Fiber.join(writing)
        expect(Buffer.concat([...read]).equals(Buffer.concat(chunks))).toBe(true)
      })
    )

    live("a pair has no addresses, and is close-on-exec and non-blocking", () =>
      Effect.gen(function* () {
        for (const end of yield* Unix.socketPair) {
          expect(yield* end.localAddress).toEqual({ _tag: "UnixUnnamedAddress" })
          expect(yield* end.remoteAddress).toEqual({ _tag: "UnixUnnamedAddress" })
          expect([Kernel.isCloseOnExec(end.fd), Kernel.isNonblocking(end.fd)]).toEqual([true, true])
        }
      })
    )

    live("every operation fails with Closed once the connection is closed, also while it waits", () =>
      Effect.gen(function* () {
        const [one, other] = yield* Unix.socketPair
        const reading = yield* beginWaiting(outcomeOf(one.read(new Uint8Array(1))))
        const receiving = yield* beginWaiting(outcomeOf(Effect.scoped(one.receiveDescriptors(new Uint8Array(1), 1))))
        const { fd } = one
        yield* one.close
        expect([yield* Fiber.join(reading), yield* Fiber.join(receiving)]).toEqual(["Closed", "Closed"])
        // Another descriptor has the number by now.
        const { reader } = yield* Fd.pipe
        expect(reader.fd).toBe(fd)
        const calls = {
          read: one.read(new Uint8Array(1)),
          write: one.write(new Uint8Array(1)),
          writeAll: one.writeAll(new Uint8Array(1)),
          shutdown: one.shutdown("both"),
          localAddress: one.localAddress,
          remoteAddress: one.remoteAddress,
          sendDescriptors: one.sendDescriptors([other], new Uint8Array(1)),
          receiveDescriptors: one.receiveDescriptors(new Uint8Array(1), 1),
          take: one.take,
          close: one.close
        }
        for (const [name, call] of Object.entries(calls)) {
          expect(yield* outcomeOf(Effect.scoped(call as typeof one.close)), `${name}`).toBe("Closed")
        }
        expect(Kernel.isOpen(reader.fd)).toBe(true)
      })
    )

    live("fromFd takes over a stream that was given away, and refuses other descriptors", () =>
      Effect.gen(function* () {
        const [one, other] = yield* Unix.socketPair
        const fd = yield* one.take
        expect(one.fd).toBe(-1)
        yield* greet(yield* Unix.fromFd(fd), other)
        const [tcp] = yield* scopedFds(Kernel.tcpPair)
        const { reader } = yield* Fd.pipe
        expect(yield* reasonOf(Unix.fromFd(tcp))).toBe("InvalidArgument")
        expect(yield* reasonOf(Unix.fromFd(reader.fd))).toBe("InvalidArgument")
        expect(yield* reasonOf(Unix.fromFd(-1))).toBe("BadDescriptor")
        expect(yield* reasonOf(Unix.fromFd(1.5))).toBe("InvalidArgument")
        expect([Kernel.isOpen(tcp), Kernel.isOpen(reader.fd)]).toEqual([true, true])
      })
    )

    live("an interrupted read takes nothing", () =>
      Effect.gen(function* () {
        const [one, other] = yield* Unix.socketPair
        yield* Effect.flatMap(beginWaiting(one.read(new Uint8Array(8))), Fiber.interrupt)
        yield* other.writeAll(encode("kept"))
        expect(yield* readText(one, 4)).toBe("kept")
      })
    )
  })

  describe("listening", () => {
    // One layer is enough: the thread that connects is the one that tries again.
    if (layerName !== "layerAttach to a layerWorker") {
      live("many connections at a time are all made, with a backlog of one", () =>
        Effect.gen(function* () {
          const path = yield* freePath
          const listener = yield* Unix.listen(path, { backlog: 1 })
          const count = times(50, 300)
          const connecting = yield* begin(
            Effect.forEach(
              Array.from({ length: count }, (_, n) => n),
              (n) => Effect.scoped(Effect.flatMap(Unix.connect(path), (stream) => stream.writeAll(encode(`${n}`)))),
              { concurrency: "unbounded", discard: true }
            )
          )
          const seen = new Set<string>()
          while (seen.size < count) {
            yield* Effect.scoped(
              Effect.flatMap(listener.accept, (stream) => Effect.map(readText(stream, 10), (text) => seen.add(text)))
            )
          }
          yield* Fiber.join(connecting)
          expect(seen.size).toBe(count)
        })
      )
    }

    live("with a full backlog, connecting waits for its timeout, never less, or until it is interrupted", () =>
      Effect.gen(function* () {
        const path = yield* freePath
        const listener = yield* Unix.listen(path, { backlog: 0 })
        yield* Unix.connect(path)
        const before = performance.now()
        for (const timeout of [-1, NaN]) {
          expect(yield* reasonOf(Unix.connect(path, { timeout }))).toBe("InvalidArgument")
        }
        expect(yield* reasonOf(Unix.connect(path, { timeout: 30 }))).toBe("TimedOut")
        expect(performance.now() - before).toBeGreaterThanOrEqual(29)
        yield* Effect.flatMap(beginWaiting(Effect.scoped(Unix.connect(path))), Fiber.interrupt)
        const waiting = yield* beginWaiting(Unix.connect(path))
        const first = yield* listener.accept
        expect(yield* outcomeOf(Fiber.join(waiting))).toBe("ok")
        yield* first.close
      })
    )

    live("accepting can be interrupted, and the next fiber gets the connection", () =>
      Effect.gen(function* () {
        const path = yield* freePath
        const listener = yield* Unix.listen(path)
        yield* Effect.flatMap(beginWaiting(Effect.scoped(listener.accept)), Fiber.interrupt)
        const client = yield* Unix.connect(path)
        yield* greet(client, yield* listener.accept)
      })
    )

    live("run serves each connection, and closes it", () =>
      Effect.gen(function* () {
        const path = yield* freePath
        const listener = yield* Unix.listen(path)
        yield* Effect.forkScoped(listener.run((stream) => Stream.run(stream.stream, stream.sink)))
        yield* Effect.forEach(
          Array.from({ length: 20 }, (_, n) => `client ${n}`),
          (text) =>
            Effect.gen(function* () {
              const stream = yield* Unix.connect(path)
              yield* stream.writeAll(encode(text))
              yield* stream.shutdown("write")
              expect(yield* readText(stream, 100)).toBe(text)
            }).pipe(Effect.scoped),
          { concurrency: "unbounded", discard: true }
        )
      })
    )

    live("closing the listener fails the fibers that wait with Closed", () =>
      Effect.gen(function* () {
        const listener = yield* Unix.listen(freeName())
        const accepting = yield* beginWaiting(outcomeOf(Effect.scoped(listener.accept)))
        const running = yield* beginWaiting(outcomeOf(listener.run(() => Effect.void)))
        yield* listener.close
        expect([yield* Fiber.join(accepting), yield* Fiber.join(running)]).toEqual(["Closed", "Closed"])
        expect(yield* reasonOf(Effect.scoped(listener.accept))).toBe("Closed")
        expect(yield* reasonOf(listener.close)).toBe("Closed")
      })
    )
  })

  describe("with Node at the other end", () => {
    live("Node connects to us", () =>
      Effect.gen(function* () {
        const path = yield* freePath
        const listener = yield* Unix.listen(path)
        const answer = yield* begin(
          Effect.callback<string>((resume) => {
            const peer = connectNode({ path, allowHalfOpen: true })
            let text = ""
            peer.setEncoding("utf8").on("data", (chunk: string) => (text += chunk))
            peer.on("close", () => resume(Effect.succeed(text))).end("from node:net")
          })
        )
        const stream = yield* listener.accept
        expect(yield* readText(stream, 100)).toBe("from node:net")
        yield* stream.writeAll(encode("from us"))
        yield* stream.close
        expect(yield* Fiber.join(answer)).toBe("from us")
      })
    )

    live("we connect to Node", () =>
      Effect.gen(function* () {
        const path = yield* freePath
        yield* Effect.acquireRelease(
          Effect.callback<Server>((resume) => {
            const server = createServer((socket) => void socket.pipe(socket))
            server.listen(path, () => resume(Effect.succeed(server)))
          }),
          (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
        )
        const stream = yield* Unix.connect(path)
        const bytes = new Uint8Array(1 << 20).map((_, i) => i * 7)
        const writing = yield* begin(Effect.andThen(stream.writeAll(bytes), stream.shutdown("write")))
        const read = yield* Stream.runCollect(stream.stream)
        yield* Fiber.join(writing)
        expect(Buffer.concat([...read]).equals(Buffer.from(bytes))).toBe(true)
      })
    )

    live("another process connects to us, and its death ends the connection", () =>
      Effect.gen(function* () {
        const path = yield* freePath
        const listener = yield* Unix.listen(path)
        const child = yield* Effect.acquireRelease(
          Effect.sync(() => {
            const script = `require("net").connect(process.argv[1]).setEncoding("utf8").on("data", function (text) { this.write(text + " yourself") })`
            return spawn(process.execPath, ["-e", script, path], { stdio: "ignore" })
          }),
          (child) =>
            Effect.callback<void>((resume) => {
              if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
              child.on("exit", () => resume(Effect.void)).kill("SIGKILL")
            })
        )
        const stream = yield* listener.accept
        yield* stream.writeAll(encode("hello"))
        expect(yield* readText(stream, 14)).toBe("hello yourself")
        child.kill("SIGKILL")
        expect(yield* stream.read(new Uint8Array(1))).toBe(0)
      })
    )
  })
})
