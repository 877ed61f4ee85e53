/** poll(2) without a wait: what a descriptor is ready for at this moment, as select and poll see it. */
import type { Libc } from "../libc/koffi.ts"
import { Interest, Readiness } from "./selector.ts"

/** Of `struct pollfd`. These systems share the numbers: they are those of System V. */
const Flag = { In: 0x1, Priority: 0x2, Out: 0x4, Error: 0x8, HangUp: 0x10, Invalid: 0x20 } as const

const encode = (interest: number): number => {
  let events = 0
  if ((interest & Interest.Read) !== 0) events |= Flag.In
  if ((interest & Interest.Write) !== 0) events |= Flag.Out
  if ((interest & Interest.Priority) !== 0) events |= Flag.Priority
  return events
}

const decode = (events: number): number => {
  let readiness = 0
  if ((events & Flag.In) !== 0) readiness |= Readiness.Readable
  if ((events & Flag.Out) !== 0) readiness |= Readiness.Writable
  if ((events & Flag.Priority) !== 0) readiness |= Readiness.Priority
  if ((events & Flag.Error) !== 0) readiness |= Readiness.Error | Readiness.WriteClosed
  if ((events & Flag.HangUp) !== 0) readiness |= Readiness.ReadClosed | Readiness.WriteClosed
  return readiness
}

/**
 * Returns a function that looks at one descriptor. It returns its readiness, 0 if there is none, or
 * the negated errno. A number that is not open is EBADF.
 */
export const bindReadinessNow = ({ errno, functions: { poll }, profile }: Libc) => {
  const { EBADF, EINTR } = profile.errno
  /** `struct pollfd`: an `int`, and two `short`. */
  const words = new Int32Array(2)
  const halves = new Int16Array(words.buffer)
  return (fd: number, interest: number): number => {
    // The kernel would ignore a negative number.
    if (fd < 0) return -EBADF
    words[0] = fd
    halves[2] = encode(interest)
    for (;;) {
      const count = poll(words, 1, 0)
      if (count === 0) return 0
      if (count > 0) return (halves[3]! & Flag.Invalid) === 0 ? decode(halves[3]!) : -EBADF
      const reason = errno()
      if (reason !== EINTR) return -reason
    }
  }
}
