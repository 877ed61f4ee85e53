/** `WSAPoll` without a wait: what a socket is ready for at this moment. */
import { errnoOf } from "../libc/windowsErrors.ts"
import type { Afd, AfdCalls } from "./afdCalls.ts"
import { isOpen } from "./afdCalls.ts"
import { Interest, Readiness } from "./selector.ts"

const WSAENOTSOCK = 10038

/**
 * Returns a function that looks at one socket. It returns its readiness, 0 if there is none, or the
 * negated errno.
 */
export const bindReadinessNow = ({ profile }: Afd, calls: AfdCalls) => {
  const { EBADF, EPERM } = profile.errno
  const { ERR, HUP, NVAL, RDBAND, RDNORM, WRNORM } = profile.poll
  /** `WSAPOLLFD`: a handle of 64 bits, and two `SHORT`. */
  const words = new Int32Array(4)
  const halves = new Int16Array(words.buffer)
  const refused = (socket: number): number => (isOpen(calls, socket) ? -EPERM : -EBADF)
  return (socket: number, interest: number): number => {
    if (socket < 0 || socket % 4 !== 0) return -EBADF
    words[0] = socket
    words[1] = 0
    let events = 0
    if ((interest & Interest.Read) !== 0) events |= RDNORM
    if ((interest & Interest.Write) !== 0) events |= WRNORM
    if ((interest & Interest.Priority) !== 0) events |= RDBAND
    halves[4] = events
    halves[5] = 0
    const count = calls.WSAPoll(words, 1, 0)
    if (count < 0) {
      const error = calls.WSAGetLastError()
      return error === WSAENOTSOCK ? refused(socket) : -errnoOf(error)
    }
    const found = count === 0 ? 0 : halves[5]!
    if ((found & NVAL) !== 0) return refused(socket)
    let readiness = 0
    if ((found & RDNORM) !== 0) readiness |= Readiness.Readable
    if ((found & WRNORM) !== 0) readiness |= Readiness.Writable
    if ((found & RDBAND) !== 0) readiness |= Readiness.Priority
    if ((found & ERR) !== 0) readiness |= Readiness.Error | Readiness.WriteClosed
    if ((found & HUP) !== 0) readiness |= Readiness.ReadClosed | Readiness.WriteClosed
    return readiness
  }
}
