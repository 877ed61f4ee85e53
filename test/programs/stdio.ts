/**
 * Uses the standard descriptors, and reports to a file: `stdio.ts REPORT LAYER ACTION`. The report
 * has the flags of the three open files, before, during and after.
 */
import { Effect, Fiber, Stream } from "effect"
import { Poller, type Registrar, Stdio } from "effect-amy"
import * as EffectStdio from "effect/Stdio"
import { appendFileSync } from "node:fs"
import { openDescriptors, statusFlags } from "../support/kernel.ts"

const [path, layerName, action] = process.argv.slice(2) as [string, string, string]

const layers = {
  eventLoop: Poller.layerEventLoop(),
  worker: Poller.layerWorker(),
  blocking: Poller.layerBlocking({ allowMainThread: true })
}

const report = (values: Record<string, unknown>) =>
  Effect.sync(() => appendFileSync(path, `${JSON.stringify(values)}\n`))
/** Counts the open descriptors, unless `node --permission` hides them. */
const countOpen = () => (process.permission === undefined ? openDescriptors().size : 0)
const flags = Effect.suspend(() => report({ flags: [0, 1, 2].map(statusFlags) }))

const turn = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

/** A chunk that a pipe has no room for. */
const large = (letter: string) => letter.repeat(1_000_000)

const count = (chunks: Iterable<Uint8Array>) => Array.from(chunks).reduce((sum, { length }) => sum + length, 0)

const copy = Stdio.stdin.pipe(
  Stream.tap(() => flags),
  Stream.run(Stdio.stdout)
)

const actions: Record<string, Effect.Effect<unknown, unknown, Poller.Poller | Registrar.Registrar>> = {
  copy,
  drain: Effect.andThen(
    Effect.sync(() => process.on("SIGHUP", () => undefined)),
    Effect.andThen(report({ ready: true }), Stream.runDrain(Stdio.stdin))
  ),
  /** Waits for what does not come, and is interrupted. */
  interrupt: Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(Stream.runDrain(Stdio.stdin), { startImmediately: true })
    yield* flags
    yield* Effect.sleep(1)
    yield* Fiber.interrupt(fiber)
  }),
  /** Writes more than there is room for, and is interrupted. */
  full: Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(Stdio.write("stdout", large("x")), { startImmediately: true })
    yield* flags
    yield* Effect.sleep(1)
    yield* Fiber.interrupt(fiber)
  }),
  /** Two fibers write at once. */
  two: Effect.all([Stdio.write("stdout", large("a")), Stdio.write("stdout", large("b"))], {
    concurrency: "unbounded"
  }),
  /** Writes until that fails. */
  broken: Stream.run(Stream.forever(Stream.succeed("x".repeat(1000))), Stdio.stdout),
  /** Interrupts a read that has begun, and reads on. */
  resume: Effect.gen(function* () {
    let total = 0
    const before = openDescriptors().size
    for (let round = 0; round < 20; round++) {
      const fiber = yield* Effect.forkChild(Stream.runHead(Stdio.stdin), { startImmediately: true })
      if (round % 2 === 0) yield* Effect.yieldNow
      const exit = yield* Effect.andThen(Fiber.interrupt(fiber), Fiber.await(fiber))
      if (exit._tag === "Success" && exit.value._tag === "Some") total += exit.value.value.length
      // The thread pool may still read. Every other time, the next reader comes when it has read.
      if (round % 4 < 2) while (openDescriptors().size > before) yield* turn
    }
    total += count(yield* Stream.runCollect(Stdio.stdin))
    yield* report({ total })
  }),
  service: Effect.gen(function* () {
    const stdio = yield* EffectStdio.Stdio
    yield* report({ terminals: yield* Effect.all([stdio.stdinIsTerminal, stdio.stdoutIsTerminal]) })
    yield* Stream.run(stdio.stdin, stdio.stdout())
  }).pipe(Effect.provide(Stdio.layer))
}

const program = Effect.gen(function* () {
  yield* flags
  const before = countOpen()
  const exit = yield* Effect.exit(Effect.provide(actions[action]!, layers[layerName as keyof typeof layers]))
  yield* flags
  const failure = exit._tag === "Failure" ? String(exit.cause) : undefined
  yield* report({ exit: exit._tag, failure, left: countOpen() - before })
})

await Effect.runPromise(program)
