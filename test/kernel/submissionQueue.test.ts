/**
 * The queues of calls on sockets: io_uring(7), and Linux AIO as kernels of several ages have it. Each
 * call has a result of its own.
 */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { linux } from "../../src/internal/libc/profiles/linux.ts"
import { changeFunctions, message, observeCalls } from "../support/batch.ts"
import { describeQueues, memory, opened, socketPair, submit } from "../support/queues.ts"
import { isEmpty } from "../support/watched.ts"
import { startProcess } from "../net/tcp/support.ts"
import * as Kernel from "../support/kernel.ts"

const EBADF = 9
const EAGAIN = 11
const EPIPE = 32
const ECONNRESET = 104

describeQueues("each call returns what it would by itself, in the order in which the calls were queued", (unknown) => {
  it.live("receive: data, nothing yet, the end, a reset, and closed descriptors", () =>
    Effect.gen(function* () {
      const queue = yield* opened(16)
      const pairs = yield* Effect.forEach(Array.from({ length: 6 }), () => socketPair)
      const [data, nothing, ended, dataAndEnd, reset, closed] = pairs.map(([near]) => near.fd)
      pairs[0]![1].write("data")
      pairs[2]![1].end()
      pairs[3]![1].write("last")
      pairs[3]![1].end()
      pairs[4]![1].reset()
      pairs[5]![0].close()
      const { address, bytes } = memory(80)
      const fds = [closed!, data!, nothing!, closed!, closed!, ended!, dataAndEnd!, dataAndEnd!, reset!, closed!]
      const expected = [-EBADF, 4, -EAGAIN, -EBADF, -EBADF, 0, 4, 0, -ECONNRESET, -EBADF]
      fds.forEach((fd, i) => queue.receive(fd, address + i * 8, 8))
      expect(submit(queue, 10)).toEqual(expected)
      expect(bytes.subarray(8, 16).toString()).toBe("data\0\0\0\0")
      expect(bytes.subarray(48, 56).toString()).toBe("last\0\0\0\0")
    }).pipe(Effect.scoped)
  )

  it.live("receive: takes what the buffer has room for, and leaves the rest", () =>
    Effect.gen(function* () {
      const queue = yield* opened(4)
      const [near, far] = yield* socketPair
      const all = message(1, 10_000)
      far.write(all)
      const { address, bytes } = memory(10_001)
      queue.receive(near.fd, address, 4096)
      queue.receive(near.fd, address + 4096, 1)
      queue.receive(near.fd, address + 4097, 5904)
      queue.receive(near.fd, address, 4096)
      expect(submit(queue, 4)).toEqual([4096, 1, 5903, -EAGAIN])
      expect(bytes.subarray(0, 10_000).equals(all)).toBe(true)
    }).pipe(Effect.scoped)
  )

  it.live("send: reaches several sockets, and one of them several times", () =>
    Effect.gen(function* () {
      const queue = yield* opened(4)
      const [first, firstPeer] = yield* socketPair
      const [second, secondPeer] = yield* socketPair
      const { address, bytes } = memory(16)
      bytes.write("one two three")
      queue.send(first.fd, address, 4)
      queue.send(second.fd, address + 4, 4)
      queue.send(first.fd, address + 8, 5)
      expect(submit(queue, 3)).toEqual([4, 4, 5])
      expect(firstPeer.read().toString()).toBe("one three")
      expect(secondPeer.read().toString()).toBe("two ")
    }).pipe(Effect.scoped)
  )

  it.live("send: takes what the socket has room for, and would block if it has none", () =>
    Effect.gen(function* () {
      const queue = yield* opened(4)
      const [near, far] = yield* socketPair
      const size = 8 << 20
      const { address, bytes } = memory(size)
      message(2, size).copy(bytes)
      queue.send(near.fd, address, size)
      queue.send(near.fd, address, size)
      const [taken, none] = submit(queue, 2)
      expect(taken).toBeGreaterThan(0)
      expect(taken).toBeLessThan(size)
      expect(none).toBe(-EAGAIN)
      expect((yield* far.receive(taken!)).equals(bytes.subarray(0, taken))).toBe(true)
      expect(isEmpty(far.fd)).toBe(true)
    }).pipe(Effect.scoped)
  )

  it.live("send: fails on a connection that is shut or broken, and never raises SIGPIPE", () =>
    Effect.gen(function* () {
      const program = yield* startProcess("brokenPipe", [String(unknown)])
      const failed = [-EPIPE, -ECONNRESET, -EPIPE, 1]
      // A kernel that cannot be told to raise none is not asked: the caller makes these calls.
      const others = (unknown & linux.aio.RWF_NOSIGNAL) === 0 ? failed : [-EAGAIN, -EAGAIN, -EAGAIN, -EAGAIN]
      expect(yield* program.next).toEqual({
        ignored: [failed, failed],
        handled: [others, others],
        byDefault: [others, others],
        heard: 1
      })
      expect(yield* program.ended).toEqual({ code: 0, signal: null })
    }).pipe(Effect.scoped)
  )

  it.live("a socket in blocking mode does not block the call", () =>
    Effect.gen(function* () {
      const queue = yield* opened(4)
      const [near] = yield* socketPair
      Kernel.setBlocking(near.fd)
      const { address } = memory(1 << 16)
      queue.receive(near.fd, address, 8)
      expect(submit(queue, 1)).toEqual([-EAGAIN])
      let last = 0
      while (last >= 0) {
        queue.send(near.fd, address, 1 << 16)
        last = submit(queue, 1)[0]!
      }
      expect(last).toBe(-EAGAIN)
    }).pipe(Effect.scoped)
  )

  it.live("makes more calls than the ring has entries, in several submissions", () =>
    Effect.gen(function* () {
      const queue = yield* opened(8)
      expect(queue.capacity).toBe(8)
      const pairs = yield* Effect.forEach(Array.from({ length: 8 }), () => socketPair)
      const { address, bytes } = memory(8)
      const incoming = memory(8)
      for (let round = 0; round < 1000; round++) {
        const count = 1 + ((round * 5) % 8)
        for (let i = 0; i < count; i++) {
          bytes[i] = (round + i) & 0xff
          queue.send(pairs[i]![1].fd, address + i, 1)
        }
        expect(submit(queue, count)).toEqual(Array.from({ length: count }, () => 1))
        incoming.bytes.fill(0)
        for (let i = 0; i < 8; i++) queue.receive(pairs[i]![0].fd, incoming.address + i, 1)
        expect(submit(queue, 8)).toEqual(Array.from({ length: 8 }, (_, i) => (i < count ? 1 : -EAGAIN)))
        expect([...incoming.bytes.subarray(0, count)]).toEqual([...bytes.subarray(0, count)])
      }
    }).pipe(Effect.scoped)
  )

  it.live("makes no system call if no call is queued", () =>
    Effect.gen(function* () {
      const calls = yield* observeCalls
      const queue = yield* opened(4)
      queue.submit(new Int32Array(0))
      expect(calls.count).toBe(0)
    }).pipe(Effect.scoped)
  )
})

