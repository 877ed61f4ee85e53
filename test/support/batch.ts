/**
 * Helpers for connections that become ready together: they observe and change the system calls that
 * serve them.
 */
import { afterAll, beforeAll, describe, expect, vi } from "@effect/vitest"
import { Effect, Fiber, type Scope } from "effect"
import { Poller, type PollerError, type Registrar, Tcp } from "effect-amy"
import { readFileSync, writeSync } from "node:fs"
import { SocketBatch } from "../../src/internal/bytes/socketBatch.ts"
import { libc, provideLibc } from "../../src/internal/libc/koffi.ts"
import type { Functions } from "../../src/internal/libc/prototypes/index.ts"
import { linux } from "../../src/internal/libc/profiles/linux.ts"
import { destroyContext, releaseContext } from "../../src/internal/kernel/aioContext.ts"
import { openAio } from "../../src/internal/kernel/aio.ts"
import { openIoUring } from "../../src/internal/kernel/ioUring.ts"
import { bytesOf, leavesNothing, turn } from "../net/tcp/support.ts"
import * as Kernel from "./kernel.ts"
import type { PollerLayer } from "./layers.ts"
import { iocb, iocbsAt } from "./olderKernel.ts"
import { until } from "./observe.ts"
import { isEmpty, readInto } from "./watched.ts"

export { bytesOf }

