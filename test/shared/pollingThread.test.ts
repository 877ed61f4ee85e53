/** The polling thread by itself, without the layer that starts it. */
import { expect, it } from "@effect/vitest"
import { once } from "node:events"
import { Worker } from "node:worker_threads"
import { open } from "../../src/internal/kernel/openSelector.ts"
import { Interest, Readiness } from "../../src/internal/kernel/selector.ts"
import { currentThread } from "../../src/internal/kernel/threadId.ts"
import { highBits, joinId } from "../../src/internal/kernel/userData.ts"
import { libc } from "../../src/internal/libc/koffi.ts"
import { MailboxReader } from "../../src/internal/shared/mailbox.ts"
import { PollerMemory, State } from "../../src/internal/shared/pollerMemory.ts"
import type { ThreadData } from "../../src/internal/shared/pollingThread.ts"
import * as Kernel from "../support/kernel.ts"

/** Posts the address of every module that the thread loads. */
const postModules = `
  import { registerHooks } from "node:module"
  import { parentPort } from "node:worker_threads"
  registerHooks({
    load(url, context, next) {
      parentPort.postMessage(url)
      return next(url, context)
    }
  })`

/** The rooms below `errors`, and koffi with its binary. */
const allowed = /^node:|\/src\/internal\/(libc|kernel|shared)\/|\/node_modules\/(koffi|@koromix)\//

it("the polling thread fills mailboxes until the poller closes, and loads nothing of effect", async () => {
  const memory = PollerMemory.make(1, 4)
  const mailbox = memory.mailboxes.claim(1)
  const reader = new MailboxReader(memory, mailbox)
  const selector = open(libc(), 1)
  const fd = Kernel.source()
  expect(selector.add(fd, Interest.Read, mailbox, 7)).toBe(0)

  const loading = memory.loading.begin(currentThread(libc()))
  const { koffi } = libc()
  const data: ThreadData = { memory: memory.buffer, koffi, selector: selector.handle, batchSize: 1, loading }
  const worker = new Worker(new URL("../../src/internal/shared/pollingThread.ts", import.meta.url), {
    workerData: data,
    execArgv: ["--import", `data:text/javascript,${encodeURIComponent(postModules)}`]
  })
  const modules: Array<string> = []
  const ended = once(worker, "exit")
  const isReady = new Promise<void>((resolve) =>
    worker.on("message", (message: string) => (message === "ready" ? resolve() : modules.push(message)))
  )
  await Promise.race([isReady, ended])

  reader.fallAsleep()
  Kernel.signal(fd)
  await reader.awaitWake()
  const entries: Array<readonly [id: number, readiness: number]> = []
  reader.drain((low, word) => entries.push([joinId(low, word), word >>> highBits]))
  expect(entries).toEqual([[7, Readiness.Readable]])

  memory.advance(State.Closing)
  selector.wake()
  expect(await ended).toEqual([0])
  expect(modules.some((url) => url.endsWith("/kernel/epoll.ts"))).toBe(true)
  expect(modules.filter((url) => !allowed.test(url))).toEqual([])

  Kernel.close(fd)
  selector.close()
})
