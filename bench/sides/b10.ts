/**
 * The sides of B10: `b10.ts ready-LAYER|back-LAYER|poll|bare`.
 *
 * "ready" waits for an eventfd that is ready, over and over, by `ForeignFd`; "poll" does so by
 * poll(2) through koffi. "back" writes to an eventfd, waits for it and reads it, as a library does;
 * "bare" does so in the callback of `koffi.node.poll`.
 */
import { Effect } from "effect"
import { ForeignFd } from "effect-amy"
import koffi from "koffi"
import * as Kernel from "../../test/support/kernel.ts"
import { layerOf } from "../support/layers.ts"
import * as Meter from "../support/meter.ts"

const rounds = 100
const fd = Kernel.eventfd()
const meter = Meter.start()

/** Counts what was done. Returns whether the time is over, once it has reported. */
const isOver = (count: number): boolean => {
  const elapsed = meter.add(count)
  if (elapsed === undefined) return false
  Meter.report({ micros: (elapsed * 1e3) / meter.done })
  return true
}

const [what, layer] = process.argv[2]!.split(/-(.*)/)

const ready = Effect.gen(function* () {
  const foreign = yield* ForeignFd.make(fd)
  const wait = foreign.wait("Read")
  Kernel.signal(fd)
  do {
    for (let round = 0; round < rounds; round++) yield* wait
  } while (!isOver(rounds))
})

const back = Effect.gen(function* () {
  const foreign = yield* ForeignFd.make(fd)
  const wait = foreign.wait("Read")
  do {
    // Once the fiber waits: what is ready before is returned without the poller.
    queueMicrotask(() => Kernel.signal(fd))
    yield* wait
    Kernel.read(fd)
  } while (!isOver(1))
})

const poll = () => {
  const call = koffi.load(null).func("int poll(void *fds, unsigned long nfds, int timeout)") as (
    fds: Int32Array,
    nfds: number,
    timeout: number
  ) => number
  const words = new Int32Array([fd, 1])
  Kernel.signal(fd)
  do {
    for (let round = 0; round < rounds; round++) if (call(words, 1, 0) !== 1) throw new Error("poll")
  } while (!isOver(rounds))
}

const bare = () => {
  const watch = koffi.node.poll(fd, { readable: true }, () => {
    Kernel.read(fd)
    if (isOver(1)) watch.close()
    else Kernel.signal(fd)
  })
  Kernel.signal(fd)
}

if (what === "poll") poll()
else if (what === "bare") bare()
else {
  const program = what === "ready" ? ready : back
  await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(layerOf(layer))))
}
