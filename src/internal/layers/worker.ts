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
import { messageOf } from "../libc/koffi.ts"
import { State } from "../shared/pollerMemory.ts"
import type { ThreadData } from "../shared/pollingThread.ts"
import { resolutionFlags } from "./resolutionFlags.ts"
import { attachmentOf, failWith, open as openPoller, type Opened } from "./openPoller.ts"
import { threadProgram } from "./threadProgram.ts"

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

const notStarted = (cause: unknown): PollerError =>
  workerFailed(`the polling thread could not be started: ${messageOf(cause)}`, cause)

/**
 * Starts the thread without the options of this process, whose preloaded modules and profilers are
 * not for it. If that fails, koffi may be such that only they find it (Yarn's Plug'n'Play), so it
 * starts once more with those of them that do.
 */
const start = (opened: Opened): Effect.Effect<Thread, PollerError> => {
  const flags = resolutionFlags(process.execArgv)
  const plain = startWith(opened, [])
  return flags.length === 0 ? plain : Effect.catch(plain, () => startWith(opened, flags))
}

const startWith = (
  { libc, memory, selector }: Opened,
  execArgv: ReadonlyArray<string>
): Effect.Effect<Thread, PollerError> =>
  Effect.callback((resume) => {
    // Its place while it loads is this thread's until it has begun to run.
    const loading = memory.loading.begin(currentThread(libc))
    const workerData: ThreadData = {
      memory: memory.buffer,
      koffi: libc.koffi,
      selector: selector.handle,
      batchSize: selector.capacity,
      loading
    }
    const failed = (cause: unknown) => {
      memory.loading.end(loading)
      resume(Effect.fail(deniedByNode("new Worker", cause) ?? notStarted(cause)))
    }
    let worker: Worker
    try {
      const { isText, program } = threadProgram()
      worker = new Worker(program, {
        eval: isText,
        workerData,
        // Before a text that is a script, Node would not load what `--import` in NODE_OPTIONS names.
        execArgv: isText ? ["--input-type=module", ...execArgv] : [...execArgv],
        name: "effect-amy poller",
        // Otherwise Node would start `process.stdout` and `process.stderr`, which makes pipes that
        // are shared with other processes non-blocking. The thread prints nothing.
        stdout: true,
        stderr: true
      })
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