describeQueues("when the system call", () => {
  it.live("fails, this call and every later one would block", () =>
    Effect.gen(function* () {
      const calls = yield* observeCalls
      const queue = yield* opened(4)
      const [near, far] = yield* socketPair
      const { address } = memory(8)
      far.write("abc")
      queue.receive(near.fd, address, 1)
      expect(submit(queue, 1)).toEqual([1])
      calls.breaksAt = 2
      for (let i = 0; i < 20; i++) {
        queue.receive(near.fd, address, 1)
        queue.send(near.fd, address, 1)
        expect(submit(queue, 2)).toEqual([-EAGAIN, -EAGAIN])
      }
      // The queue makes no further system call.
      expect(calls.count).toBe(2)
      expect(near.read().toString()).toBe("bc")
      expect(isEmpty(far.fd)).toBe(true)
    }).pipe(Effect.scoped)
  )

  it.live("takes only some of the calls, each call is made once", () =>
    Effect.gen(function* () {
      yield* changeFunctions(({ io_submit, io_uring_enter }) => ({
        io_uring_enter: (number, fd, count, ...rest) => io_uring_enter(number, fd, Math.min(count, 1), ...rest),
        io_submit: (number, context, count, calls) => io_submit(number, context, Math.min(count, 1), calls)
      }))
      const queue = yield* opened(4)
      const [near, far] = yield* socketPair
      const { address, bytes } = memory(8)
      for (let round = 0; round < 10; round++) {
        far.write("abc")
        for (let i = 0; i < 4; i++) queue.receive(near.fd, address + i, 1)
        expect(submit(queue, 4)).toEqual([1, 1, 1, -EAGAIN])
        expect(bytes.subarray(0, 3).toString()).toBe("abc")
      }
    }).pipe(Effect.scoped)
  )
})
