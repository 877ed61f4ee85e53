/**
 * A thread that attaches to a poller, registers a descriptor, and closes its layer. It stops for
 * ever at one step of that, so that it can be terminated there: before it loads koffi, before a call
 * of the C library, or after one of close(2).
 */
import { Effect } from "effect"
import { Poller, Registrar } from "effect-amy"
import { registerHooks } from "node:module"
import { parentPort, workerData } from "node:worker_threads"
import { type Libc, libc, provideLibc } from "../../src/internal/libc/koffi.ts"
import { block } from "../support/thread.ts"

export interface StoppedData {
  readonly handle: Poller.PollerHandle
  /** A descriptor to register. */
  readonly fd: number
  /**
   * The number of the call, from 1 on. 0 is the loading of koffi. With `Infinity` the thread does
   * all of it again and again.
   */
  readonly step: number
}

const { fd, handle, step } = workerData as StoppedData
const port = parentPort!

const stop = (at: string): never => {
  port.postMessage(at)
  for (;;) block(60_000)
}

/** Counts the calls, and stops before one of them. */
const counting = (real: Libc): Libc => {
  let calls = 0
  const functions = Object.fromEntries(
    Object.entries(Object.getOwnPropertyDescriptors(real.functions)).map(([name, { value }]) => [
      name,
      (...args: ReadonlyArray<unknown>) => {
        const isStep = ++calls === step
        // After it, because the note of the descriptor is removed before, in the same step.
        const isAfter = name === "close"
        if (isStep && !isAfter) stop(name)
        const result = (value as (...args: ReadonlyArray<unknown>) => number)(...args)
        return isStep && isAfter ? stop(name) : result
      }
    ])
  ) as unknown as Libc["functions"]
  return { ...real, functions }
}

if (step === 0) {
  // Node 22 asks for the path alone, once it has found it.
  const koffi = /(^|\/node_modules\/)koffi(\/|$)/
  registerHooks({
    resolve: (specifier, context, next) => (koffi.test(specifier) ? stop("koffi") : next(specifier, context))
  })
} else if (step < Infinity) {
  provideLibc(counting(libc()))
}

const attach = Effect.scoped(Registrar.registerScoped(fd, "Read")).pipe(Effect.provide(Poller.layerAttach(handle)))

if (step === Infinity) {
  await Effect.runPromise(attach)
  port.postMessage("under way")
  await Effect.runPromise(Effect.forever(attach))
}
await Effect.runPromise(attach)
port.postMessage("done")
