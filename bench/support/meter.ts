/** Counts what is done in the measured time, as the baselines do. The warm-up does not count. */

export interface Meter {
  /**
   * Adds to the count. Returns the measured milliseconds once the time is over, and `undefined`
   * until then.
   */
  readonly add: (count: number) => number | undefined
  /** The count in the measured time. */
  readonly done: number
}

/** Starts the warm-up, and then the measured time. */
export const start = (): Meter => {
  const from = performance.now() + setting("BENCH_WARMUP_MS")
  const until = from + setting("BENCH_MEASURE_MS")
  let started = 0
  let done = 0
  return {
    get done() {
      return done
    },
    add(count) {
      const now = performance.now()
      if (started === 0) {
        if (now >= from) started = now
        return undefined
      }
      done += count
      return now >= until ? now - started : undefined
    }
  }
}

/** Returns a number that the runner or the writer has set in the environment. */
export const setting = (name: string): number => {
  const value = Number(process.env[name] ?? NaN)
  if (Number.isNaN(value)) throw new Error(`${name} is not set: start this with bench/run.ts`)
  return value
}

/** Prints the one line that the runner reads. */
export const report = (figures: Readonly<Record<string, number>>): void => {
  process.stdout.write(`${JSON.stringify(figures)}\n`)
}