/** Replaces functions of the C library on this thread, until the scope closes. */
export const changeFunctions = (
  change: (real: Functions) => Partial<Functions>
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(
    Effect.acquireRelease(
      Effect.sync(() => {
        const before = libc()
        const functions: Functions = Object.create(
          before.functions,
          Object.getOwnPropertyDescriptors(change(before.functions))
        )
        provideLibc({ ...before, functions })
        return before
      }),
      (before) => Effect.sync(() => void provideLibc(before))
    )
  )

/** Whether it is the call by which the library finds out what the kernel knows. */
const isProbe = (count: number, calls: number): boolean =>
  count === 1 && iocbsAt(1, calls).every((words) => words[iocb.address] === (calls % 2 ** 32) >> 0)

/** Observes the system calls that make many calls, io_uring_enter(2) and io_submit(2), and changes them. */
export class Submissions {
  /** The number of system calls. */
  count = 0
  /** The number of the first call that fails. All later ones fail, too. */
  breaksAt = Infinity
  /** Runs right before the call. It can change the state that the kernel has reported before. */
  before: () => void = () => {}
  /** Limits the bytes of each send, as if the kernel had no more room. */
  mostSent = Infinity
  entries: Int32Array | undefined

  limit(): void {
    const { entries, mostSent } = this
    if (entries === undefined || mostSent === Infinity) return
    for (let at = 0; at < entries.length; at += 16) {
      if (entries[at] === linux.ioUring.OP_SEND) entries[at + 6] = Math.min(entries[at + 6]!, mostSent)
    }
  }

  limitAt(count: number, calls: number): void {
    if (this.mostSent === Infinity) return
    for (const words of iocbsAt(count, calls)) {
      if (words[iocb.operation] !== linux.aio.CMD_PWRITE) continue
      words[iocb.length] = Math.min(words[iocb.length]!, this.mostSent)
    }
  }
}

/** Observes the calls of this thread, until the scope closes. */
export const observeCalls: Effect.Effect<Submissions, never, Scope.Scope> = Effect.gen(function* () {
  const observed = new Submissions()
  yield* changeFunctions(({ io_submit, io_uring_enter, mmap }) => ({
    mmap: (address, length, protection, flags, fd, offset) => {
      const mapped = mmap(address, length, protection, flags, fd, offset)
      if (offset === linux.ioUring.OFF_SQES) observed.entries = new Int32Array(libc().memoryAt(mapped, length))
      return mapped
    },
    io_uring_enter: (number, fd, ...rest) => {
      observed.count++
      observed.before()
      observed.limit()
      return io_uring_enter(number, observed.count < observed.breaksAt ? fd : -1, ...rest)
    },
    io_submit: (number, context, count, calls) => {
      if (isProbe(count, calls)) return io_submit(number, context, count, calls)
      observed.count++
      observed.before()
      observed.limitAt(count, calls)
      return io_submit(number, observed.count < observed.breaksAt ? context : 0, count, calls)
    }
  }))
  return observed
})

/** Whether this machine has io_uring and allows it. Many containers do not. */
export const hasUring = (() => {
  const uring = openIoUring(libc(), 1)
  uring?.close()
  return uring !== undefined
})()

/** Whether this machine has Linux AIO, allows it, and has contexts left. */
export const hasAio = (() => {
  const place = new BigInt64Array(1)
  const aio = openAio(libc(), 1, place)
  aio?.close()
  releaseContext(libc(), place)
  return aio !== undefined
})()

/** Describes tests that are about io_uring. */
export const describeUring = (name: string, body: () => void): void => {
  describe.skipIf(!hasUring)(`${name}${hasUring ? "" : " (skipped: there is no io_uring here)"}`, () => {
    body()
  })
}

/** Describes tests that are about Linux AIO. */
export const describeAio = (name: string, body: () => void): void => {
  describe.skipIf(!hasAio)(`${name}${hasAio ? "" : " (skipped: there is no Linux AIO here)"}`, () => {
    body()
  })
}

/** Sets a variable of the environment for the tests of a `describe`. */
export const setFor = (name: string, value: string | undefined): void => {
  let before: string | undefined
  const set = (value: string | undefined): void => {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
  beforeAll(() => {
    before = process.env[name]
    set(value)
  })
  afterAll(() => set(before))
}

/** Describes tests of batches, once for io_uring and once for Linux AIO in its place. */
export const describeBatched = (name: string, body: () => void): void => {
  describeUring(`${name} (io_uring)`, () => {
    setFor("UV_USE_IO_URING", undefined)
    body()
  })
  describeAio(`${name} (Linux AIO)`, () => {
    setFor("UV_USE_IO_URING", "0")
    body()
  })
}

/** Makes this thread have neither io_uring nor Linux AIO, until the scope closes. */
export const withoutBatches = changeFunctions(() => ({
  io_uring_setup: () => -1,
  io_setup: () => -1,
  // There may be a context from earlier tests.
  io_submit: () => -1
}))

export const uringDescriptors = (): number =>
  [...Kernel.openDescriptors().values()].filter((target) => target.includes("io_uring")).length

/** Returns the number of contexts of Linux AIO that this process has. */
export const aioContexts = (): number => readFileSync("/proc/self/maps", "utf8").match(/\[aio\]/g)?.length ?? 0

/** Destroys the context of Linux AIO that earlier pollers have left to the next one. */
export const withoutSpare = Effect.sync(() => {
  for (let before = -1; before !== aioContexts();) {
    before = aioContexts()
    const place = new BigInt64Array(1)
    openAio(libc(), 1, place)?.close()
    destroyContext(libc(), linux.aio.calls[process.arch]!, place)
  }
})

type Needs = Poller.Poller | Registrar.Registrar | Scope.Scope

/** Runs a test on a layer, and expects it to leave no socket, no ring, and at most a spare context. */
export const run = <A, E>(
  test: (calls: Submissions) => Effect.Effect<A, E, Needs>,
  layer: () => PollerLayer = Poller.layerEventLoop
): Effect.Effect<void, E | PollerError.PollerError> =>
  Effect.gen(function* () {
    const rings = uringDescriptors()
    const contexts = aioContexts()
    yield* Effect.gen(function* () {
      const calls = yield* observeCalls
      yield* test(calls).pipe(Effect.scoped, Effect.provide(layer()))
    }).pipe(Effect.scoped, leavesNothing)
    // Node may have rings of its own, which end with its threads.
    yield* until(() => uringDescriptors() <= rings).pipe(Effect.timeoutOption("100 seconds"))
    expect(uringDescriptors()).toBeLessThanOrEqual(rings)
    expect(aioContexts()).toBeLessThanOrEqual(Math.max(contexts, 1))
  })

/** Returns how many bytes there are to read, or `undefined` if the descriptor is closed. */
const pending = (fd: number): number | undefined => {
  try {
    return Kernel.pending(fd)
  } catch {
    return undefined
  }
}

/** The other end of a connection, which uses system calls only. */
export class Peer {
  readonly fd: number
  #isOpen = true
  readonly #near: number
  readonly #buffer = new Uint8Array(1 << 16)

  constructor(fd: number, near: number) {
    this.fd = fd
    this.#near = near
  }

  /**
   * Writes as much as there is room for, and returns the number of bytes. Few bytes have arrived by
   * then, so connections that are written to in one turn become ready in one batch.
   */
  write(bytes: Uint8Array | string): number {
    const before = pending(this.#near)
    const written = this.#write(typeof bytes === "string" ? Buffer.from(bytes) : bytes)
    if (before !== undefined && before + written < 10_000) Kernel.untilPending(this.#near, before + written)
    return written
  }

  #write(all: Uint8Array): number {
    let written = 0
    while (written < all.length) {
      try {
        written += writeSync(this.fd, all, written)
      } catch (error) {
        expect(error).toMatchObject({ code: "EAGAIN" })
        break
      }
    }
    return written
  }

  /** Writes all bytes, in as many turns as that needs. */
  writeAll(bytes: Uint8Array): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      for (let written = this.write(bytes); written < bytes.length; written += this.write(bytes.subarray(written)))
        yield* turn
    })
  }

  /** Reads the bytes that have arrived. */
  read(): Buffer {
    const chunks: Array<Buffer> = []
    for (let length = 1; length > 0;) {
      length = readInto(this.fd, this.#buffer)
      chunks.push(Buffer.from(this.#buffer.subarray(0, length)))
    }
    return Buffer.concat(chunks)
  }

  /**
   * Reads until `count` bytes have arrived. Returns these, and further ones that arrived with them.
   */
  receive(count: number): Effect.Effect<Buffer> {
    return Effect.gen({ self: this }, function* () {
      const chunks: Array<Buffer> = []
      for (let length = 0; length < count;) {
        const chunk = this.read()
        chunks.push(chunk)
        length += chunk.length
        if (length < count) yield* turn
      }
      return Buffer.concat(chunks)
    })
  }

  end(): void {
    Kernel.shutdownWrite(this.fd)
  }

  reset(): void {
    this.#isOpen = false
    Kernel.closeWithReset(this.fd)
  }

  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    Kernel.close(this.fd)
  }
}

export interface Connected {
  readonly connection: Tcp.TcpStream
  readonly peer: Peer
}

/** A connection of the library, and its peer. */
export const connected: Effect.Effect<Connected, PollerError.PollerError, Registrar.Registrar | Scope.Scope> =
  Effect.gen(function* () {
    const [near, far] = Kernel.tcpPair()
    const peer = new Peer(far, near)
    yield* Effect.addFinalizer(() => Effect.sync(() => peer.close()))
    return { connection: yield* Tcp.fromFd(near), peer }
  })

export const manyConnected = (count: number) => Effect.forEach(Array.from({ length: count }), () => connected)

/** Returns `length` bytes that depend on the seed. */
export const message = (seed: number, length: number): Buffer => {
  const bytes = Buffer.alloc(length)
  let state = (seed * 0x9e37_79b9 + length) | 0
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) | 0
    bytes[i] = state >>> 16
  }
  return bytes
}

