/**
 * Random peers write to many connections in bursts, so that these become ready together, and random
 * fibers read and write on this side and are interrupted. Every byte is accounted for, in both
 * directions. `BATCH_SEED` repeats a run, `BATCH_ROUNDS` lengthens it.
 */
import { expect, it } from "@effect/vitest"
import { Effect, Fiber, Scheduler } from "effect"
import type { PollerError } from "effect-amy"
import { describeBatched, type Connected, manyConnected, run } from "../support/batch.ts"
import * as Kernel from "../support/kernel.ts"
import { layers, readyNow, twoLayers } from "../support/layers.ts"
import { times } from "../support/long.ts"
import { random } from "../support/model.ts"
import { begin, isEmpty, turn } from "../support/watched.ts"
import { waiters } from "../net/tcp/support.ts"

const seed = Number(process.env.BATCH_SEED ?? Math.floor(Math.random() * 0x1_0000_0000))
const rounds = Number(process.env.BATCH_ROUNDS ?? times(2, 12))
const connections = 40
const steps = 150

/** A stream of bytes that each tell their position. */
class Pattern {
  readonly #salt: number
  /** How many bytes were handed out, or have arrived. */
  length = 0

  constructor(salt: number) {
    this.#salt = salt
  }

  byteAt(at: number): number {
    return (Math.imul(at + this.#salt, 0x9e37_79b1) >>> 16) & 0xff
  }

  next(count: number): Uint8Array {
    const bytes = new Uint8Array(count)
    for (let i = 0; i < count; i++) bytes[i] = this.byteAt(this.length + i)
    this.length += count
    return bytes
  }

  /** Checks the next bytes that have arrived. */
  expect(bytes: Uint8Array, what: string): void {
    for (const byte of bytes) {
      if (byte !== this.byteAt(this.length)) expect.fail(`${what}: byte ${this.length} is another one`)
      this.length++
    }
  }
}

type Work = Fiber.Fiber<unknown, PollerError.PollerError>

/** A connection, and what was sent each way. */
class Line {
  readonly connected: Connected
  readonly name: string
  /** Sent by the peer, and read on this side. */
  readonly #sent: Pattern
  readonly #read: Pattern
  /** Written on this side, and arrived at the peer. */
  readonly #written: Pattern
  readonly #came: Pattern
  /**
   * Whether its readers yield between any two steps: a reader that is interrupted there loses what
   * it has read.
   */
  readonly yields: boolean
  reader: Work | undefined
  writers: Array<Work> = []

  constructor(connected: Connected, index: number, salt: number) {
    this.connected = connected
    this.yields = index % 5 === 0
    this.name = `connection ${index}`
    this.#sent = new Pattern(salt + index)
    this.#read = new Pattern(salt + index)
    this.#written = new Pattern(salt - index)
    this.#came = new Pattern(salt - index)
  }

  /** Makes the peer write at most `count` bytes. */
  send(count: number): void {
    const before = this.#sent.length
    const bytes = this.#sent.next(count)
    this.#sent.length = before + this.connected.peer.write(bytes)
  }

  /** Makes the peer read all there is. */
  receive(): void {
    this.#came.expect(this.connected.peer.read(), `${this.name}, at the peer`)
  }

  /**
   * Reads on and on, and replies to some of that. The bytes are noted in the step that reads them.
   */
  get reading() {
    return (below: (limit: number) => number) =>
      Effect.gen({ self: this }, function* () {
        for (;;) {
          const buffer = new Uint8Array(1 + below(below(4) === 0 ? 9000 : 200))
          const note = (count: number) => this.#read.expect(buffer.subarray(0, count), `${this.name}, read`)
          yield* Effect.map(this.connected.connection.read(buffer), note)
          if (below(2) === 0) yield* this.write(1 + below(below(5) === 0 ? 10_000 : 500))
        }
      })
  }

  /** Writes in a separate fiber that is not interrupted, as it may have written a part. */
  write(count: number) {
    return Effect.suspend(() => {
      const { connection } = this.connected
      const writer = Effect.runFork(Effect.suspend(() => connection.writeAll(this.#written.next(count))))
      this.writers.push(writer)
      return Fiber.join(writer)
    })
  }

  get isEven(): boolean {
    return this.#read.length === this.#sent.length && this.#came.length === this.#written.length
  }

  get counts(): string {
    return `${this.name}: read ${this.#read.length} of ${this.#sent.length}, came ${this.#came.length} of ${this.#written.length}`
  }
}

const yielding = Effect.provideService(Scheduler.MaxOpsBeforeYield, 3)

const oneRound = Effect.fnUntraced(function* (next: () => number) {
  const below = (limit: number) => Math.floor(next() * limit)
  const lines = (yield* manyConnected(connections)).map((one, index) => new Line(one, index, below(1 << 20)))
  const any = () => lines[below(lines.length)]!
  const start = Effect.fnUntraced(function* (line: Line) {
    const reading = line.reading(below)
    line.reader ??= yield* begin(line.yields ? yielding(reading) : reading)
  })
  const stop = Effect.fnUntraced(function* (line: Line) {
    const { reader } = line
    line.reader = undefined
    if (reader === undefined) return
    yield* Fiber.interrupt(reader)
    const exit = yield* Fiber.await(reader)
    if (exit._tag === "Failure") expect(exit.cause.reasons.map(({ _tag }) => _tag)).toEqual(["Interrupt"])
  })
  for (const line of lines) yield* start(line)
  for (let step = 0; step < steps; step++) {
    const choice = next()
    if (choice < 0.4) {
      // All of them in one turn of the event loop.
      for (let i = below(lines.length); i > 0; i--) any().send(1 + below(below(6) === 0 ? 10_000 : 300))
      if (next() < 0.5) yield* turn
    } else if (choice < 0.55) {
      for (let i = below(10); i > 0; i--) {
        const line = any()
        if (!line.yields) yield* stop(line)
      }
    } else if (choice < 0.75) {
      for (let i = below(20); i > 0; i--) yield* start(any())
    } else if (choice < 0.8) {
      const line = any()
      yield* begin(line.write(1 + below(10_000)))
    } else if (choice < 0.9) {
      for (let i = below(lines.length); i > 0; i--) any().receive()
    } else if (choice < 0.95) yield* readyNow
    else yield* turn
  }
  for (const line of lines) yield* start(line)
  for (let turns = 0; !lines.every(({ isEven }) => isEven); turns++) {
    for (const line of lines) line.receive()
    if (turns === 20_000) {
      expect.fail(
        lines
          .filter(({ isEven }) => !isEven)
          .map(({ counts }) => counts)
          .join("\n")
      )
    }
    yield* turn
  }
  for (const line of lines) yield* stop(line)
  for (const line of lines) for (const writer of line.writers) yield* Fiber.join(writer)
  for (const line of lines) line.receive()
  expect(lines.filter(({ isEven }) => !isEven).map(({ counts }) => counts)).toEqual([])
  for (const { connected } of lines) {
    expect(isEmpty(connected.connection.fd)).toBe(true)
    expect(isEmpty(connected.peer.fd)).toBe(true)
  }
  expect(yield* waiters).toBe(0)
})

for (const name of twoLayers) {
  describeBatched(`connections that become ready together (${name})`, () => {
    it.live("every byte is accounted for, whichever fiber is interrupted", () =>
      run(
        Effect.fnUntraced(function* (calls) {
          const next = random(seed)
          let before = Kernel.openDescriptors()
          for (let round = 0; round < rounds; round++) {
            yield* Effect.scoped(oneRound(next)).pipe(
              Effect.timeout("100 seconds"),
              Effect.catchCause((cause) =>
                Effect.fail(new Error(`BATCH_SEED=${seed}, round ${round}: ${String(cause)}`))
              )
            )
            // The ring is opened with the first batch.
            if (round === 0) before = Kernel.openDescriptors()
            expect(Kernel.openDescriptors()).toEqual(before)
          }
          expect(calls.count).toBeGreaterThan(rounds)
        }),
        layers[name]
      )
    )
  })
}
