/** Runs one side in a separate process, so that sides do not share compiled code or a heap. */
import { spawn } from "node:child_process"
import { descriptors } from "./toolbox.ts"
import type { Command } from "./question.ts"

export type Figures = Readonly<Record<string, number>>

/** By then the compiler has optimized every hot path. */
const warmUpMillis = 500
const measuredMillis = 800
/** A side that takes longer hangs. */
const limitMillis = 60_000

/** Runs a command, and returns the figures that it prints. */
export const measure = (command: Command): Promise<Figures> =>
  new Promise((resolve, reject) => {
    const [program, ...rest] = command
    const child = spawn(program!, rest, {
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        ...process.env,
        BENCH_WARMUP_MS: String(warmUpMillis),
        BENCH_MEASURE_MS: String(measuredMillis),
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
