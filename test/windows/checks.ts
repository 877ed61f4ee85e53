/**
 * What of the tests can run on Windows without Vitest: the shared behaviours on the real selector,
 * the sockets, threads, and the refusals. `.ci/wine` runs it under Wine. Prints what failed, and how
 * many passed and failed.
 */
import { deepStrictEqual, strictEqual } from "node:assert"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
import { Context, Effect, Exit, Fiber, Layer, Option, Scope, Stream } from "effect"
import type { Socket } from "effect/socket"
import { AsyncFd, Fd, ForeignFd, PollChannel, Poller, type PollerError, Registrar, UserEvent } from "effect-amy"
import { PollerSocket, PollerSocketServer, Tcp, Udp, Unix } from "effect-amy/net"
import { Inotify, Netlink, ProcessExit, Pty, Serial, Stdio } from "effect-amy/system"
import { attachmentOf } from "../../src/internal/delivery/registrar.ts"
import { readinessBehaviours } from "../support/behaviours.ts"
import { driveBehaviours } from "../support/driveBehaviours.ts"
import { foreignBehaviours } from "../support/foreignBehaviours.ts"
import { setBehaviours } from "../support/foreignSetBehaviours.ts"
import { layerAttached, type PollerLayer } from "../support/layers.ts"
import { lifeBehaviours } from "../support/lifeBehaviours.ts"
import { outcome } from "../support/opened.ts"
import * as Kernel from "./kernel.ts"
import { streamChecks, testPollerCheck } from "./streams.ts"
import { hasUsers, isOpenHandle, onWindows } from "./world.ts"

type Check = Effect.Effect<unknown, PollerError.PollerError>

const layers: { readonly [name: string]: PollerLayer } = {
  layerWorker: Poller.layerWorker(),
  "layerAttach to a layerWorker": layerAttached(),
  layerBlocking: Poller.layerBlocking({ allowMainThread: true })
}

/** Behaviours that need what Windows has not, or what TCP does not do. */
const elsewhere = [
  // Windows chooses the numbers of sockets.
  /number is reused|same number|registered in another way|removed or closed/,
  // A full TCP connection has room again, for its buffers grow.
  /no room to write/,
  // What ends a TCP connection is reported in another order than that of a Unix socket.
  /hang-up|half-close|unread bytes|pipe's reader|neither readable|error is reported/,
  /out-of-band/,
  /cannot be polled|regular file/,
  /dies by itself/
]

const checks: Array<readonly [name: string, check: Check]> = []

const shared = [readinessBehaviours, lifeBehaviours, foreignBehaviours, setBehaviours, driveBehaviours]

for (const [layerName, layer] of Object.entries(layers)) {
  for (const behaviours of shared) {
    for (const [about, group] of Object.entries(behaviours)) {
      for (const [name, behaviour] of Object.entries(group)) {
        const full = `${about} (${layerName}): ${name}`
        if (!elsewhere.some((pattern) => pattern.test(full))) checks.push([full, onWindows(layer, behaviour)])
      }
    }
  }
}

const on = (
  layerName: string,
  name: string,
  check: Effect.Effect<unknown, PollerError.PollerError, Poller.Poller | Registrar.Registrar>
) => checks.push([`${name} (${layerName})`, Effect.provide(check, layers[layerName]!)])

/** Sends back everything that a socket of `effect/socket` brings. */
const echoBack = (socket: Socket.Socket) =>
  Effect.gen(function* () {
    const { pull } = yield* socket.reader
    const { writeAll } = yield* socket.writer
    yield* Effect.forever(Effect.flatMap(pull, writeAll))
  }).pipe(Effect.scoped, Effect.ignore)

/** Echoes what each connection of a listener brings. */
const echo = (listener: Tcp.TcpListener) =>
  Effect.forkScoped(listener.run((connection) => Stream.run(connection.stream, connection.sink)))

const exchange = (client: Tcp.TcpStream, length: number) =>
  Effect.gen(function* () {
    const sent = Uint8Array.from({ length }, (_, index) => (index * 31 + length) & 255)
    const writing = yield* Effect.forkChild(client.writeAll(sent))
    const got = new Uint8Array(length)
    for (let at = 0; at < length;) at += yield* client.read(got, at)
    yield* Fiber.join(writing)
    deepStrictEqual(got, sent)
  })

