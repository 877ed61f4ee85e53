/** Changes of single knotes: kevent(2) without a wait. */
import type { Libc } from "../libc/koffi.ts"
import type { KqueueProfile } from "../libc/profiles/kqueueProfile.ts"
import { encodeKevent } from "./kevent.ts"
import { highWordOf, lowOf } from "./userData.ts"

export type ChangeKnote = (
  ident: number,
  filter: number,
  flags: number,
  fflags?: number,
  data?: number,
  mailbox?: number,
  id?: number
) => number

/**
 * Returns a function that makes one change per call. It returns 0, or the errno: a call that makes
 * one change, and does not wait, fails with the error of that change.
 */
export const bindChangeKnote = (
  { errno, functions: { kevent }, profile: { kqueue } }: Libc<KqueueProfile>,
  kq: number
): ChangeKnote => {
  const { layout } = kqueue
  const words = new Int32Array(layout.stride)
  return (ident, filter, flags, fflags = 0, data = 0, mailbox = 0, id = 0) => {
    encodeKevent(layout, words, 0, ident, filter, flags, fflags, data, lowOf(id), highWordOf(mailbox, id))
    return kevent(kq, words, 1, null, 0, null) === -1 ? errno() : 0
  }
}
