/** `WSAPoll` without a wait: what sockets are ready for at this moment. */
import type { AfdProfile } from "../libc/profiles/afdProfile.ts"
import { errnoOf } from "../libc/windowsErrors.ts"
import type { Afd, AfdCalls } from "./afdCalls.ts"
import { isOpen } from "./afdCalls.ts"
import { Interest, Readiness } from "./selector.ts"

export const WSAENOTSOCK = 10038

/** `WSAPOLLFD`, in 32-bit words: a handle of 64 bits, and two `SHORT`. */
export const lookWords = 4

/** Asks for what one of several sockets is ready for. */
export const encodeLook = (
  { poll: { RDBAND, RDNORM, WRNORM } }: AfdProfile,
  words: Int32Array,
  index: number,
  socket: number,
  interest: number
): void => {
  let events = 0
  if ((interest & Interest.Read) !== 0) events |= RDNORM
  if ((interest & Interest.Write) !== 0) events |= WRNORM
  if ((interest & Interest.Priority) !== 0) events |= RDBAND
  const at = index * lookWords
  words[at] = socket
  words[at + 1] = 0
  words[at + 2] = events
}

/** Returns what was found about one of them. */
export const foundBy = (words: Int32Array, index: number): number => words[index * lookWords + 2]! >>> 16

/**
 * Decodes that as readiness. `HUP` alone is the end of the peer's output, which an interest in
 * reading learns of. After a reset, `ERR` comes with it.
 */
export const decodeLook = (
  { poll: { ERR, HUP, RDBAND, RDNORM, WRNORM } }: AfdProfile,
  found: number,
  interest: number
): number => {
  let readiness = 0
  if ((found & RDNORM) !== 0) readiness |= Readiness.Readable
  if ((found & WRNORM) !== 0) readiness |= Readiness.Writable
  if ((found & RDBAND) !== 0) readiness |= Readiness.Priority
  if ((found & ERR) !== 0) readiness |= Readiness.Error | Readiness.ReadClosed | Readiness.WriteClosed
  if ((found & HUP) !== 0 && (interest & Interest.Read) !== 0) readiness |= Readiness.Readable | Readiness.ReadClosed
  return readiness
}

/**
 * Returns a function that looks at one socket. It returns its readiness, 0 if there is none, or the
 * negated errno.
 */
export const bindReadinessNow = ({ profile }: Afd, calls: AfdCalls) => {
  const { EBADF, EPERM } = profile.errno
  const { NVAL } = profile.poll
  const words = new Int32Array(lookWords)
  const refused = (socket: number): number => (isOpen(calls, socket) ? -EPERM : -EBADF)
  return (socket: number, interest: number): number => {
    if (socket < 0 || socket % 4 !== 0) return -EBADF
    encodeLook(profile, words, 0, socket, interest)
    const count = calls.WSAPoll(words, 1, 0)
    if (count < 0) {
      const error = calls.WSAGetLastError()
      return error === WSAENOTSOCK ? refused(socket) : -errnoOf(error)
    }
    const found = count === 0 ? 0 : foundBy(words, 0)
    return (found & NVAL) !== 0 ? refused(socket) : decodeLook(profile, found, interest)
  }
}
