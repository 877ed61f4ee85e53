// The default layer, on the built JavaScript.
import { Effect, Stream } from "effect"
import { Poller, Registrar } from "effect-amy"
import { layer } from "effect-amy/Poller"
import { TestPoller } from "effect-amy/testing"
import assert from "node:assert/strict"
import { writeSync } from "node:fs"
import * as Fifo from "./fifo.mjs"

const fifo = Fifo.open()
const program = Effect.gen(function* () {
  writeSync(fifo.fd, "x")
  const [first] = yield* Registrar.watch(fifo.fd, "Read").pipe(Stream.take(1), Stream.runCollect)
  assert.equal(`${first}`, "Notification(1, Read)")
})
await Effect.runPromise(Effect.provide(program, layer))
fifo.close()

const tested = Effect.gen(function* () {
  const kernel = yield* TestPoller.TestPoller
  const descriptor = yield* kernel.open
  const id = yield* Registrar.register(descriptor, "Read")
  yield* descriptor.readable
  assert.deepEqual(
    (yield* Poller.wait(0)).map((notification) => notification.id),
    [id]
  )
})
await Effect.runPromise(Effect.provide(tested, TestPoller.layer))

// The second is what other runtimes say.
await assert.rejects(import("effect-amy/internal/layers/worker"), {
  code: /^ERR_(PACKAGE_PATH_NOT_EXPORTED|MODULE_NOT_FOUND)$/
})
console.log("the default layer works")
