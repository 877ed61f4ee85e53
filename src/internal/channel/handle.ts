/**
 * The handle of a sender: data that crosses threads by structured clone, and is checked where it
 * arrives.
 */
import { hasProperty } from "effect/Predicate"
import type { MessagePort } from "node:worker_threads"
import { isSharedArrayBuffer } from "node:util/types"
import type { SenderHandle } from "../../PollChannel.ts"
import type { UserEventHandle } from "../../UserEvent.ts"
import { isUserEventHandle } from "../delivery/userEvent.ts"
import { holds } from "../errors/arguments.ts"
import { isOfThisVersion, version, versionKey } from "../errors/copies.ts"
import { sharedBytes } from "./counts.ts"
import { isMessagePort } from "./realm.ts"

export const TypeId = "~effect-amy/PollChannel/SenderHandle"

export interface Contents extends SenderHandle {
  readonly [versionKey]: string
  /** The memory of the channel's counts. */
  readonly shared: SharedArrayBuffer
  /** The event that reports messages to the receiver's poller. */
  readonly event: UserEventHandle
}

const isContents = (u: unknown): u is Contents => holds(() => hasContents(u))

const hasContents = (u: unknown): boolean =>
  hasProperty(u, TypeId) &&
  u[TypeId] === TypeId &&
  isOfThisVersion(u) &&
  hasProperty(u, "port") &&
  isMessagePort(u.port) &&
  hasProperty(u, "shared") &&
  isSharedArrayBuffer(u.shared) &&
  u.shared.byteLength === sharedBytes &&
  hasProperty(u, "event") &&
  isUserEventHandle(u.event)

export const isSenderHandle = (u: unknown): u is SenderHandle => isContents(u)

export const make = (port: MessagePort, shared: SharedArrayBuffer, event: UserEventHandle): SenderHandle => {
  const contents: Contents = { [TypeId]: TypeId, [versionKey]: version, port, shared, event }
  return contents
}

/** Returns what a handle holds, or `undefined` if it is not the handle of a sender. */
export const contentsOf = (handle: SenderHandle): Contents | undefined => (isContents(handle) ? handle : undefined)
