/**
 * The polling thread: waits in the kernel and fills mailboxes until the poller closes. It loads
 * neither `effect` nor anything else that it can do without, because loading is most of its start.
 */
import { parentPort, workerData } from "node:worker_threads"
import { PollerMemory, State } from "./pollerMemory.ts"
import { libc } from "../libc/koffi.ts"
import { borrow } from "../kernel/openSelector.ts"
import type { SelectorHandle } from "../kernel/selector.ts"
import { SystemCallError } from "../kernel/systemCallError.ts"
import { currentThread } from "../kernel/threadId.ts"
import { Router, safetyNet } from "./router.ts"

/** What the thread that starts it passes on. */
export interface ThreadData {
  readonly memory: SharedArrayBuffer
  readonly selector: SelectorHandle
  readonly batchSize: number
}

const data = workerData as ThreadData
const memory = new PollerMemory(data.memory)

/** Loads the C library. Until then, the thread that started this one does not terminate it. */
const load = () => {
  try {
    return libc()
  } finally {
    memory.endLoading()
  }
}

try {
  const library = load()
  const router = new Router(memory, borrow(library, data.selector, data.batchSize), undefined)
  memory.threadId = currentThread(library)
  parentPort!.postMessage("ready")
  while (memory.state === State.Open) router.poll(safetyNet)
} catch (error) {
  // The end of this thread reports the failure, too, but attached threads see only the shared
  // memory.
  memory.fail(error instanceof SystemCallError ? error.errno : 0)
  memory.mailboxes.wakeAll()
  throw error
}
