/**
 * A channel between threads. A worker thread computes and sends its results. The main thread waits
 * for these results and for a FIFO in one stream of notifications.
 *
 * - The sender crosses to the worker thread as a handle. The receiver has an id, as a registered
 *   descriptor has.
 * - The channel is bounded. The main thread receives nothing until the worker reports, through the
 *   FIFO, that the channel is full. The worker then waits in `send`, and goes on as soon as there
 *   is room.
 *
 * The worker is `channel/primesThread.ts`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Data, Effect, Option, Stream } from "effect"
import { PollChannel, Poller, Registrar } from "effect-amy"
import { Worker } from "node:worker_threads"
import * as Fifo from "./channel/fifo.ts"
import type { Primes, PrimesInput } from "./channel/primes.ts"

const capacity = 3
const limits = [10, 100, 1000, 10_000, 100_000, 200_000, 500_000, 1_000_000]

/** The worker thread failed. */
class ThreadError extends Data.TaggedError("ThreadError")<{ readonly cause: unknown }> {
  override get message(): string {
    return `the worker thread failed: ${String(this.cause)}`
  }
}

/** Runs the worker thread until it ends. */
const computing = (input: PrimesInput): Effect.Effect<void, ThreadError> =>
  Effect.callback((resume) => {
    const worker = new Worker(new URL("./channel/primesThread.ts", import.meta.url), {
      workerData: input,
      transferList: [input.sender.port],
      name: "primes"
    })
    worker.on("error", (cause) => resume(Effect.fail(new ThreadError({ cause }))))
    worker.on("exit", (code) =>
      resume(code === 0 ? Effect.void : Effect.fail(new ThreadError({ cause: `exit code ${code}` })))
    )
    return Effect.promise(() => worker.terminate())
  })

const program = Effect.gen(function* () {
  const { receiver, sender, stats } = yield* PollChannel.bounded<Primes>(capacity)
  const fifo = yield* Fifo.make
  const said = yield* Registrar.registerScoped(fifo, "Read")
  yield* Console.log(`${receiver.id}: a channel for ${capacity} results; ${said}: a FIFO; one stream for both`)

  let isReceiving = false
  let received = 0

  // One notification stands for any number of results. The next one comes after the channel was
  // empty.
  const receiveAll = Effect.gen(function* () {
    for (;;) {
      const next = yield* receiver.tryReceive
      if (Option.isNone(next)) return
      received++
      yield* Console.log(`${receiver.id}: ${next.value.count} primes below ${next.value.limit}`)
    }
  })

  const hear = Effect.gen(function* () {
    yield* Console.log(`${said}: "${yield* Fifo.read(fifo)}"`)
    const { sent } = yield* stats
    yield* Console.log(`${sent} of ${limits.length} results are sent, none is received; receiving them now`)
    isReceiving = true
    yield* receiveAll
  })

  const receiving = Stream.runForEachWhile(Poller.notifications, ({ id }) =>
    Effect.map(
      id === said
        ? hear
        : Effect.when(
            receiveAll,
            Effect.sync(() => isReceiving)
          ),
      () => received < limits.length
    )
  )

  const handle = yield* sender.handle
  // A duplicate, which the worker thread owns from now on.
  const log = yield* (yield* fifo.dup).take
  yield* Effect.all([receiving, computing({ sender: handle, log, limits })], { concurrency: 2 })
  yield* Console.log("all results are here, and the thread has ended")
})

// The program has a scope inside the poller's, so that everything it opens is closed before the
// poller.
program.pipe(Effect.scoped, Effect.provide(Poller.layer), NodeRuntime.runMain)
