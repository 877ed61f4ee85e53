/**
 * Sends by a queue to peers that are closed, on the main thread and in a worker: while the process
 * ignores SIGPIPE, while it listens for it, and while the signal kills by default. Posts the results
 * of each. The argument has the flags that the kernel is not to know, as an older one.
 */
import { once } from "node:events"
import { isMainThread, parentPort, Worker } from "node:worker_threads"
import { libc } from "../../src/internal/libc/koffi.ts"
import { openSubmissionQueue } from "../../src/internal/kernel/openSubmissionQueue.ts"
import * as Kernel from "../support/kernel.ts"
import { olderKernel } from "../support/olderKernel.ts"

olderKernel(Number(process.argv[2]))
const queue = openSubmissionQueue(libc(), 4, new BigInt64Array(1))!
const bytes = Buffer.alloc(8)
const address = Number(libc().addressOf(bytes))

const send = (): ReadonlyArray<number> => {
  const [shut] = Kernel.tcpPair()
  Kernel.shutdownWrite(shut)
  const [broken, peer] = Kernel.tcpPair()
  Kernel.closeWithReset(peer)
  const [healthy] = Kernel.tcpPair()
  // A reset is reported once, as the error of the socket. The next send raises the signal.
  for (const fd of [shut, broken, broken, healthy]) queue.send(fd, address, 1)
  const results = new Int32Array(4)
  queue.submit(results)
  return [...results]
}

if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url), { argv: process.argv.slice(2) })
  const onBoth = async () => {
    worker.postMessage("send")
    const [inWorker] = await once(worker, "message")
    return [send(), inWorker]
  }
  const ignored = await onBoth()

  let count = 0
  const heard = Promise.withResolvers<void>()
  const listener = () => {
    count++
    heard.resolve()
  }
  process.on("SIGPIPE", listener)
  const handled = await onBoth()
  // Node hears of signals in their order: when it hears of this one, it has heard of any before.
  process.kill(process.pid, "SIGPIPE")
  await heard.promise
  process.off("SIGPIPE", listener)

  // Node ignores the signal until the process has listened for it once.
  const byDefault = await onBoth()
  process.send!({ ignored, handled, byDefault, heard: count })
  process.disconnect!()
  await worker.terminate()
} else parentPort!.on("message", () => parentPort!.postMessage(send()))
