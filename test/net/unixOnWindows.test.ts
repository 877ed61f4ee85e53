/** Unix sockets of a simulated Windows, which carry no descriptors. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { type PollerError, Unix } from "effect-amy"
import { win32 } from "../../src/internal/libc/profiles/win32.ts"
import { outcomeOf } from "../support/outcome.ts"
import { onSimulatedAfd } from "../support/worlds.ts"

const { AF_UNIX, SO_TYPE, SOCK_STREAM } = win32.socket

const address = (_fd: number, bytes: Uint8Array, length: Uint32Array) => {
  bytes[0] = AF_UNIX
  length[0] = 2
  return 0
}

it.live("a Unix socket of Windows refuses descriptors by name, and stays usable for bytes", () =>
  onSimulatedAfd((world, system) =>
    Effect.gen(function* () {
      const { fd } = yield* world.socket
      // Neither sendmsg nor recvmsg: a call of them would end the test.
      system.functions = {
        getsockopt: (_fd, _level, name, value) => {
          value[0] = name === SO_TYPE ? SOCK_STREAM : 0
          return 0
        },
        getsockname: address,
        getpeername: address,
        send: (_fd, _bytes, count) => count,
        recv: (_fd, bytes) => {
          bytes[0] = 7
          return 1
        },
        close: (fd) => (system.close(fd) ? 0 : -1)
      }
      const stream = yield* Unix.fromFd(fd)
      const buffer = new Uint8Array(1)
      for (const refused of [
        stream.sendDescriptors([fd], Uint8Array.of(1)),
        Effect.scoped(stream.receiveDescriptors(buffer, 1))
      ]) {
        const { message, reason } = yield* Effect.orDie(
          Effect.flip(Effect.asVoid<unknown, PollerError.PollerError, never>(refused))
        )
        expect(reason._tag).toBe("UnsupportedPlatform")
        expect(message).toContain("the sockets of Windows carry no descriptors: send bytes alone")
      }
      expect(yield* outcomeOf(stream.sendDescriptors([], Uint8Array.of(1)))).toBe("InvalidArgument")
      expect(yield* outcomeOf(Effect.scoped(stream.receiveDescriptors(buffer, 0)))).toBe("InvalidArgument")
      yield* stream.writeAll(Uint8Array.of(1))
      expect([yield* stream.read(buffer), buffer[0]]).toEqual([1, 7])
      expect(yield* outcomeOf(Effect.scoped(Unix.socketPair))).toBe("UnsupportedPlatform")
    })
  )
)
