/** Opens the selector of the system that this process runs on. */
import type { Libc } from "../libc/koffi.ts"
import type { Profile } from "../libc/profiles/profile.ts"
import * as Afd from "./afd.ts"
import * as Epoll from "./epoll.ts"
import * as Kqueue from "./kqueue.ts"
import type { Selector, SelectorHandle, Trigger } from "./selector.ts"

/** What each backend exports. */
interface Backend {
  open(libc: Libc, batchSize: number): Selector
  attach(libc: Libc, handle: SelectorHandle): Selector
  borrow(libc: Libc, handle: SelectorHandle, batchSize: number): Selector
  attachTrigger(libc: Libc, handle: number, memory?: SharedArrayBuffer): Trigger
}

const backends: { readonly [Name in Profile["selector"]]: Backend } = { epoll: Epoll, kqueue: Kqueue, afd: Afd }

const backendOf = ({ profile }: Libc): Backend => backends[profile.selector]

export const open: Backend["open"] = (libc, batchSize) => backendOf(libc).open(libc, batchSize)
export const attach: Backend["attach"] = (libc, handle) => backendOf(libc).attach(libc, handle)
export const borrow: Backend["borrow"] = (libc, handle, batchSize) => backendOf(libc).borrow(libc, handle, batchSize)
export const attachTrigger: Backend["attachTrigger"] = (libc, handle, memory) =>
  backendOf(libc).attachTrigger(libc, handle, memory)
