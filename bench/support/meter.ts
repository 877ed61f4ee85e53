/** Counts what is done in the measured time, as the baselines do: nothing of the warm-up counts. */

export interface Meter {
  /** Adds what was just done. Answers the milliseconds that were measured once it is over, and `undefined` until then. */
  readonly add: (count: number) => number | undefined
  /** What was done in them. */
  readonly done: number
}

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

/** A number that the runner or the writer has given by way of the environment. */
export const setting = (name: string): number => {
  const value = Number(process.env[name] ?? NaN)
  if (Number.isNaN(value)) throw new Error(`${name} is not set: start this with bench/run.ts`)
  return value
}

/** The one line that the runner reads. */
export const report = (figures: Readonly<Record<string, number>>): void => {
  process.stdout.write(`${JSON.stringify(figures)}\n`)
}
