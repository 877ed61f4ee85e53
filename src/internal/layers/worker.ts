/** layerWorker: a dedicated thread waits in the kernel, and a scoped fiber supervises it. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Worker } from "node:worker_threads"
import type { LayerOptions } from "../../Poller.ts"
import type { PollerError } from "../../PollerError.ts"
import type { Attachment } from "../delivery/attachment.ts"
import { MailboxConsumer } from "../delivery/mailboxConsumer.ts"
import { deniedByNode } from "../errors/nodePermission.ts"
import { workerFailed } from "../errors/pollerErrors.ts"
import { currentThread } from "../kernel/threadId.ts"
import { State } from "../shared/pollerMemory.ts"
import type { ThreadData } from "../shared/pollingThread.ts"
import { attachmentOf, failWith, open as openPoller, type Opened } from "./openPoller.ts"

// With the ending of this file: TypeScript in the sources, JavaScript in the published package.
const ending = import.meta.url.slice(import.meta.url.lastIndexOf("."))
const entry = new URL(`../shared/pollingThread${ending}`, import.meta.url)

export const open = Effect.fnUntraced(function* (
  options: LayerOptions | undefined
): Effect.fn.Return<Attachment, PollerError, Scope.Scope> {
  const opened = yield* openPoller(options)
  const { memory, dispatcher, mailbox, selector } = opened
  const consumer = yield* Effect.acquireRelease(
    Effect.sync(() => new MailboxConsumer(memory, selector, dispatcher, mailbox, () => {})),
    (consumer) =>
      Effect.sync(() => {
        consumer.drain()
        consumer.stop()
      })
  )
  const thread = yield* Effect.acquireRelease(start(opened), (thread) =>
    Effect.suspend(() => {
      memory.advance(State.Closing)
      selector.wake()
      return thread.exited
    })
  )
  yield* Effect.forkScoped(
    Effect.map(thread.exited, (cause) => {
      const error = workerFailed("the polling thread has ended by itself", cause)
      failWith(memory, dispatcher, 0, () => error)
    })
  )
  return { ...attachmentOf(opened), drain: consumer.drain, sync: consumer.sync }
})

interface Thread {
  /** Returns when the thread has ended, with the reason. */
  readonly exited: Effect.Effect<unknown>
}

const start = ({ libc, memory, selector }: Opened): Effect.Effect<Thread, PollerError> =>
  Effect.callback((resume) => {
    // Its place while it loads is this thread's until it has begun to run.
    const loading = memory.loading.begin(currentThread(libc))
    const data: ThreadData = { memory: memory.buffer, selector: selector.handle, batchSize: selector.capacity, loading }
    const failed = (cause: unknown) => {
      memory.loading.end(loading)
      resume(
        Effect.fail(deniedByNode("new Worker", cause) ?? workerFailed("the polling thread could not be started", cause))
      )
    }
    let worker: Worker
    try {
      // Without the options of this process: its loaders and profilers are not for this thread.
      worker = new Worker(entry, { workerData: data, execArgv: [], name: "effect-amy poller" })
    } catch (cause) {
      return failed(cause)
    }
    let reason: unknown
    const exit = new Promise<unknown>((resolve) => {
      worker.on("error", (cause) => (reason = cause))
      worker.on("exit", (code) => {
        const cause = reason ?? new Error(`the thread ended with exit code ${code}`)
        resolve(cause)
        failed(cause)
      })
    })
    worker.once("message", () => resume(Effect.succeed({ exited: Effect.promise(() => exit) })))
  })
