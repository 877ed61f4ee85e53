/**
 * io_uring(7) as the library uses it: many calls on sockets at a time, each with a result of its
 * own.
 */
import { expect, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { readFileSync } from "node:fs"
import { libc } from "../../src/internal/libc/koffi.ts"
import type { Functions } from "../../src/internal/libc/prototypes/index.ts"
import { linux } from "../../src/internal/libc/profiles/linux.ts"
import { type IoUring, openIoUring } from "../../src/internal/kernel/ioUring.ts"
import { describeUring, changeFunctions, message, observeUring, Peer, uringDescriptors } from "../support/batch.ts"
import * as Kernel from "../support/kernel.ts"
import { isEmpty } from "../support/watched.ts"
import { setBlocking, startProcess } from "../net/tcp/support.ts"

const EBADF = 9
const EAGAIN = 11
const EPIPE = 32
const ENOTSOCK = 88
const ECONNRESET = 104

const opened = (capacity: number): Effect.Effect<IoUring, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => openIoUring(libc(), capacity)!),
    (uring) => Effect.sync(() => uring.close())
  )

const socketPair: Effect.Effect<readonly [Peer, Peer], never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => {
    const [near, far] = Kernel.tcpPair()
    return [new Peer(near), new Peer(far)] as const
  }),
  (both) => Effect.sync(() => both.forEach((each) => each.close()))
)

/** Keeps memory while these tests run: the kernel knows only its address. */
const kept: Array<Buffer> = []

/** Allocates memory, and returns its address, too. */
const memory = (length: number) => {
  const bytes = Buffer.alloc(length)
  kept.push(bytes)
  return { bytes, address: Number(libc().addressOf(bytes)) }
}

const submit = (uring: IoUring, count: number): ReadonlyArray<number> => {
  const results = new Int32Array(count)
  uring.submit(results)
  return [...results]
}

const mappings = () => readFileSync("/proc/self/maps", "utf8").match(/.*io_uring.*/g)?.length ?? 0

