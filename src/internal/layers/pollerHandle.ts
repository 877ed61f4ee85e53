/**
 * The handle of a poller: plain data that crosses threads by structured clone, and is checked where
 * it arrives.
 */
import * as Effect from "effect/Effect"
import { hasProperty, isObject } from "effect/Predicate"
import { isSharedArrayBuffer } from "node:util/types"
import type { PollerHandle } from "../../Poller.ts"
import type { PollerError } from "../../PollerError.ts"
import type { Attachment } from "../delivery/attachment.ts"
import { holds } from "../errors/arguments.ts"
import { isOfThisVersion, otherVersion, version, versionKey } from "../errors/copies.ts"
import { invalidArgument } from "../errors/pollerErrors.ts"
import type { SelectorHandle } from "../kernel/selector.ts"
import { OpenedDescriptors } from "../shared/openedDescriptors.ts"
import { PollerMemory } from "../shared/pollerMemory.ts"

export const TypeId = "~effect-amy/PollerHandle"

export interface Contents extends PollerHandle {
  readonly [versionKey]: string
  readonly memory: SharedArrayBuffer
  /** The notes of which thread opened which descriptor. */
  readonly opened: SharedArrayBuffer
  readonly selector: SelectorHandle
}

const isSelectorHandle = (u: unknown): u is SelectorHandle =>
  isObject(u) &&
  "fd" in u &&
  Number.isInteger(u.fd) &&
  "wake" in u &&
  Number.isInteger(u.wake) &&
  "owners" in u &&
  isSharedArrayBuffer(u.owners) &&
  u.owners.byteLength % 4 === 0

const isContents = (u: unknown): u is Contents => holds(() => hasContents(u))

const hasContents = (u: unknown): boolean =>
  hasProperty(u, TypeId) &&
  u[TypeId] === TypeId &&
  isOfThisVersion(u) &&
  hasProperty(u, "memory") &&
  isSharedArrayBuffer(u.memory) &&
  PollerMemory.isPollerMemory(u.memory) &&
  hasProperty(u, "opened") &&
  isSharedArrayBuffer(u.opened) &&
  OpenedDescriptors.isBuffer(u.opened) &&
  hasProperty(u, "selector") &&
  isSelectorHandle(u.selector)

export const isPollerHandle = (u: unknown): u is PollerHandle => isContents(u)

/** Makes the handle with which other threads join the poller of an attachment. */
export const handleOf = ({
  memory,
  opened,
  origin
}: Pick<Attachment, "memory" | "opened" | "origin">): PollerHandle => {
  const contents: Contents = {
    [TypeId]: TypeId,
    [versionKey]: version,
    memory: memory.buffer,
    opened: opened.buffer,
    selector: origin
  }
  return contents
}

/** Returns what a handle that this library made holds. */
export const contentsOf = (handle: PollerHandle): Contents => handle as Contents

/** Returns what a handle holds, or fails with `InvalidArgument`. */
export const open = (
  handle: PollerHandle
): Effect.Effect<Pick<Contents, "memory" | "opened" | "selector">, PollerError> =>
  Effect.suspend(() => {
    if (!isContents(handle)) {
      return Effect.fail(
        otherVersion("handle of a poller", handle) ??
          invalidArgument("this is not the handle of a poller: pass what Poller.handle is in the other thread")
      )
    }
    return handle.selector.fd === -1
      ? Effect.fail(invalidArgument("a TestPoller cannot be attached to: there is no kernel behind it"))
      : Effect.succeed(handle)
  })
