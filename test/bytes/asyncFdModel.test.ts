/**
 * Random fibers on two connected sockets, both watched: they read, write and wait, and are
 * interrupted. Every byte that was written is read once and in order. `ASYNC_FD_SEED` repeats a
 * run, `ASYNC_FD_ROUNDS` lengthens it.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option } from "effect"
import { AsyncFd, Poller, type PollerError } from "effect-amy"
import * as Kernel from "../support/kernel.ts"
import { layers, readyNow, twoLayers } from "../support/layers.ts"
import { times } from "../support/long.ts"
import { random } from "../support/model.ts"
import { begin, isEmpty, readInto, scopedFds, turn, waiters } from "../support/watched.ts"

const seed = Number(process.env.ASYNC_FD_SEED ?? Math.floor(Math.random() * 0x1_0000_0000))
const rounds = Number(process.env.ASYNC_FD_ROUNDS ?? times(15, 120))

/** Makes a message that carries its own number, so that its bytes can be put together again. */
const messageSize = 8
const messages = (first: number, count: number): Uint8Array => {
  const bytes = new Uint8Array(count * messageSize)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < count; i++) {
    view.setUint32(i * messageSize, first + i)
    view.setUint32(i * messageSize + 4, ~(first + i))
  }
  return bytes
}

/** The bytes that arrived in one direction, in the order in which they were read. */
class Received {
  readonly #chunks: Array<Uint8Array> = []
  length = 0

  add(chunk: Uint8Array): void {
    this.#chunks.push(chunk)
    this.length += chunk.length
  }