for (const name of Object.keys(layers)) {
  on(
    name,
    "bytes come back over TCP, whatever their number, in several connections",
    Effect.scoped(
      Effect.gen(function* () {
        const listener = yield* Tcp.listen("127.0.0.1:0")
        yield* echo(listener)
        yield* Effect.forEach(
          [1, 2, 3, 4],
          (times) =>
            Effect.gen(function* () {
              const client = yield* Tcp.connect(listener.address)
              for (const length of [1, 1000, 70_000, 300_000]) yield* exchange(client, length * times)
            }),
          { concurrency: "unbounded" }
        )
      })
    )
  )
  on(
    name,
    "the end of a connection is read as such, and a refused one fails with its reason",
    Effect.scoped(
      Effect.gen(function* () {
        const listener = yield* Tcp.listen("127.0.0.1:0")
        const client = yield* Tcp.connect(listener.address)
        const server = yield* listener.accept
        yield* server.writeAll(new Uint8Array(3))
        yield* server.close
        const chunks = yield* Stream.runCollect(client.stream)
        strictEqual(
          chunks.reduce((sum, chunk) => sum + chunk.length, 0),
          3
        )
        yield* listener.close
        strictEqual(yield* outcome(Tcp.connect(listener.address)), "ConnectionRefused")
      })
    )
  )
  on(
    name,
    "datagrams come back over UDP",
    Effect.scoped(
      Effect.gen(function* () {
        const one = yield* Udp.bind("127.0.0.1:0")
        const other = yield* Udp.bind("127.0.0.1:0")
        const address = yield* other.localAddress
        for (let round = 0; round < 20; round++) {
          const receiving = yield* Effect.forkChild(other.receive)
          yield* one.send(Uint8Array.of(round), address)
          const datagram = yield* Fiber.join(receiving)
          deepStrictEqual([...datagram.payload], [round])
        }
        yield* one.sendMany([1, 2, 3].map((byte) => ({ payload: Uint8Array.of(byte), address })))
        const some = yield* Stream.runCollect(Stream.take(other.stream, 3))
        deepStrictEqual(
          some.map(({ payload }) => payload[0]),
          [1, 2, 3]
        )
      })
    )
  )
  on(
    name,
    "AsyncFd waits for the readiness of a socket again and again",
    Effect.scoped(
      Effect.gen(function* () {
        const [fd, peer] = Kernel.socketPair()
        yield* Effect.addFinalizer(() => Effect.sync(() => [fd, peer].forEach(Kernel.close)))
        const wrapped = yield* AsyncFd.make(fd)
        yield* wrapped.writable
        const buffer = new Uint8Array(10)
        for (let round = 1; round < 20; round++) {
          const reading = yield* Effect.forkChild(wrapped.read(buffer), { startImmediately: true })
          Kernel.write(peer, round % 10 || 1)
          strictEqual(yield* Fiber.join(reading), round % 10 || 1)
        }
        strictEqual(Option.isNone(yield* wrapped.tryRead(buffer)), true)
      })
    )
  )
}

for (const [name, check] of Object.entries(streamChecks)) on("layerWorker", name, check)
checks.push(["TestPoller takes the place of the kernel", testPollerCheck])

on(
  "layerWorker",
  "Unix stream sockets connect by a path, where the system has them",
  Effect.scoped(
    Effect.gen(function* () {
      const path = `${mkdtempSync(join(tmpdir(), "windows-"))}/socket`
      const listening = yield* Effect.exit(Unix.listen(path))
      if (Exit.isFailure(listening)) {
        // Wine has none, and says so.
        return strictEqual(yield* outcome(Unix.listen(path)), "InvalidArgument")
      }
      const client = yield* Unix.connect(path)
      const server = yield* listening.value.accept
      yield* client.writeAll(Uint8Array.of(1, 2, 3))
      strictEqual(yield* server.read(new Uint8Array(10)), 3)
    })
  )
)
on(
  "layerWorker",
  "the server and the socket of effect/socket exchange bytes",
  Effect.scoped(
    Effect.gen(function* () {
      const server = yield* Effect.orDie(PollerSocketServer.make({ host: "127.0.0.1", port: 0 }))
      yield* Effect.forkScoped(server.run(echoBack), { startImmediately: true })
      const port = "port" in server.address ? server.address.port : 0
      const socket = yield* PollerSocket.make({ host: "127.0.0.1", port })
      const { pull } = yield* Effect.orDie(socket.reader)
      const { writeAll } = yield* socket.writer
      yield* Effect.orDie(writeAll([Uint8Array.of(7)]))
      const [chunk] = yield* Effect.orDie(pull)
      deepStrictEqual(Array.from(chunk as Uint8Array), [7])
    })
  )
)

/** Runs an effect that must fail, and compares the tag of its reason. */
const refuses = (
  name: string,
  tag: PollerError.PollerErrorReason["_tag"],
  effect: Effect.Effect<unknown, PollerError.PollerError, Poller.Poller | Registrar.Registrar>
) =>
  on(
    "layerWorker",
    `${name} fails with ${tag}`,
    Effect.map(outcome(effect), (found) => strictEqual(found, tag))
  )

