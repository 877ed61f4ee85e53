/** A level-triggered set of descriptors: a kqueue of its own. */
import type { Libc } from "../libc/koffi.ts"
import type { KqueueProfile } from "../libc/profiles/kqueueProfile.ts"
import { setCloseOnExec } from "./descriptorFlags.ts"
import { decodeEvents, Kevent } from "./kevent.ts"
import { bindChangeKnote } from "./knoteChange.ts"
import { Interest, type LevelSet } from "./selector.ts"
import { SystemCallError } from "./systemCallError.ts"

const capacity = 64

/** Opens an empty set. Throws `SystemCallError`. */
export const openLevelSet = (libc: Libc<KqueueProfile>): LevelSet => {
  const { errno, functions, isFile, profile } = libc
  const { close, kevent, kqueue } = functions
  const { EVFILT_READ, EVFILT_WRITE, EV_ADD, EV_DELETE, layout } = profile.kqueue
  const { EBADF, EINTR, ENOENT, EPERM } = profile.errno
  const fd = kqueue()
  if (fd === -1) throw new SystemCallError("kqueue", errno())
  setCloseOnExec(libc, [fd])
  const change = bindChangeKnote(libc, fd)
  const toReadiness = decodeEvents(profile)
  const batch = new Int32Array(layout.stride * capacity)
  const noTime = new Int32Array(4)
  /** The entries of the last look: one knote a filter is merged into one descriptor. */
  const found = new Map<number, number>()
  let numbers: ReadonlyArray<number> = []

  const set = (member: number, filter: number, isWanted: boolean): number => {
    if (isWanted) return change(member, filter, EV_ADD, 0, 0, 0, member)
    const reason = change(member, filter, EV_DELETE)
    // A kqueue has forgotten what was closed.
    return reason === ENOENT || reason === EBADF ? 0 : reason
  }

  return {
    fd,
    update(member, interest) {
      if (interest !== 0) {
        if (member < 0) return EBADF
        // A kqueue accepts files, only to report them for ever.
        if (isFile(member)) return EPERM
      }
      const reading = set(member, EVFILT_READ, (interest & Interest.Read) !== 0)
      const writing = set(member, EVFILT_WRITE, (interest & Interest.Write) !== 0)
      return reading === 0 ? writing : reading
    },
    look() {
      found.clear()
      for (;;) {
        const count = kevent(fd, null, 0, batch, capacity, noTime)
        if (count >= 0) {
          for (let at = 0; at < count * layout.stride; at += layout.stride) {
            const member = batch[at + Kevent.Ident]!
            const readiness = toReadiness(batch[at + Kevent.FilterAndFlags]!, batch[at + Kevent.Fflags]!)
            found.set(member, (found.get(member) ?? 0) | readiness)
          }
          numbers = [...found.keys()]
          return numbers.length
        }
        const reason = errno()
        if (reason !== EINTR) throw new SystemCallError("kevent", reason)
      }
    },
    ready: (index) => numbers[index]!,
    readiness: (index) => found.get(numbers[index]!)!,
    close: () => void close(fd)
  }
}
