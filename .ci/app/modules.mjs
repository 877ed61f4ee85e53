// A step for every module, on the layer that the argument names, with the descriptors counted: `modules.mjs layerBlocking`.
import { Effect, Fiber, Option, Stream } from "effect"
import { AsyncFd, Fd, ForeignFd, PollChannel, Poller, Registrar, UserEvent } from "effect-amy"
import { FrameReader, LineReader } from "effect-amy/codecs"
import { PollerSocket, PollerSocketServer, Tcp, Udp, Unix } from "effect-amy/net"
import { Inotify, Netlink, ProcessExit, Pty, Stdio } from "effect-amy/system"
import { TestPoller } from "effect-amy/testing"
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const directory = mkdtempSync(join(tmpdir(), "effect-amy-"))
const hello = new TextEncoder().encode("hello")

const steps = {
  Fd: Effect.gen(function* () {
    // The same numbers, over and over.
    for (let round = 0; round < 3; round++) {
      const opened = yield* Fd.open("/dev/null", "both")
      yield* opened.close
      const next = yield* Fd.open("/dev/zero", "read")
      assert.deepEqual(yield* next.tryRead(new Uint8Array(4)), Option.some(4))
      yield* next.close
    }
    assert.equal((yield* Effect.flip(Fd.open("/no/such/file", "read"))).reason._tag, "NotFound")
  }),
  AsyncFd: Effect.gen(function* () {
    const { reader, writer } = yield* Fd.pipe
    const asyncFd = yield* AsyncFd.make(reader)
    assert.deepEqual(yield* Effect.timeoutOption(asyncFd.readable, "5 millis"), Option.none())
    const reading = yield* Effect.forkScoped(asyncFd.read(new Uint8Array(10)), { startImmediately: true })
    yield* writer.tryWrite(hello)
    assert.equal(yield* Fiber.join(reading), 5)
  }),
  ForeignFd: Effect.gen(function* () {
    const { reader, writer } = yield* Fd.pipe
    const foreign = yield* ForeignFd.make(() => reader.fd)
    const waiting = yield* Effect.forkScoped(foreign.wait("Read"), { startImmediately: true })
    yield* writer.tryWrite(hello)
    assert.equal(yield* Fiber.join(waiting), "Read")
  }),
  Registrar: Effect.gen(function* () {
    const once = yield* Registrar.timeout("5 millis")
    const ticks = yield* Registrar.interval("5 millis")
    const ids = yield* Poller.notifications.pipe(
      Stream.map(({ id }) => id),
      Stream.take(3),
      Stream.runCollect
    )
    assert.deepEqual([...new Set(ids)].sort(), [once, ticks])
    yield* Registrar.cancelTimer(ticks)
  }),
  UserEvent: Effect.gen(function* () {
    const event = yield* UserEvent.make
    yield* event.trigger
    assert.deepEqual(
      (yield* Poller.wait("5 seconds")).map(({ id }) => id),
      [event.id]
    )
  }),
  PollChannel: Effect.gen(function* () {
    const { receiver, sender } = yield* PollChannel.bounded(1)
    yield* sender.send(1)
    const waiting = yield* Effect.forkScoped(sender.send(2), { startImmediately: true })
    assert.deepEqual([yield* receiver.receive, yield* receiver.receive], [1, 2])
    yield* Fiber.join(waiting)
    yield* sender.close
    assert.equal((yield* Effect.flip(receiver.receive)).reason._tag, "Closed")
  }),
  // Many at once, so that they are read in batches.
  Tcp: Effect.gen(function* () {
    const listener = yield* Tcp.listen("127.0.0.1:0")
    yield* Effect.forkScoped(listener.run((connection) => Stream.run(connection.stream, connection.sink)))
    const echo = Effect.gen(function* () {
      const client = yield* Tcp.connect(listener.address)
      for (let round = 0; round < 20; round++) {
        yield* client.writeAll(hello)
        yield* client.read(new Uint8Array(5))
      }
      yield* client.shutdown("write")
      assert.deepEqual(yield* Stream.runCollect(client.stream), [])
    })
    yield* Effect.forEach(Array.from({ length: 64 }), () => Effect.scoped(echo), { concurrency: "unbounded" })
    assert.equal((yield* Effect.flip(Tcp.connect("127.0.0.1:1"))).reason._tag, "ConnectionRefused")
  }),
  Udp: Effect.gen(function* () {
    const [one, other] = [yield* Udp.bind("127.0.0.1:0"), yield* Udp.bind("127.0.0.1:0")]
    yield* other.send(hello, yield* one.localAddress)
    yield* one.receive
  }),
  Unix: Effect.gen(function* () {
    const listener = yield* Unix.listen(join(directory, "socket"))
    yield* Effect.forkScoped(listener.run((connection) => Stream.run(connection.stream, connection.sink)))
    const client = yield* Unix.connect(join(directory, "socket"))
    yield* client.writeAll(hello)
    assert.equal(yield* client.read(new Uint8Array(10)), 5)
  }),
  PollerSocket: Effect.gen(function* () {
    const server = yield* PollerSocketServer.make({ host: "localhost", port: 0 })
    const serve = Effect.fnUntraced(function* (socket) {
      const { pull } = yield* socket.reader
      const { writeAll } = yield* socket.writer
      yield* Effect.forever(Effect.flatMap(pull, writeAll))
    })
    yield* Effect.forkScoped(server.run((socket) => Effect.ignore(Effect.scoped(serve(socket)))))
    const socket = yield* PollerSocket.make({ host: "localhost", port: server.address.port })
    const { pull } = yield* socket.reader
    const { write } = yield* socket.writer
    yield* write("hello")
    assert.equal(Buffer.from((yield* pull)[0]).toString(), "hello")
  }),
  codecs: Effect.gen(function* () {
    const lines = Stream.make(new TextEncoder().encode("a\nb")).pipe(LineReader.decode, Stream.runCollect)
    assert.deepEqual(yield* lines, ["a", "b"])
    const frames = Stream.make(Uint8Array.of(0, 0, 0, 1, 7)).pipe(FrameReader.decode(), Stream.runCollect)
    assert.equal((yield* frames).length, 1)
  }),
  Stdio: Effect.gen(function* () {
    yield* Stdio.write("stdout", "")
    yield* Stream.run(Stream.make("written by Stdio\n"), Stdio.stdout)
  }),
  TestPoller: Effect.gen(function* () {
    const kernel = yield* TestPoller.TestPoller
    yield* Registrar.register(yield* kernel.open, "Read")
  }).pipe(Effect.provide(TestPoller.layer))
}