/** Sends back everything that arrives, until the end. */
export const echo = (connection: Tcp.TcpStream, size = 8192) =>
  Effect.gen(function* () {
    const buffer = new Uint8Array(size)
    for (;;) {
      const count = yield* connection.read(buffer)
      if (count === 0) return
      yield* connection.writeAll(buffer, 0, count)
    }
  })

/** Starts an effect for each connection, and returns when all of them wait. */
export const startAll = <A, E, R>(
  all: ReadonlyArray<Connected>,
  start: (one: Connected, index: number) => Effect.Effect<A, E, R>
): Effect.Effect<ReadonlyArray<Fiber.Fiber<A, E>>, never, R> =>
  Effect.gen(function* () {
    const fibers: Array<Fiber.Fiber<A, E>> = []
    for (const [index, one] of all.entries()) {
      fibers.push(yield* Effect.forkChild(start(one, index), { startImmediately: true }))
    }
    // This takes the first report of each new registration.
    const poller = yield* Poller.Poller
    yield* poller.wait(0)
    for (const fiber of fibers) expect(fiber.pollUnsafe(), "it did not have to wait").toBeUndefined()
    return fibers
  }) as never

/** Runs an effect while the clock stands still by which a batch sees how old a write is. */
export const timeless = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(() => vi.spyOn(SocketBatch, "now").mockReturnValue(performance.now())),
    () => effect,
    (spy) => Effect.sync(() => spy.mockRestore())
  )

/** Replaces that clock by one that the test puts forward, until the scope closes. */
export const steppedClock = Effect.acquireRelease(
  Effect.sync(() => {
    const clock = { time: 0 }
    return { clock, spy: vi.spyOn(SocketBatch, "now").mockImplementation(() => clock.time) }
  }),
  ({ spy }) => Effect.sync(() => spy.mockRestore())
).pipe(Effect.map(({ clock }) => clock))

/** Sends each connection its own bytes in the same turn, and expects the same bytes back. */
export const expectEcho = (all: ReadonlyArray<Connected>, sizeOf: (index: number) => number, seed = 0) =>
  Effect.gen(function* () {
    const messages = all.map((_, index) => message(seed + index, sizeOf(index)))
    const written = all.map(({ peer }, index) => peer.write(messages[index]!))
    for (const [index, { peer }] of all.entries()) {
      const rest = messages[index]!.subarray(written[index])
      const writing = yield* Effect.forkChild(peer.writeAll(rest), { startImmediately: true })
      const received = yield* peer.receive(messages[index]!.length)
      expect(received.equals(messages[index]!), `what came back to ${index}`).toBe(true)
      yield* Fiber.join(writing)
    }
    for (const { peer } of all) expect(isEmpty(peer.fd)).toBe(true)
  })

/** Reads up to `count` bytes, as text. */
export const readOnce = (connection: Tcp.TcpStream, size = 64) =>
  Effect.suspend(() => {
    const buffer = new Uint8Array(size)
    return Effect.map(connection.read(buffer), (count) => Buffer.from(buffer.subarray(0, count)).toString())
  })

/** Reads up to `count` bytes. */
export const readBytes = (connection: Tcp.TcpStream, size: number) =>
  Effect.suspend(() => {
    const buffer = Buffer.alloc(size)
    return Effect.map(connection.read(buffer), (count) => buffer.subarray(0, count))
  })

export const joinAll = <A, E>(fibers: ReadonlyArray<Fiber.Fiber<A, E>>) => Effect.forEach(fibers, Fiber.join)
