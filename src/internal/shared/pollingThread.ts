/**
 * The polling thread: waits in the kernel and fills mailboxes, until it is told to end. It loads neither `effect` nor
 * anything else that it could do without, for that is most of its start.
 */
import { parentPort, workerData } from "node:worker_threads"
import { PollerMemory, State } from "./pollerMemory.ts"
import { libc } from "../libc/koffi.ts"
import { borrow } from "../kernel/openSelector.ts"
import type { SelectorHandle } from "../kernel/selector.ts"
import { SystemCallError } from "../kernel/systemCallError.ts"
import { currentThread } from "../kernel/threadId.ts"
import { Router } from "./router.ts"
import { safetyNet } from "./router.ts"

/** What the thread is given. */
export interface ThreadData {
  readonly memory: SharedArrayBuffer
  readonly selector: SelectorHandle
  readonly batchSize: number
}

const data = workerData as ThreadData
const memory = new PollerMemory(data.memory)

/** The C library. Whoever started this thread does not end it before. */
const load = () => {
  try {
    return libc()
  } finally {
    memory.endLoading()
  }
}

try {
  const router = new Router(memory, borrow(load(), data.selector, data.batchSize), undefined)
  memory.threadId = currentThread()
  parentPort!.postMessage("ready")
  while (memory.state === State.Open) router.poll(safetyNet)
} catch (error) {
  // Told here as well as by the thread's end, for the threads that are attached see only the shared memory.
  memory.fail(error instanceof SystemCallError ? error.errno : 0)
  memory.mailboxes.wakeAll()
  throw error
}