  /** Returns the numbers of the messages as runs of rising ones. Fails if a message is torn. */
  get runs(): ReadonlyArray<readonly [first: number, count: number]> {
    const all = Buffer.concat(this.#chunks)
    expect(all.length % messageSize).toBe(0)
    const runs: Array<[number, number]> = []
    for (let at = 0; at < all.length; at += messageSize) {
      const number = all.readUInt32BE(at)
      if (all.readUInt32BE(at + 4) !== ~number >>> 0) expect.fail(`a message is torn at byte ${at}`)
      const last = runs.at(-1)
      if (last !== undefined && last[0] + last[1] === number) last[1]++
      else runs.push([number, 1])
    }
    return runs
  }
}

/** Returns the same for the messages that were written. */
const joined = (groups: ReadonlyArray<readonly [number, number]>) => {
  const runs: Array<[number, number]> = []
  for (const [first, count] of groups) {
    const last = runs.at(-1)
    if (last !== undefined && last[0] + last[1] === first) last[1] += count
    else runs.push([first, count])
  }
  return runs
}

type Work = Effect.Effect<unknown, PollerError.PollerError>

/**
 * One of the ways to read. The bytes are noted in the step that reads them, which nothing can
 * interrupt.
 */
const reading = (watched: AsyncFd.AsyncFd, fd: number, received: Received, choice: number, size: number): Work => {
  const note = (length: number, buffer: Uint8Array) => received.add(buffer.slice(0, length))
  const buffer = new Uint8Array(size)
  if (choice < 0.5) return Effect.map(watched.read(buffer), (length) => note(length, buffer))
  if (choice < 0.8) {
    return watched.readWhenReady(
      Effect.sync(() => {
        if (isEmpty(fd)) return Option.none()
        const length = readInto(fd, buffer)
        note(length, buffer)
        return Option.some(length)
      })
    )
  }
  return watched.readable
}

for (const name of twoLayers) {
  describe(`AsyncFd: every byte is accounted for, whichever fiber is interrupted (${name})`, () => {
    it.live("random fibers on both ends of a socket", () =>
      Effect.gen(function* () {
        const next = random(seed)
        const below = (limit: number) => Math.floor(next() * limit)
        for (let round = 0; round < rounds; round++) {
          const before = Kernel.openDescriptors()
          yield* Effect.scoped(oneRound(next, below)).pipe(
            Effect.timeout("100 seconds"),
            Effect.catchCause((cause) =>
              Effect.fail(new Error(`ASYNC_FD_SEED=${seed}, round ${round}: ${String(cause)}`))
            )
          )
          expect(Kernel.openDescriptors()).toEqual(before)
        }
        expect((yield* (yield* Poller.Poller).stats).registrations).toBe(0)
      }).pipe(Effect.provide(layers[name]()))
    )
  })
}

const oneRound = Effect.fnUntraced(function* (next: () => number, below: (limit: number) => number) {
  const fds = yield* scopedFds(Kernel.socketPair)
  const watched = [yield* AsyncFd.make(fds[0]), yield* AsyncFd.make(fds[1])] as const
  const received = [new Received(), new Received()] as const
  /**
   * Fibers that write many messages. They are never interrupted, as they may have written a part.
   */
  const writers: Array<Fiber.Fiber<unknown, PollerError.PollerError>> = []
  const readers: Array<Fiber.Fiber<unknown, PollerError.PollerError>> = []
  /** Fibers that write one message, and may be interrupted: then nothing of it was written. */
  const singles: Array<{
    readonly fiber: Fiber.Fiber<number, PollerError.PollerError>
    readonly withdraw: () => void
  }> = []
  /** The messages that each side writes, as groups that begin with a number. */
  const groups: [Array<[number, number]>, Array<[number, number]>] = [[], []]
  let number = 0
  for (let step = 0; step < 150; step++) {
    const side = below(2) as 0 | 1
    const choice = next()
    if (choice < 0.3) {
      // Now and then there is more than fits.
      const count = next() < 0.1 ? 30_000 + below(60_000) : 1 + below(20)
      writers.push(yield* begin(watched[side].writeAll(messages(number, count))))
      groups[side].push([number, count])
      number += count
    } else if (choice < 0.4) {
      const group: [number, number] = [number, 1]
      singles.push({
        fiber: yield* begin(watched[side].write(messages(number, 1))),
        withdraw: () => void groups[side].splice(groups[side].indexOf(group), 1)
      })
      groups[side].push(group)
      number++
    } else if (choice < 0.65) {
      const size = next() < 0.2 ? 200_000 : 1 + below(100)
      const other = (1 - side) as 0 | 1
      readers.push(yield* begin(reading(watched[side], fds[side], received[other], next(), size)))
    } else if (choice < 0.8) {
      const victim = readers.splice(below(readers.length), 1)[0]
      if (victim === undefined) continue
      const exit = yield* Effect.andThen(Fiber.interrupt(victim), Fiber.await(victim))
      if (Exit.isFailure(exit)) expect(exit.cause.reasons.map(({ _tag }) => _tag)).toEqual(["Interrupt"])
    } else if (choice < 0.85) {
      const victim = singles.splice(below(singles.length), 1)[0]
      if (victim === undefined) continue
      if (next() < 0.3) yield* turn
      const exit = yield* Effect.andThen(Fiber.interrupt(victim.fiber), Fiber.await(victim.fiber))
      if (Exit.isFailure(exit)) victim.withdraw()
      else expect(exit.value).toBe(messageSize)
    } else if (choice < 0.92) yield* turn
    else if (choice < 0.95) yield* readyNow
    else {
      // A fiber that only waits for room, and gives up.
      const waiting = yield* begin(watched[side].writable)
      if (next() < 0.5) yield* turn
      yield* Fiber.interrupt(waiting)
    }
  }
  for (const reader of readers) yield* Fiber.interrupt(reader)
  // The rest is read to the end, while the fibers that still write go on.
  for (const side of [0, 1] as const) {
    const total = groups[side].reduce((sum, [, count]) => sum + count, 0) * messageSize
    const other = (1 - side) as 0 | 1
    while (received[side].length < total) {
      const buffer = new Uint8Array(100_000)
      received[side].add(buffer.subarray(0, yield* watched[other].read(buffer)))
    }
  }
  yield* Effect.forEach(writers, Fiber.join)
  for (const { fiber } of singles) expect(yield* Fiber.join(fiber)).toBe(messageSize)
  expect(yield* waiters).toBe(0)
  for (const side of [0, 1] as const) {
    expect(received[side].runs).toEqual(joined(groups[side]))
    expect(isEmpty(fds[side])).toBe(true)
  }
})
