/** Runs one side in a separate process, so that sides do not share compiled code or a heap. */
import { spawn } from "node:child_process"
import { descriptors } from "./toolbox.ts"
import type { Command, Millis } from "./question.ts"

export type Figures = Readonly<Record<string, number>>

/** By the end of the warm-up the compiler has optimized every hot path. */
const usual: Millis = { warmUp: 500, measured: 800 }
/** A side that takes longer hangs, even on a busy machine. */
const limitMillis = 180_000

/**
 * Runs a command, and returns the figures that it prints. `BENCH_WARMUP_MS` and `BENCH_MEASURE_MS`
 * in the environment replace the times.
 */
export const measure = (command: Command, millis: Millis = usual): Promise<Figures> =>
  new Promise((resolve, reject) => {
    const [program, ...rest] = command
    const child = spawn(program!, rest, {
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        BENCH_WARMUP_MS: String(millis.warmUp),
        BENCH_MEASURE_MS: String(millis.measured),
        ...process.env,
        BENCH_COUNT: String(descriptors)
      }
    })
    let output = ""
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => (output += chunk))
    const limit = setTimeout(() => child.kill("SIGKILL"), limitMillis)
    child.on("error", reject)
    child.on("close", (code, signal) => {
      clearTimeout(limit)
      if (code === 0) resolve(JSON.parse(output) as Figures)
      else reject(new Error(`ended with ${signal ?? `exit code ${code}`}: ${command.join(" ")}`))
    })
  })
