/** Runs tests on every kind of queue of calls: io_uring, and Linux AIO as older kernels have it, too. */
import { afterAll, beforeAll } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { destroyContext } from "../../src/internal/kernel/aioContext.ts"
import { openSubmissionQueue } from "../../src/internal/kernel/openSubmissionQueue.ts"
import type { SubmissionQueue } from "../../src/internal/kernel/submissionQueue.ts"
import { libc } from "../../src/internal/libc/koffi.ts"
import { linux } from "../../src/internal/libc/profiles/linux.ts"
import { changeFunctions, describeAio, describeUring, Peer, setFor } from "./batch.ts"
import * as Kernel from "./kernel.ts"
import { submitWithout } from "./olderKernel.ts"

const { RWF_NOSIGNAL, RWF_NOWAIT } = linux.aio
/** Linux has the first since 6.5, as far as sockets are concerned, and the second since 6.18. */
const ages = [
  ["Linux AIO", 0],
  ["Linux AIO before 6.18", RWF_NOSIGNAL],
  ["Linux AIO before 6.5", RWF_NOSIGNAL | RWF_NOWAIT]
] as const

/** The flags that the kernel is not to know, in the tests that are running. */
let unknown = 0

/** Describes the same tests for every kind of queue. `body` gets the unknown flags of AIO. */
export const describeQueues = (name: string, body: (unknownFlags: number, isAio: boolean) => void): void => {
  describeUring(`${name} (io_uring)`, () => {
    setFor("UV_USE_IO_URING", undefined)
    body(0, false)
  })
  for (const [age, flags] of ages) {
    describeAio(`${name} (${age})`, () => {
      setFor("UV_USE_IO_URING", "0")
      beforeAll(() => void (unknown = flags))
      afterAll(() => void (unknown = 0))
      body(flags, true)
    })
  }
}

/** Opens a queue of the kind that is being tested. */
export const opened = (capacity: number): Effect.Effect<SubmissionQueue, never, Scope.Scope> =>
  Effect.gen(function* () {
    if (unknown !== 0) yield* changeFunctions((real) => ({ io_submit: submitWithout(unknown, real) }))
    const place = new BigInt64Array(1)
    return yield* Effect.acquireRelease(
      Effect.sync(() => openSubmissionQueue(libc(), capacity, place)!),
      (queue) =>
        Effect.sync(() => {
          queue.close()
          destroyContext(libc(), linux.aio.calls[process.arch]!, place)
        })
    )
  })

export const socketPair: Effect.Effect<readonly [Peer, Peer], never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => {
    const [near, far] = Kernel.tcpPair()
    return [new Peer(near, far), new Peer(far, near)] as const
  }),
  (both) => Effect.sync(() => both.forEach((each) => each.close()))
)

/** Keeps memory while these tests run: the kernel knows only its address. */
const kept: Array<Buffer> = []

/** Allocates memory, and returns its address, too. */
export const memory = (length: number) => {
  const bytes = Buffer.alloc(length)
  kept.push(bytes)
  return { bytes, address: Number(libc().addressOf(bytes)) }
}

export const submit = (queue: SubmissionQueue, count: number): ReadonlyArray<number> => {
  const results = new Int32Array(count)
  queue.submit(results)
  return [...results]
}
