/**
 * Descriptors as messages: they arrive open, the scope closes them, and a failure leaves none open.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Scope } from "effect"
import { Fd, type Poller, type Registrar, Unix } from "effect-amy"
import { writeSync } from "node:fs"
import * as Kernel from "../support/kernel.ts"
import { describeLayers } from "../support/layers.ts"
import { outcomeOf, reasonOf } from "../support/outcome.ts"
import { withRoomFor } from "../support/descriptorLimit.ts"
import { atOnce, begin, beginWaiting, encode, scopedFds, waiters } from "../support/watched.ts"
import { notLinux, onLinux } from "../support/platform.ts"

/** Expects the test to leave no descriptor open, and no fiber waiting. */
const leavesNothing = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const before = [...Kernel.openDescriptors().keys()]
    yield* Effect.scoped(effect)
    expect([...Kernel.openDescriptors().keys()]).toEqual(before)
    expect(yield* waiters).toBe(0)
  })

/** Opens a number of descriptors that a test can tell apart. */
const numbered = (count: number) =>
  scopedFds(() =>
    Array.from({ length: count }, (_, n) => {
      const fd = Kernel.source()
      writeSync(fd, new Uint8Array(new BigUint64Array([BigInt(n + 1)]).buffer))
      return fd
    })
  )

const numberOf = (fd: Fd.Fd) =>
  Effect.sync(() => {
    const value = new BigUint64Array(1)
    return Effect.map(fd.tryRead(new Uint8Array(value.buffer)), () => Number(value[0]))
  }).pipe(Effect.flatten)

const openCount = () => Kernel.openDescriptors().size

/** Reads until a number of bytes has arrived. */
const readAll = (stream: Unix.UnixStream, bytes: Uint8Array, from = 0) =>
  Effect.gen(function* () {
    for (let length = from; length < bytes.length;) {
      const count = yield* stream.read(bytes, length)
      if (count === 0) break
      length += count
    }
    return bytes
  })

type Body = Effect.Effect<unknown, unknown, Poller.Poller | Registrar.Registrar | Scope.Scope>

