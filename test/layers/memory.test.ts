/** The memory of a layer, while it is open and once it is closed. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Poller } from "effect-amy"
import { afterEach, vi } from "vitest"
import { PollerMemory } from "../../src/internal/shared/pollerMemory.ts"
import { contentsOf } from "../../src/internal/layers/pollerHandle.ts"
import { layers } from "../support/layers.ts"
import { isLong, times } from "../support/long.ts"
import { open } from "../support/opened.ts"
import { runProgram } from "../support/programs.ts"

/** Returns the bytes of the buffers that `SharedArrayBuffer` made on this thread. */
const countShared = () => {
  const made: Array<SharedArrayBuffer> = []
  class Counted extends SharedArrayBuffer {
    constructor(length: number, options?: { maxByteLength?: number }) {
      super(length, options)
      made.push(this)
    }
  }
  vi.stubGlobal("SharedArrayBuffer", Counted)
  return () => made.reduce((sum, { byteLength }) => sum + byteLength, 0)
}

afterEach(() => void vi.unstubAllGlobals())

describe("the shared memory of a layer", () => {
  for (const [name, layer] of Object.entries(layers)) {
    it.live(`is less than 200 KB with one thread (${name})`, () =>
      Effect.gen(function* () {
        const bytes = countShared()
        yield* open(layer())
        expect(bytes()).toBeGreaterThan(0)
        expect(bytes()).toBeLessThan(200_000)
      })
    )
  }

  it.live("grows with the threads that attach, and is used again when they have detached", () =>
    Effect.gen(function* () {
      const { poller } = yield* open(Poller.layerWorker())
      const { memory } = contentsOf(poller.handle)
      const sizes = [memory.byteLength]
      for (let threads = 0; threads < 3; threads++) {
        yield* open(Poller.layerAttach(poller.handle))
        sizes.push(memory.byteLength)
      }
      const each = sizes[1]! - sizes[0]!
      expect(each).toBeGreaterThan(4096 * 8)
      expect(sizes).toEqual([0, 1, 2, 3].map((threads) => sizes[0]! + threads * each))
      for (let round = 0; round < 10; round++) yield* Effect.scoped(Layer.build(Poller.layerAttach(poller.handle)))
      expect(memory.byteLength).toBe(sizes[3]! + each)
    })
  )

  it.live("that cannot grow refuses the thread with LimitReached, and harms no other thread", () =>
    Effect.gen(function* () {
      const { poller, registrar } = yield* open(Poller.layerWorker({ mailboxSize: 8 }))
      const grow = vi.spyOn(SharedArrayBuffer.prototype, "grow").mockImplementation(() => {
        throw new RangeError("SharedArrayBuffer.prototype.grow: Invalid length parameter")
      })
      const error = yield* Effect.flip(Effect.provide(Poller.Poller, Poller.layerAttach(poller.handle)))
      expect(error.reason._tag).toBe("LimitReached")
      expect(error.message).toContain("no memory for another mailbox of 8 entries")
      grow.mockRestore()
      yield* registrar.timeout(1)
      expect(yield* poller.wait("1 hour")).toHaveLength(1)
      yield* open(Poller.layerAttach(poller.handle))
      expect(new PollerMemory(contentsOf(poller.handle).memory).mailboxes.count).toBe(2)
    })
  )
})

/** The processes that run in a few seconds are for the short run. */
const reopened = isLong ? ["layerWorker", "layerEventLoop", "layerBlocking", "layerAttach"] : ["layerEventLoop"]

describe("layers that were closed leave no memory", () => {
  for (const name of reopened) {
    it.live(
      `the process is as large after many of them as at the start (${name})`,
      (test) =>
        Effect.gen(function* () {
          const rounds = times(500, 2000)
          const { errors, output } = yield* runProgram("reopening", [name, String(rounds)], undefined, [], 900_000)
          expect(errors).toBe("")
          const grown = Number(output.at(-1)) / 1024
          yield* Effect.promise(() => test.annotate(`${Math.round(grown)} MiB more after ${rounds}`))
          // Alone on the machine it is 50 to 80. Beside other tests, which delay the collector, it was
          // 147 once. It was 1,700 when closed layers kept their memory.
          expect(grown).toBeLessThan(250)
        }),
      900_000
    )
  }
})
