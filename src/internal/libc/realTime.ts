/**
 * The time and the timers of Node itself. Tests replace the global ones by fakes that never run
 * until the test moves the time, and descriptors know nothing of that.
 *
 * They are taken when this module loads. No other module of the library uses the global ones.
 */
import { performance } from "node:perf_hooks"
import * as timers from "node:timers"

/**
 * Returns the function that stands behind a fake one. The fake timers of Sinon, which Vitest and
 * Jest use as well, may have been installed already. They keep the real functions in their clock.
 */
const behindFake = <F>(name: string, current: F): F =>
  (current as { readonly clock?: { readonly [name: string]: F | undefined } }).clock?.[`_${name}`] ?? current

export const setImmediate = behindFake("setImmediate", timers.setImmediate)
export const setTimeout = behindFake("setTimeout", timers.setTimeout)
export const setInterval = behindFake("setInterval", timers.setInterval)
export const clearInterval = behindFake("clearInterval", timers.clearInterval)
export const queueMicrotask = behindFake("queueMicrotask", globalThis.queueMicrotask)

// A fake replaces the method of the object, and leaves the one of its class. In Bun, the object has
// the only one.
const nowOf = (Object.getPrototypeOf(performance) as Partial<Performance>).now ?? performance.now

/**
 * Returns milliseconds, with a fraction, since the start of this thread. The clock never goes back:
 * it is CLOCK_MONOTONIC, by which the kernel's timers run.
 */
export const now: () => number = nowOf.bind(performance)

// Not by an import of node:process: that opens the standard streams, and so makes pipes there
// non-blocking.
const { bigint } = behindFake("hrtime", process.hrtime)

/** Returns nanoseconds of CLOCK_MONOTONIC, as C libraries read it. */
export const monotonicNow = (): bigint => bigint()

const { timeOrigin } = performance

/**
 * Returns milliseconds on a clock that all threads share, as long as the system's clock is not set
 * between the starts of two threads.
 */
export const sharedNow = (): number => timeOrigin + now()