const stepsOnLinux = {
  Inotify: Effect.gen(function* () {
    const watching = yield* Effect.forkScoped(Stream.runHead(Inotify.watch(directory)), { startImmediately: true })
    const writing = Effect.sync(() => writeFileSync(join(directory, "file"), "x"))
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(writing, Effect.sleep("10 millis"))))
    assert.ok(Option.isSome(yield* Fiber.join(watching)))
  }),
  ProcessExit: Effect.gen(function* () {
    const child = spawn("sleep", ["0.05"], { stdio: "ignore" })
    assert.equal((yield* ProcessExit.awaitExit(child.pid)).code, 0)
  }),
  Pty: Effect.gen(function* () {
    const pty = yield* Pty.spawn("echo", ["hello"])
    assert.equal(Buffer.concat(yield* Stream.runCollect(pty.stream)).toString(), "hello\r\n")
    assert.equal((yield* pty.exit).code, 0)
  }),
  Netlink: Effect.gen(function* () {
    assert.ok(Option.isSome(yield* Stream.runHead(Netlink.links)))
  })
}

const [name = "layerWorker"] = process.argv.slice(2)
const layer = Poller[name]({ allowMainThread: true })

/** What is open, without the runtime's own selectors: Deno leaves two for each thread that has loaded native code. */
const descriptors = () =>
  readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`)
      const isRuntimes = "Deno" in globalThis && /eventfd|eventpoll|^socket:/.test(target)
      return target.startsWith("/proc/") || isRuntimes ? [] : [`${fd} ${target}`]
    } catch {
      return []
    }
  })

const isLinux = process.platform === "linux"
for (const [module, step] of Object.entries({ ...steps, ...(isLinux ? stepsOnLinux : {}) })) {
  try {
    await Effect.runPromise(step.pipe(Effect.timeout("30 seconds"), Effect.scoped, Effect.provide(layer)))
  } catch (cause) {
    throw new Error(`${module} on ${name}`, { cause })
  }
}

// All of it once more, when what the runtime itself opens at first use is open.
const before = isLinux ? descriptors() : []
const { ProcessExit: _, ...withoutProcess } = isLinux ? stepsOnLinux : {}
for (const step of Object.values({ ...steps, ...withoutProcess })) {
  await Effect.runPromise(step.pipe(Effect.scoped, Effect.provide(layer)))
}
if (isLinux) {
  await new Promise((resolve) => setTimeout(resolve, 100))
  assert.deepEqual(
    descriptors().filter((each) => !before.includes(each)),
    []
  )
}
rmSync(directory, { recursive: true })
console.log(`every module works on ${name}`)