const withSocket = <A, R>(use: (fd: number) => Effect.Effect<A, PollerError.PollerError, R>) =>
  Effect.scoped(
    Effect.flatMap(
      Effect.acquireRelease(Effect.sync(Kernel.socketPair), (pair) => Effect.sync(() => pair.forEach(Kernel.close))),
      ([fd]) => use(fd)
    )
  )

const refused: ReadonlyArray<
  readonly [string, Effect.Effect<unknown, PollerError.PollerError, Poller.Poller | Registrar.Registrar>]
> = [
  ["layerEventLoop", Effect.provide(Poller.Poller, Poller.layerEventLoop())],
  ["Fd.open", Effect.scoped(Fd.open("file", "read"))],
  ["Fd.pipe", Effect.scoped(Fd.pipe)],
  ["Fd.eventfd", Effect.scoped(Fd.eventfd())],
  ["Unix.socketPair", Effect.scoped(Unix.socketPair)],
  ["Inotify.watch", Effect.scoped(Stream.runDrain(Inotify.watch(".")))],
  ["Netlink.links", Stream.runDrain(Netlink.links)],
  ["ProcessExit.open", Effect.scoped(ProcessExit.open(process.pid))],
  ["Pty.spawn", Effect.scoped(Pty.spawn("cmd", []))],
  ["Serial.open", Effect.scoped(Serial.open("COM1", { baudRate: 9600 }))],
  ["Stdio.write", Stdio.write("stdout", "")],
  ["Fd.dup", withSocket((fd) => Effect.flatMap(Fd.own(fd), ({ dup }) => dup))],
  ["tryReadv of an Fd", withSocket((fd) => Effect.flatMap(Fd.own(fd), (own) => own.tryReadv([new Uint8Array(1)])))],
  ["tryWritev of an Fd", withSocket((fd) => Effect.flatMap(Fd.own(fd), (own) => own.tryWritev([new Uint8Array(1)])))],
  ["Tcp.listen with reusePort", Effect.scoped(Tcp.listen("127.0.0.1:0", { reusePort: true }))],
  ["an exclusive registration", withSocket((fd) => Registrar.register(fd, "Read", { exclusive: true }))]
]
for (const [name, effect] of refused) refuses(name, "UnsupportedPlatform", effect)
refuses("a number that is no handle", "BadDescriptor", Registrar.register(4001, "Read"))

on(
  "layerWorker",
  "another thread attaches, is notified, triggers an event and sends a message",
  Effect.scoped(
    Effect.gen(function* () {
      const poller = yield* Poller.Poller
      const event = yield* UserEvent.make
      const { receiver, sender } = yield* PollChannel.unbounded<string>()
      const handle = yield* sender.handle
      const thread = yield* Effect.acquireRelease(
        Effect.sync(
          () =>
            new Worker(new URL(import.meta.url), {
              workerData: { poller: poller.handle, event: event.handle, sender: handle },
              transferList: [handle.port]
            })
        ),
        (worker) => Effect.promise(() => worker.terminate())
      )
      const ended = new Promise<unknown>((resolve) => {
        thread.on("message", resolve)
        thread.on("error", resolve)
      })
      const [message] = yield* Stream.runCollect(Stream.take(receiver.stream, 1))
      strictEqual(message, "from the thread")
      const ids = (yield* poller.wait("5 seconds")).map(({ id }) => id)
      deepStrictEqual(ids, [event.id])
      strictEqual(yield* Effect.promise(() => ended), 1)
    })
  )
)

on(
  "layerWorker",
  "a thread that is terminated while it is attached leaves neither its mailbox nor the poller open",
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    // A mailbox for this thread, and one for another.
    const services = yield* Layer.buildWithScope(Poller.layerWorker({ maxThreads: 2 }), scope)
    const { handle } = Context.get(services, Poller.Poller)
    const registrar = Context.get(services, Registrar.Registrar)
    for (let round = 0; round < 2; round++) {
      const thread = new Worker(new URL(import.meta.url), { workerData: { poller: handle, stays: true } })
      yield* Effect.promise(() => new Promise((resolve) => thread.once("message", resolve)))
      strictEqual(yield* outcome(attachOnce(handle)), "LimitReached")
      yield* Effect.promise(() => thread.terminate())
      strictEqual(yield* outcome(attachOnce(handle)), "success")
    }
    const last = new Worker(new URL(import.meta.url), { workerData: { poller: handle, stays: true } })
    yield* Effect.promise(() => new Promise((resolve) => last.once("message", resolve)))
    yield* Effect.promise(() => last.terminate())
    const isUsed = yield* hasUsers(registrar)
    strictEqual(isUsed(), true)
    yield* Scope.close(scope, Exit.void)
    strictEqual(isUsed(), false)
    strictEqual(yield* outcome(attachOnce(handle)), "Closed")
    // A new one works.
    yield* Effect.provide(streamChecks["frames of any size come back through the codecs"]!, Poller.layerWorker())
  })
)

