/**
 * The polling thread: waits in the kernel and fills mailboxes until the poller closes. It loads
 * neither `effect` nor anything else that it can do without, because loading is most of its start.
 */
import { parentPort, workerData } from "node:worker_threads"
import { Lingering } from "./lingering.ts"
import type { LoadingPlace } from "./loadingThreads.ts"
import { PollerMemory, State } from "./pollerMemory.ts"
import { libc } from "../libc/koffi.ts"
import { borrow } from "../kernel/openSelector.ts"
import type { SelectorHandle } from "../kernel/selector.ts"
import { SystemCallError } from "../kernel/systemCallError.ts"
import { currentThread, shownThread } from "../kernel/threadId.ts"
import { Router, safetyNet } from "./router.ts"

/** What the thread that starts it passes on. */
export interface ThreadData {
  readonly memory: SharedArrayBuffer
  /** The path of koffi. This thread may run where it could not find it. */
  readonly koffi: string
  readonly selector: SelectorHandle
  readonly batchSize: number
  /** Where this thread is noted until it has loaded the C library. */
  readonly loading: LoadingPlace
}

const data = workerData as ThreadData
const memory = new PollerMemory(data.memory)

/** Loads the C library. Until then, the exit of the process waits for this thread. */
const load = () => {
  const place = memory.loading.takeOver(data.loading, shownThread())
  try {
    return libc(data.koffi)
  } finally {
    memory.loading.end(place)
  }
}

// Outside of what marks the poller as failed: the thread may be started again, with other options.
const library = load()

try {
  const router = new Router(memory, borrow(library, data.selector, data.batchSize), undefined)
  memory.threadId = currentThread(library)
  parentPort!.postMessage("ready")
  const lingering = new Lingering()
  let timeout = safetyNet
  while (memory.state === State.Open) {
    const found = router.poll(timeout)
    timeout = lingering.isWorthIt(found, router.isAwaited) ? 0 : safetyNet
  }
} catch (error) {
  // The end of this thread reports the failure, too, but attached threads see only the shared
  // memory.
  memory.fail(error instanceof SystemCallError ? error.errno : 0)
  memory.mailboxes.wakeAll()
  throw error
}
