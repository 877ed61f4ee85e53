/**
 * Our side of B7: `b7.ts worker|event-loop`, with Node's `--expose-gc`. Registers as many eventfds
 * as this process may open, and then does nothing.
 */
import { Effect } from "effect"
import { Registrar } from "effect-amy"
import { readFileSync } from "node:fs"
import * as Kernel from "../../test/support/kernel.ts"
import { layerOf } from "../support/layers.ts"
import * as Meter from "../support/meter.ts"

const wanted = 100_000
/** Descriptors for Node, for the poller, and for what the shell left open. */
const spare = 200
const idleMillis = 3000

const limit = Number(/^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? 1024)
const count = Math.min(wanted, limit - spare)

const collect = (): number => {
  if (globalThis.gc === undefined) throw new Error("start this with --expose-gc")
  for (let i = 0; i < 3; i++) globalThis.gc()
  return process.memoryUsage().heapUsed
}

const program = Effect.gen(function* () {
  const registrar = yield* Registrar.Registrar
  const source = Kernel.eventfd()
  const descriptors = Int32Array.from({ length: count }, Kernel.eventfd)
  // Warm up: what is compiled and cached at the first use is not a cost of a registration.
  for (let i = 0; i < 1000; i++) {
    yield* registrar.register(source, "Read")
    yield* registrar.deregister(source)
  }
  const before = collect()
  for (const fd of descriptors) yield* registrar.register(fd, "Read")
  const bytes = (collect() - before) / count

  // The threads of the compiler and the collector still have work to finish.
  yield* Effect.sleep(500)
  const started = performance.now()
  const cpu = process.cpuUsage()
  yield* Effect.sleep(idleMillis)
  const { system, user } = process.cpuUsage(cpu)
  const cpuPercent = ((user + system) / 1e3 / (performance.now() - started)) * 100

  for (const fd of descriptors) {
    yield* registrar.deregister(fd)
    Kernel.close(fd)
  }
  Kernel.close(source)
  Meter.report({ count, bytes, cpuPercent })
})

await Effect.runPromise(Effect.provide(program, layerOf(process.argv[2])))
