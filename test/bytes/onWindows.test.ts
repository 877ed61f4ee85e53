/** What reading and writing costs on a simulated Windows. */
import { expect, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { AsyncFd } from "effect-amy"
import { win32 } from "../../src/internal/libc/profiles/win32.ts"
import { onSimulatedAfd } from "../support/worlds.ts"
import { begin, beginWaiting } from "../support/waiting.ts"

const { EAGAIN } = win32.errno

it.live("an echo makes one request of the device a message, and a wait for room one more", () =>
  onSimulatedAfd((world, system) =>
    Effect.gen(function* () {
      const { fd, makeRoom, receive } = yield* world.socket
      let room = 1000
      const blocked = () => {
        system.errno = EAGAIN
        return -1
      }
      system.functions = {
        fcntl: () => win32.fcntl.O_NONBLOCK,
        read: (fd, bytes) => {
          let count = 0
          system.change(fd, (socket) => {
            count = socket.pending
            socket.pending = 0
          })
          bytes[0] = 7
          return count === 0 ? blocked() : count
        },
        write: (fd, _bytes, count) => {
          if (room-- > 0) return count
          system.change(fd, (socket) => (socket.isWritable = false))
          return blocked()
        }
      }
      const socket = yield* AsyncFd.make(fd)
      const buffer = new Uint8Array(10)
      for (let message = 0; message < 1000; message++) {
        const reading = yield* begin(socket.read(buffer))
        yield* receive
        expect(yield* Fiber.join(reading)).toBe(1)
        yield* socket.writeAll(buffer, 0, 1)
      }
      // Beside them, one for room to write, to begin with, and one for the ends.
      expect([system.requests.length, system.cancellations]).toEqual([1002, 0])
      const writing = yield* beginWaiting(socket.writeAll(buffer))
      room = 1
      yield* makeRoom
      yield* Fiber.join(writing)
      expect([system.requests.length, system.cancellations]).toEqual([1003, 0])
    })
  )
)