on(
  "layerWorker",
  "a thread that is terminated leaves open none of the handles that it has opened",
  Effect.gen(function* () {
    const { handle } = yield* Poller.Poller
    const event = yield* UserEvent.make
    const { opened } = yield* attachmentOf(yield* Registrar.Registrar)
    const noted = () => Array.from({ length: 8192 }, (_, number) => number).filter((number) => opened.threadOf(number))
    const before = noted()
    const thread = new Worker(new URL(import.meta.url), {
      workerData: { poller: handle, stays: true, event: event.handle }
    })
    const made = yield* Effect.promise(
      () => new Promise<UserEvent.UserEventHandle>((resolve) => thread.once("message", resolve))
    )
    const remote = yield* UserEvent.fromHandle(made)
    yield* remote.trigger
    const handles = noted().filter((number) => !before.includes(number))
    // Fifty duplicates of the port, the device of a set, and an event of its own, which this thread has opened, too.
    strictEqual(handles.length, 53)
    strictEqual(handles.filter(isOpenHandle).length, 53)
    yield* Effect.promise(() => thread.terminate())
    strictEqual(yield* outcome(attachOnce(handle)), "success")
    strictEqual(noted().length, before.length + 1)
    strictEqual(yield* outcome(remote.trigger), "Closed")
    strictEqual(yield* outcome(UserEvent.fromHandle(made)), "Closed")
    // Other parts of the process may have reused a few of the numbers.
    strictEqual(handles.filter(isOpenHandle).length < 20, true)
    yield* event.trigger
    deepStrictEqual(
      (yield* (yield* Poller.Poller).wait("5 seconds")).map(({ id }) => id),
      [event.id]
    )
  }).pipe(Effect.scoped)
)

const attachOnce = (handle: Poller.PollerHandle) => Effect.provide(Poller.Poller, Poller.layerAttach(handle))

/** A thread that stays attached until it is terminated, of the checks above. */
const stayingThread = ({ event, poller }: { poller: Poller.PollerHandle; event?: UserEvent.UserEventHandle }) =>
  Effect.gen(function* () {
    if (event !== undefined) {
      for (let count = 0; count < 50; count++) yield* UserEvent.fromHandle(event)
      yield* ForeignFd.makeSet
    }
    parentPort!.postMessage(event === undefined ? "attached" : (yield* UserEvent.make).handle)
    return yield* Effect.never
  }).pipe(Effect.scoped, Effect.provide(Poller.layerAttach(poller)))

/** The thread that triggers and sends, of the check before. */
const attachedThread = Effect.scoped(
  Effect.gen(function* () {
    const { event, poller, sender } = workerData as {
      readonly poller: Poller.PollerHandle
      readonly event: UserEvent.UserEventHandle
      readonly sender: PollChannel.SenderHandle
    }
    const notified = yield* Effect.gen(function* () {
      const [fd, peer] = Kernel.socketPair()
      yield* Registrar.register(fd, "Read")
      Kernel.write(peer)
      const { length } = yield* Effect.flatMap(Poller.Poller, ({ wait }) => wait("5 seconds"))
      yield* Registrar.deregister(fd)
      for (const each of [fd, peer]) Kernel.close(each)
      return length
    }).pipe(Effect.provide(Poller.layerAttach(poller)))
    const remote = yield* UserEvent.fromHandle(event)
    yield* remote.trigger
    const sending = yield* PollChannel.fromHandle<string>(sender)
    yield* sending.send("from the thread")
    return notified
  })
)

const main = async () => {
  let passed = 0
  let failed = 0
  for (const [name, check] of checks) {
    try {
      await Effect.runPromise(
        Effect.timeoutOrElse(check, { duration: "1 minute", orElse: () => Effect.die(new Error("timed out")) })
      )
      passed++
    } catch (error) {
      failed++
      console.log(`FAILED ${name}\n${error instanceof Error ? error.message : String(error)}`)
    }
  }
  console.log(`${passed} passed, ${failed} failed, 0 skipped`)
  process.exit(failed === 0 ? 0 : 1)
}

if (isMainThread) await main()
else if ("stays" in workerData) await Effect.runPromise(stayingThread(workerData))
else parentPort!.postMessage(await Effect.runPromise(attachedThread))