describeLayers("Unix: descriptors as messages", (layer) => {
  const live = (name: string, body: () => Body) =>
    it.live(name, () => Effect.provide(leavesNothing(Effect.suspend(body)), layer()))
  const liveOnLinux = (needs: string, name: string, body: () => Body) =>
    it.live.skipIf(notLinux)(onLinux(needs, name), () => Effect.provide(leavesNothing(Effect.suspend(body)), layer()))

  for (const count of [1, 2, 7, 253]) {
    live(`${count} at a time arrive in order, open, close-on-exec, and with numbers of their own`, () =>
      Effect.gen(function* () {
        const [one, other] = yield* Unix.socketPair
        const fds = yield* numbered(count)
        yield* one.sendDescriptors(fds, encode("here"))
        const buffer = new Uint8Array(16)
        const { descriptors, length } = yield* other.receiveDescriptors(buffer, count)
        expect(new TextDecoder().decode(buffer.subarray(0, length))).toBe("here")
        expect(descriptors).toHaveLength(count)
        for (const [n, descriptor] of descriptors.entries()) {
          expect(fds).not.toContain(descriptor.fd)
          expect(Kernel.isCloseOnExec(descriptor.fd)).toBe(true)
          expect(yield* numberOf(descriptor)).toBe(n + 1)
        }
        // They stay open on this side, too.
        expect(fds.every(Kernel.isOpen)).toBe(true)
      })
    )
  }

  live("the scope that received them closes them", () =>
    Effect.gen(function* () {
      const [one, other] = yield* Unix.socketPair
      const fds = yield* numbered(3)
      yield* one.sendDescriptors(fds, encode("x"))
      const before = openCount()
      const scope = yield* Scope.make()
      const { descriptors } = yield* Scope.provide(other.receiveDescriptors(new Uint8Array(1), 3), scope)
      expect(openCount()).toBe(before + 3)
      // A descriptor that was closed or given away before is not closed again.
      yield* descriptors[0]!.close
      const taken = yield* descriptors[1]!.take
      yield* Scope.close(scope, Exit.void)
      expect(openCount()).toBe(before + 1)
      Kernel.close(taken)
    })
  )

  live("a stream that is sent goes on with its new owner", () =>
    Effect.gen(function* () {
      const [one, other] = yield* Unix.socketPair
      const [near, far] = yield* Unix.socketPair
      yield* one.sendDescriptors([near], encode("x"))
      yield* near.close
      const { descriptors } = yield* other.receiveDescriptors(new Uint8Array(1), 1)
      const received = yield* Unix.fromFd(yield* descriptors[0]!.take)
      yield* far.writeAll(encode("still here"))
      const buffer = new Uint8Array(10)
      yield* readAll(received, buffer)
      expect(new TextDecoder().decode(buffer)).toBe("still here")
    })
  )

  live("they arrive once, with the first of 4 MiB of bytes, and the rest follows", () =>
    Effect.gen(function* () {
      const [one, other] = yield* Unix.socketPair
      const fds = yield* numbered(2)
      const payload = new Uint8Array(4 << 20).map((_, i) => i * 13)
      const sending = yield* begin(one.sendDescriptors(fds, payload))
      expect(sending.pollUnsafe()).toBeUndefined()
      // Later writes come after it.
      const after = yield* begin(one.writeAll(encode("after")))
      const buffer = new Uint8Array(payload.length + 5)
      const first = yield* other.receiveDescriptors(buffer, 2)
      expect(first.descriptors).toHaveLength(2)
      let { length } = first
      while (length < buffer.length) {
        const more = yield* other.receiveDescriptors(buffer.subarray(length), 2)
        expect(more.descriptors).toHaveLength(0)
        length += more.length
      }
      yield* Fiber.join(sending)
      yield* Fiber.join(after)
      expect(Buffer.from(buffer.buffer, 0, payload.length).equals(Buffer.from(payload))).toBe(true)
      expect(new TextDecoder().decode(buffer.subarray(payload.length))).toBe("after")
    })
  )

  live("each receive gets the descriptors of one message", () =>
    Effect.gen(function* () {
      const [one, other] = yield* Unix.socketPair
      const fds = yield* numbered(3)
      for (const [n, fd] of fds.entries()) yield* one.sendDescriptors([fd], encode(`${n}`))
      for (let n = 0; n < 3; n++) {
        const buffer = new Uint8Array(16)
        const { descriptors, length } = yield* other.receiveDescriptors(buffer, 3)
        expect(new TextDecoder().decode(buffer.subarray(0, length))).toBe(`${n}`)
        expect(yield* Effect.forEach(descriptors, numberOf)).toEqual([n + 1])
      }
    })
  )

  live("bytes without descriptors arrive with none, and the length is 0 at the end", () =>
    Effect.gen(function* () {
      const [one, other] = yield* Unix.socketPair
      yield* one.writeAll(encode("plain"))
      yield* one.close
      const buffer = new Uint8Array(16)
      expect(yield* other.receiveDescriptors(buffer, 1)).toEqual({ length: 5, descriptors: [] })
      expect(yield* other.receiveDescriptors(buffer, 1)).toEqual({ length: 0, descriptors: [] })
    })
  )

  for (const [sent, most] of [
    [2, 1],
    [3, 2],
    [4, 1],
    [253, 252]
  ] as const) {
    live(`${sent} with room for ${most} fail with LimitReached, none is left open, and the connection goes on`, () =>
      Effect.gen(function* () {
        const [one, other] = yield* Unix.socketPair
        const fds = yield* numbered(sent)
        yield* one.sendDescriptors(fds, encode("x"))
        const before = openCount()
        expect(yield* reasonOf(Effect.scoped(other.receiveDescriptors(new Uint8Array(1), most)))).toBe("LimitReached")
        expect(openCount()).toBe(before)
        yield* one.sendDescriptors(fds.slice(0, most), encode("y"))
        const { descriptors } = yield* other.receiveDescriptors(new Uint8Array(1), most)
        expect(descriptors).toHaveLength(most)
      })
    )
  }

  for (const room of [0, 1, 2]) {
    live(`three in a process that can open only ${room} more fail with LimitReached, and none is left open`, () =>
      Effect.gen(function* () {
        const [one, other] = yield* Unix.socketPair
        const fds = yield* numbered(3)
        yield* one.sendDescriptors(fds, encode("x"))
        const before = openCount()
        const receiving = Effect.scoped(other.receiveDescriptors(new Uint8Array(1), 3))
        expect(yield* withRoomFor(room, reasonOf(atOnce(receiving)))).toBe("LimitReached")
        expect(openCount()).toBe(before)
        yield* one.sendDescriptors(fds, encode("y"))
        expect((yield* other.receiveDescriptors(new Uint8Array(1), 3)).descriptors).toHaveLength(3)
      })
    )
  }

  live("the kernel closes them if a plain read takes the bytes", () =>
    Effect.gen(function* () {
      const [one, other] = yield* Unix.socketPair
      const { reader, writer } = yield* Fd.pipe
      yield* one.sendDescriptors([writer], encode("read"))
      yield* writer.close
      const before = openCount()
      expect(yield* other.read(new Uint8Array(16))).toBe(4)
      expect(openCount()).toBe(before)
      // No process has the writing end any more.
      expect(yield* reader.tryRead(new Uint8Array(1))).toEqual(Option.some(0))
    })
  )

  live("descriptors that were never received are closed with the connection", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* Fd.pipe
      const [one, other] = yield* Unix.socketPair
      yield* one.sendDescriptors([writer], encode("lost"))
      yield* writer.close
      expect(yield* reader.tryRead(new Uint8Array(1))).toEqual(Option.none())
      yield* other.close
      yield* one.close
      expect(yield* reader.tryRead(new Uint8Array(1))).toEqual(Option.some(0))
    })
  )

  live("an interrupted receive takes nothing", () =>
    Effect.gen(function* () {
      const [one, other] = yield* Unix.socketPair
      const [fd] = yield* numbered(1)
      for (let round = 0; round < 3; round++) {
        const receiving = yield* beginWaiting(Effect.scoped(other.receiveDescriptors(new Uint8Array(1), 1)))
        yield* Fiber.interrupt(receiving)
      }
      yield* one.sendDescriptors([fd!], encode("x"))
      const { descriptors } = yield* other.receiveDescriptors(new Uint8Array(1), 1)
      expect(descriptors).toHaveLength(1)
    })
  )

  live("a receive that is interrupted just when they arrive leaks none of them", () =>
    Effect.gen(function* () {
      const [one, other] = yield* Unix.socketPair
      const [fd] = yield* numbered(1)
      const before = openCount()
      for (let round = 0; round < 20; round++) {
        const receiving = yield* begin(Effect.scoped(other.receiveDescriptors(new Uint8Array(1), 1)))
        yield* one.sendDescriptors([fd!], encode("x"))
        if (round % 2 === 0) yield* Effect.yieldNow
        yield* Fiber.interrupt(receiving)
        const exit = yield* Fiber.await(receiving)
        if (Exit.isFailure(exit)) yield* Effect.scoped(other.receiveDescriptors(new Uint8Array(1), 1))
        expect(openCount()).toBe(before)
      }
    })
  )

  liveOnLinux("SO_PASSCRED", "other control messages are no descriptors, and take no room from them", () =>
    Effect.gen(function* () {
      const [one, other] = yield* Unix.socketPair
      Kernel.passCredentials(other.fd)
      const buffer = new Uint8Array(8)
      yield* one.writeAll(encode("plain"))
      expect(yield* other.receiveDescriptors(buffer, 1)).toEqual({ length: 5, descriptors: [] })
      const fds = yield* numbered(2)
      yield* one.sendDescriptors(fds, encode("here"))
      const { descriptors, length } = yield* other.receiveDescriptors(buffer, 2)
      expect([length, yield* Effect.forEach(descriptors, numberOf)]).toEqual([4, [1, 2]])
    })
  )

  live("a send that waits for room can be interrupted", () =>
    Effect.gen(function* () {
      const [one, other] = yield* Unix.socketPair
      const [fd] = yield* numbered(1)
      Kernel.fill(one.fd)
      const sending = yield* beginWaiting(one.sendDescriptors([fd!], encode("x")))
      yield* Fiber.interrupt(sending)
      Kernel.drain(other.fd)
      yield* one.sendDescriptors([fd!], encode("y"))
      const buffer = new Uint8Array(8)
      const { descriptors, length } = yield* other.receiveDescriptors(buffer, 1)
      expect([descriptors.length, length, buffer[0]]).toEqual([1, 1, "y".charCodeAt(0)])
    })
  )

  describe("invalid input is refused before anything is sent", () => {
    live("sending", () =>
      Effect.gen(function* () {
        const [one, other] = yield* Unix.socketPair
        const [fd] = yield* numbered(1)
        const byte = Uint8Array.of(1)
        expect(yield* reasonOf(one.sendDescriptors([], byte))).toBe("InvalidArgument")
        expect(yield* reasonOf(one.sendDescriptors(Array<number>(254).fill(fd!), byte))).toBe("InvalidArgument")
        expect(yield* reasonOf(one.sendDescriptors([fd!], new Uint8Array(0)))).toBe("InvalidArgument")
        expect(yield* reasonOf(one.sendDescriptors([1.5], byte))).toBe("InvalidArgument")
        expect(yield* reasonOf(one.sendDescriptors([Number.NaN], byte))).toBe("InvalidArgument")
        expect(yield* reasonOf(one.sendDescriptors(5 as never, byte))).toBe("InvalidArgument")
        expect(yield* reasonOf(one.sendDescriptors([null as never], byte))).toBe("InvalidArgument")
        expect(yield* reasonOf(one.sendDescriptors([fd!], undefined as never))).toBe("InvalidArgument")
        expect(yield* reasonOf(one.sendDescriptors([fd!, -1], byte))).toBe("BadDescriptor")
        const closed = Kernel.source()
        Kernel.close(closed)
        const error = yield* Effect.flip(one.sendDescriptors([fd!, closed], byte))
        // The error names the closed descriptor, and not the socket.
        expect(error.reason).toMatchObject({ _tag: "BadDescriptor", fd: closed })
        yield* one.close
        expect(yield* atOnce(other.receiveDescriptors(byte, 1))).toEqual({ length: 0, descriptors: [] })
      })
    )

    live("receiving", () =>
      Effect.gen(function* () {
        const [, other] = yield* Unix.socketPair
        const byte = new Uint8Array(1)
        for (const most of [0, -1, 1.5, 254, Number.NaN]) {
          expect(yield* reasonOf(Effect.scoped(other.receiveDescriptors(byte, most)))).toBe("InvalidArgument")
        }
        for (const buffer of [new Uint8Array(0), undefined, null, 5]) {
          expect(yield* outcomeOf(Effect.scoped(other.receiveDescriptors(buffer as never, 1)))).toBe("InvalidArgument")
        }
      })
    )
  })

  live("to a peer that is gone fail with BrokenPipe, without a signal", () =>
    Effect.gen(function* () {
      const [one, other] = yield* Unix.socketPair
      const [fd] = yield* numbered(1)
      yield* other.close
      expect(yield* reasonOf(one.sendDescriptors([fd!], encode("x")))).toBe("BrokenPipe")
    })
  )
})
