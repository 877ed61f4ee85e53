/**
 * Attaches to the poller of another thread, which closes it. Opens files under the numbers that
 * have become free, and exits with the attached layer still open. Prints whether anything was
 * written to those files.
 */
import { Effect, Exit, Layer, Scope } from "effect"
import { Poller } from "effect-amy"
import { once } from "node:events"
import { closeSync, fstatSync, mkdtempSync, openSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Worker } from "node:worker_threads"
import * as Kernel from "../support/kernel.ts"
import { outcome } from "../support/opened.ts"
import type { ConsumerData, ConsumerMessage } from "../support/programs.ts"
import { programUrl } from "../support/programUrl.ts"

const data: ConsumerData = { layer: "eventLoop" }
const worker = new Worker(programUrl("programs/consumer"), { workerData: data })
const [owner] = (await once(worker, "message")) as [ConsumerMessage]
if (owner._tag !== "ready") throw new Error(`expected the message "ready", got "${owner._tag}"`)

const attached = Effect.gen(function* () {
  const scope = yield* Scope.make()
  yield* Scope.addFinalizer(scope, Effect.die(new Error("the layer must stay open")))
  const context = yield* Layer.buildWithScope(Poller.layerAttach(owner.handle), scope)
  const during = Kernel.openDescriptors()
  worker.postMessage("close")
  yield* Effect.promise(() => once(worker, "exit"))
  yield* Effect.flatMap(Poller.Poller, ({ wait }) => outcome(wait("1 hour"))).pipe(Effect.provide(context))
  // The waits end first. The layer closes its descriptors afterwards.
  yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
  return [...during.keys()].filter((fd) => !Kernel.openDescriptors().has(fd))
})

const exit = await Effect.runPromiseExit(attached)
if (Exit.isFailure(exit)) throw new Error(String(exit.cause))
const freed = new Set(exit.value)
if (freed.size < 2) throw new Error("the attached layer has not closed its descriptors")

const directory = mkdtempSync(join(tmpdir(), "late-exit-"))
const files: Array<number> = []
while (freed.size > 0) {
  const fd = openSync(join(directory, String(files.length)), "w+")
  files.push(fd)
  freed.delete(fd)
}
process.on("exit", () => {
  console.log(files.every((fd) => fstatSync(fd).size === 0) ? "untouched" : "written to")
  for (const fd of files) closeSync(fd)
  rmSync(directory, { recursive: true })
})
console.log("ready")
process.exit()