describeUring("each call returns what it would by itself, in the order in which the calls were queued", () => {
  it.live("receive: data, nothing yet, the end, a reset, a closed descriptor, and one that is not a socket", () =>
    Effect.gen(function* () {
      const uring = yield* opened(16)
      const pairs = yield* Effect.forEach(Array.from({ length: 6 }), () => socketPair)
      const [data, nothing, ended, dataAndEnd, reset, closed] = pairs.map(([near]) => near.fd)
      pairs[0]![1].write("data")
      pairs[2]![1].end()
      pairs[3]![1].write("last")
      pairs[3]![1].end()
      pairs[4]![1].reset()
      pairs[5]![0].close()
      const { address, bytes } = memory(64)
      const fds = [data!, nothing!, ended!, dataAndEnd!, dataAndEnd!, reset!, closed!, Kernel.eventfd()]
      fds.forEach((fd, i) => uring.receive(fd, address + i * 8, 8))
      expect(submit(uring, 8)).toEqual([4, -EAGAIN, 0, 4, 0, -ECONNRESET, -EBADF, -ENOTSOCK])
      expect(bytes.subarray(0, 8).toString()).toBe("data\0\0\0\0")
      expect(bytes.subarray(24, 32).toString()).toBe("last\0\0\0\0")
      Kernel.close(fds[7]!)
    }).pipe(Effect.scoped)
  )

  it.live("receive: takes what the buffer has room for, and leaves the rest", () =>
    Effect.gen(function* () {
      const uring = yield* opened(4)
      const [near, far] = yield* socketPair
      const all = message(1, 10_000)
      far.write(all)
      const { address, bytes } = memory(10_001)
      uring.receive(near.fd, address, 4096)
      uring.receive(near.fd, address + 4096, 1)
      uring.receive(near.fd, address + 4097, 5904)
      uring.receive(near.fd, address, 4096)
      expect(submit(uring, 4)).toEqual([4096, 1, 5903, -EAGAIN])
      expect(bytes.subarray(0, 10_000).equals(all)).toBe(true)
    }).pipe(Effect.scoped)
  )

  it.live("send: reaches several sockets, and one of them several times", () =>
    Effect.gen(function* () {
      const uring = yield* opened(4)
      const [first, firstPeer] = yield* socketPair
      const [second, secondPeer] = yield* socketPair
      const { address, bytes } = memory(16)
      bytes.write("one two three")
      uring.send(first.fd, address, 4)
      uring.send(second.fd, address + 4, 4)
      uring.send(first.fd, address + 8, 5)
      expect(submit(uring, 3)).toEqual([4, 4, 5])
      expect(firstPeer.read().toString()).toBe("one three")
      expect(secondPeer.read().toString()).toBe("two ")
    }).pipe(Effect.scoped)
  )

  it.live("send: takes what the socket has room for, and would block if it has none", () =>
    Effect.gen(function* () {
      const uring = yield* opened(4)
      const [near, far] = yield* socketPair
      const size = 8 << 20
      const { address, bytes } = memory(size)
      message(2, size).copy(bytes)
      uring.send(near.fd, address, size)
      uring.send(near.fd, address, size)
      const [taken, none] = submit(uring, 2)
      expect(taken).toBeGreaterThan(0)
      expect(taken).toBeLessThan(size)
      expect(none).toBe(-EAGAIN)
      expect((yield* far.receive(taken!)).equals(bytes.subarray(0, taken))).toBe(true)
      expect(isEmpty(far.fd)).toBe(true)
    }).pipe(Effect.scoped)
  )

  it.live("send: fails on a connection that is shut or broken, without the SIGPIPE that kills by default", () =>
    Effect.gen(function* () {
      const program = yield* startProcess("uringBrokenPipe")
      expect(yield* program.next).toEqual([-EPIPE, -ECONNRESET, -EPIPE, 1])
      expect(yield* program.ended).toEqual({ code: 0, signal: null })
    }).pipe(Effect.scoped)
  )

  it.live("a socket in blocking mode does not block the call", () =>
    Effect.gen(function* () {
      const uring = yield* opened(4)
      const [near] = yield* socketPair
      setBlocking(near.fd)
      const { address } = memory(1 << 16)
      uring.receive(near.fd, address, 8)
      expect(submit(uring, 1)).toEqual([-EAGAIN])
      let last = 0
      while (last >= 0) {
        uring.send(near.fd, address, 1 << 16)
        last = submit(uring, 1)[0]!
      }
      expect(last).toBe(-EAGAIN)
    }).pipe(Effect.scoped)
  )

  it.live("makes more calls than the ring has entries, in several submissions", () =>
    Effect.gen(function* () {
      const uring = yield* opened(8)
      expect(uring.capacity).toBe(8)
      const pairs = yield* Effect.forEach(Array.from({ length: 8 }), () => socketPair)
      const { address, bytes } = memory(8)
      const incoming = memory(8)
      for (let round = 0; round < 1000; round++) {
        const count = 1 + ((round * 5) % 8)
        for (let i = 0; i < count; i++) {
          bytes[i] = (round + i) & 0xff
          uring.send(pairs[i]![1].fd, address + i, 1)
        }
        expect(submit(uring, count)).toEqual(Array.from({ length: count }, () => 1))
        incoming.bytes.fill(0)
        for (let i = 0; i < 8; i++) uring.receive(pairs[i]![0].fd, incoming.address + i, 1)
        expect(submit(uring, 8)).toEqual(Array.from({ length: 8 }, (_, i) => (i < count ? 1 : -EAGAIN)))
        expect([...incoming.bytes.subarray(0, count)]).toEqual([...bytes.subarray(0, count)])
      }
    }).pipe(Effect.scoped)
  )

  it.live("a capacity is rounded up to a power of two", () =>
    Effect.gen(function* () {
      expect((yield* opened(5)).capacity).toBe(8)
    }).pipe(Effect.scoped)
  )

  it.live("makes no system call if no call is queued", () =>
    Effect.gen(function* () {
      const calls = yield* observeUring
      const uring = yield* opened(4)
      uring.submit(new Int32Array(0))
      expect(calls.count).toBe(0)
    }).pipe(Effect.scoped)
  )
})

/** Changes what io_uring_setup returns. */
const setup = (change: (result: number, params: Uint32Array) => number) =>
  changeFunctions(({ io_uring_setup }) => ({
    io_uring_setup: (number, entries, params) => change(io_uring_setup(number, entries, params), params)
  }))

const opensNone = (name: string, change: Effect.Effect<void, never, Scope.Scope>) =>
  it.live(`opens no ring ${name}, and leaves nothing behind`, () =>
    Effect.gen(function* () {
      const before = Kernel.openDescriptors()
      const mapped = mappings()
      yield* change
      expect(openIoUring(libc(), 128)).toBeUndefined()
      expect(Kernel.openDescriptors()).toEqual(before)
      expect(mappings()).toBe(mapped)
    }).pipe(Effect.scoped)
  )

