/**
 * The sides of B10: `b10.ts ready-LAYER|back-LAYER|poll|bare|anew`.
 *
 * "ready" waits for an eventfd that is ready, over and over, by `ForeignFd`; "poll" does so by
 * poll(2) through koffi. "back" has two fibers. Each waits for an eventfd, reads it, and makes that
 * of the other ready. "bare" does so in two callbacks of `koffi.node.poll`, which stay. "anew" opens
 * a `koffi.node.poll` for each wait and closes it: a watch that stays misses a socket that the library
 * has replaced.
 */
import { Effect } from "effect"
import { ForeignFd } from "effect-amy"
import koffi from "koffi"
import * as Kernel from "../../test/support/kernel.ts"
import { layerOf } from "../support/layers.ts"
import * as Meter from "../support/meter.ts"

const rounds = 100
const fd = Kernel.eventfd()
const far = Kernel.eventfd()
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

/** Waits for one eventfd and makes the other ready, in turn with a fiber that does the reverse. */
const back = Effect.gen(function* () {
  const waitNear = (yield* ForeignFd.make(fd)).wait("Read")
  const waitFar = (yield* ForeignFd.make(far)).wait("Read")
  const reply = Effect.map(waitFar, () => {
    Kernel.read(far)
    Kernel.signal(fd)
  })
  yield* Effect.forkScoped(Effect.forever(reply, { disableYield: true }), { startImmediately: true })
  do {
    Kernel.signal(far)
    yield* waitNear
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
  const farWatch = koffi.node.poll(far, { readable: true }, () => {
    Kernel.read(far)
    Kernel.signal(fd)
  })
  const watch = koffi.node.poll(fd, { readable: true }, () => {
    Kernel.read(fd)
    if (!isOver(1)) return Kernel.signal(far)
    watch.close()
    farWatch.close()
  })
  Kernel.signal(far)
}

/** Opens a watch for one wait. */
const waitAnew = (fd: number, onReadable: () => void) => {
  const watch = koffi.node.poll(fd, { readable: true }, () => {
    watch.close()
    onReadable()
  })
  return watch
}

const anew = () => {
  const reply = () => {
    Kernel.read(far)
    Kernel.signal(fd)
    farWatch = waitAnew(far, reply)
  }
  let farWatch = waitAnew(far, reply)
  const answer = () => {
    Kernel.read(fd)
    if (isOver(1)) return farWatch.close()
    waitAnew(fd, answer)
    return Kernel.signal(far)
  }
  waitAnew(fd, answer)
  Kernel.signal(far)
}

if (what === "poll") poll()
else if (what === "anew") anew()
else if (what === "bare") bare()
else {
  const program = what === "ready" ? ready : back
  await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(layerOf(layer))))
}
