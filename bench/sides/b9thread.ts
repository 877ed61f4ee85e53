/**
 * One of B9's threads. It joins a poller, or has one of its own. For each notification it computes,
 * and makes the same descriptor ready again. Without a poller it computes the same, over and over.
 */
import { Effect, Queue } from "effect"
import { Poller, Registrar } from "effect-amy"
import { workerData } from "node:worker_threads"
import * as Kernel from "../../test/support/kernel.ts"
import { burn } from "../support/burn.ts"
import { Tally } from "../support/tally.ts"

/** The thread's `workerData`. */
export interface ThreadData {
  readonly index: number
  readonly blocks: number
  readonly poller: Poller.PollerHandle | "own" | undefined
  readonly shared: SharedArrayBuffer
}

const descriptors = 16

const { poller, index, blocks, shared } = workerData as ThreadData
const tally = new Tally(shared)

const eventfd = Effect.acquireRelease(Effect.sync(Kernel.eventfd), (fd) => Effect.sync(() => Kernel.close(fd)))

const notified = Effect.gen(function* () {
  const queue = yield* Poller.queue
  const byId = new Map<Registrar.RegistrationId, number>()
  for (let i = 0; i < descriptors; i++) {
    const fd = yield* eventfd
    byId.set(yield* Registrar.registerScoped(fd, "Read"), fd)
    Kernel.signal(fd)
  }
  while (!tally.isOver) {
    for (const { id } of yield* Queue.takeAll(queue)) {
      burn(blocks)
      tally.add(index)
      Kernel.signal(byId.get(id)!)
    }
  }
}).pipe(Effect.scoped)

const alone = Effect.sync(() => {
  while (!tally.isOver) {
    burn(blocks)
    tally.add(index)
  }
})

const layer = poller === undefined || poller === "own" ? Poller.layerEventLoop() : Poller.layerAttach(poller)
await Effect.runPromise(poller === undefined ? alone : Effect.provide(notified, layer))