describeUring("opening and closing", () => {
  it.live("leaves no descriptor and no memory after two hundred rings", () =>
    Effect.gen(function* () {
      const [near, far] = yield* socketPair
      const { address } = memory(8)
      const before = Kernel.openDescriptors()
      const mapped = mappings()
      const rings = uringDescriptors()
      for (let i = 0; i < 200; i++) {
        const uring = openIoUring(libc(), 128)!
        expect(uringDescriptors()).toBe(rings + 1)
        expect(mappings()).toBeGreaterThan(mapped)
        far.write("x")
        uring.receive(near.fd, address, 8)
        expect(submit(uring, 1)).toEqual([1])
        uring.close()
      }
      expect(Kernel.openDescriptors()).toEqual(before)
      expect(mappings()).toBe(mapped)
    }).pipe(Effect.scoped)
  )

  opensNone(
    "if the kernel has no io_uring, or forbids it",
    changeFunctions(() => ({ io_uring_setup: () => -1 }))
  )
  opensNone(
    "if the kernel is too old",
    setup((fd, params) => {
      params[linux.ioUring.params.features]! &= ~linux.ioUring.FEAT_FAST_POLL
      return fd
    })
  )
  opensNone(
    "if its memory cannot be mapped",
    changeFunctions(() => ({ mmap: () => -1 }))
  )
  opensNone(
    "if only one part of its memory can be mapped",
    changeFunctions(({ mmap }) => {
      let count = 0
      const once: Functions["mmap"] = (...all) => (count++ === 0 ? mmap(...all) : -1)
      return { mmap: once }
    })
  )

  opensNone(
    "if it is turned off for Node",
    Effect.acquireRelease(
      Effect.sync(() => {
        const before = process.env["UV_USE_IO_URING"]
        process.env["UV_USE_IO_URING"] = "0"
        return before
      }),
      (before) =>
        Effect.sync(() => {
          if (before === undefined) delete process.env["UV_USE_IO_URING"]
          else process.env["UV_USE_IO_URING"] = before
        })
    )
  )

  it.live("tries again without flags on a kernel that does not know them", () =>
    Effect.gen(function* () {
      const asked: Array<number> = []
      yield* changeFunctions(({ io_uring_setup }) => ({
        io_uring_setup: (number, entries, params) => {
          const flags = params[linux.ioUring.params.flags]!
          asked.push(flags)
          return flags === 0 ? io_uring_setup(number, entries, params) : -1
        }
      }))
      const uring = yield* opened(4)
      expect(asked).toEqual([linux.ioUring.SETUP_SINGLE_ISSUER | linux.ioUring.SETUP_COOP_TASKRUN, 0])
      const [near, far] = yield* socketPair
      far.write("x")
      const { address } = memory(8)
      uring.receive(near.fd, address, 8)
      expect(submit(uring, 1)).toEqual([1])
    }).pipe(Effect.scoped)
  )
})

describeUring("when io_uring_enter", () => {
  it.live("fails, this call and every later one would block", () =>
    Effect.gen(function* () {
      const calls = yield* observeUring
      const uring = yield* opened(4)
      const [near, far] = yield* socketPair
      const { address } = memory(8)
      far.write("abc")
      uring.receive(near.fd, address, 1)
      expect(submit(uring, 1)).toEqual([1])
      calls.breaksAt = 2
      for (let i = 0; i < 20; i++) {
        uring.receive(near.fd, address, 1)
        uring.send(near.fd, address, 1)
        expect(submit(uring, 2)).toEqual([-EAGAIN, -EAGAIN])
      }
      // The ring makes no further system call.
      expect(calls.count).toBe(2)
      expect(near.read().toString()).toBe("bc")
      expect(isEmpty(far.fd)).toBe(true)
    }).pipe(Effect.scoped)
  )

  it.live("is interrupted, or takes only some of the calls, each call is made once", () =>
    Effect.gen(function* () {
      let isInterrupted = false
      let errno = 0
      yield* changeFunctions(({ io_uring_enter }) => ({
        io_uring_enter: (number, fd, count, ...rest) => {
          isInterrupted = !isInterrupted
          errno = isInterrupted ? 4 : 0
          return isInterrupted ? -1 : io_uring_enter(number, fd, Math.min(count, 1), ...rest)
        }
      }))
      const changed = { ...libc(), errno: () => errno }
      const uring = openIoUring(changed, 4)!
      yield* Effect.addFinalizer(() => Effect.sync(() => uring.close()))
      const [near, far] = yield* socketPair
      const { address, bytes } = memory(8)
      for (let round = 0; round < 10; round++) {
        far.write("abc")
        for (let i = 0; i < 4; i++) uring.receive(near.fd, address + i, 1)
        expect(submit(uring, 4)).toEqual([1, 1, 1, -EAGAIN])
        expect(bytes.subarray(0, 3).toString()).toBe("abc")
      }
    }).pipe(Effect.scoped)
  )
})
