/**
 * B3's peers without the library: `b3.ts bare|queue`. Node's event loop watches an epoll instance
 * by `koffi.node.poll`. "bare" replies in the callback. "queue" passes each event to a fiber
 * through a `Queue`.
 */
import { Effect, Queue } from "effect"
import koffi from "koffi"
import * as Kernel from "../../test/support/kernel.ts"
import * as Meter from "../support/meter.ts"

const libc = koffi.load(null)
const epoll_create1 = libc.func("int epoll_create1(int flags)") as (flags: number) => number
const epoll_ctl = libc.func("int epoll_ctl(int epfd, int op, int fd, void *event)") as (
  epfd: number,
  op: number,
  fd: number,
  event: Int32Array
) => number
const epoll_wait = libc.func("int epoll_wait(int epfd, void *events, int maxevents, int timeout)") as (
  epfd: number,
  events: Int32Array,
  maxevents: number,
  timeout: number
) => number

const EPOLL_CLOEXEC = 0x80000
const EPOLL_CTL_ADD = 1
const EPOLLIN = 0x1
const EPOLLRDHUP = 0x2000
const EPOLLET = 1 << 31
// On x86-64 the user data follows the flags directly. Elsewhere it starts at a multiple of eight
// bytes.
const packed = process.arch === "x64"
const data = packed ? 1 : 2
const batchSize = 1024
const batch = new Int32Array(batchSize * (packed ? 3 : 4))

const epfd = epoll_create1(EPOLL_CLOEXEC)
const fd = Kernel.eventfd()
batch[0] = EPOLLIN | EPOLLRDHUP | EPOLLET
batch[data] = 1
if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, batch) === -1) throw new Error("epoll_ctl")

const meter = Meter.start()
/** Counts one event. Returns whether to go on. */
const next = (id: number): boolean => {
  if (id !== 1) throw new Error(`${id} was reported`)
  const elapsed = meter.add(1)
  if (elapsed === undefined) {
    Kernel.signal(fd)
    return true
  }
  watch.close()
  Kernel.close(fd)
  Kernel.close(epfd)
  Meter.report({ micros: (elapsed * 1e3) / meter.done })
  return false
}

const queue = Effect.runSync(Queue.make<number>())
const deliver: (id: number) => void =
  process.argv[2] === "queue"
    ? (id) => {
        Queue.offerUnsafe(queue, id)
        Queue.flushUnsafe(queue)
      }
    : next
const watch = koffi.node.poll(epfd, { readable: true }, () => {
  if (epoll_wait(epfd, batch, batchSize, 0) !== 1) throw new Error("epoll_wait")
  deliver(batch[data]!)
})
Kernel.signal(fd)

if (process.argv[2] === "queue") {
  const take = Queue.take(queue)
  await Effect.runPromise(
    Effect.gen(function* () {
      while (next(yield* take));
    })
  )
}
