/** A level-triggered set of descriptors: an epoll instance of its own. */
import type { Libc } from "../libc/koffi.ts"
import type { EpollProfile } from "../libc/profiles/epollProfile.ts"
import { decodeEvents, encodeInterest, epollEventLayout } from "./epollEvent.ts"
import type { LevelSet } from "./selector.ts"
import { SystemCallError } from "./systemCallError.ts"

const capacity = 64

interface Member {
  readonly interest: number
  /** Distinguishes this registration of a number from earlier ones. */
  readonly generation: number
}

/**
 * Opens an empty set. Throws `SystemCallError`.
 *
 * Each entry's user data is the number and a generation. A file that was closed under its number
 * stays in an epoll instance for as long as a duplicate is open, perhaps in another process, and
 * nothing can remove it from there. Such an entry has an old generation. It would make the set
 * ready for ever, so the set is built anew, under the same number.
 */
export const openLevelSet = (libc: Libc<EpollProfile>): LevelSet => {
  const { errno, functions, profile } = libc
  const { close, dup3, epoll_create1, epoll_ctl, epoll_wait } = functions
  const { CLOEXEC, CTL_ADD, CTL_DEL, CTL_MOD, ET, RDHUP } = profile.epoll
  const { EBADF, EEXIST, EINTR, ENOENT, EPERM } = profile.errno
  const fd = epoll_create1(CLOEXEC)
  if (fd === -1) throw new SystemCallError("epoll_create1", errno())
  const layout = epollEventLayout(profile, process.arch)
  const toReadiness = decodeEvents(profile)
  const event = new Int32Array(layout.stride)
  const batch = new Int32Array(layout.stride * capacity)
  const members = new Map<number, Member>()
  /** The entries of the batch that are reported, by their places. */
  const found: Array<number> = []
  let generation = 0

  const control = (epfd: number, op: number, fd: number, { interest, generation }: Member): number => {
    event[0] = encodeInterest(profile, interest) & ~(ET | RDHUP)
    event[layout.data] = fd
    event[layout.data + 1] = generation
    return epoll_ctl(epfd, op, fd, event) === -1 ? errno() : 0
  }

  const rebuild = (): void => {
    const next = epoll_create1(CLOEXEC)
    if (next === -1) throw new SystemCallError("epoll_create1", errno())
    for (const [number, member] of members) {
      // Without a word, the library has closed what cannot be added.
      if (control(next, CTL_ADD, number, member) !== 0) members.delete(number)
    }
    const reason = dup3(next, fd, CLOEXEC) === -1 ? errno() : 0
    close(next)
    if (reason !== 0) throw new SystemCallError("dup3", reason)
  }

  return {
    fd,
    update(number, interest) {
      const member = { interest, generation: (generation = (generation + 1) | 0) }
      if (interest === 0) {
        members.delete(number)
        const reason = control(fd, CTL_DEL, number, member)
        // A library may close a descriptor before it says so, and the kernel has forgotten it then.
        return reason === ENOENT || reason === EBADF || reason === EPERM ? 0 : reason
      }
      let reason = control(fd, CTL_ADD, number, member)
      if (reason === EEXIST) reason = control(fd, CTL_MOD, number, member)
      if (reason === 0) members.set(number, member)
      else if (reason === EBADF) members.delete(number)
      return reason
    },
    look() {
      for (;;) {
        const count = epoll_wait(fd, batch, capacity, 0)
        if (count === -1) {
          const reason = errno()
          if (reason === EINTR) continue
          throw new SystemCallError("epoll_wait", reason)
        }
        found.length = 0
        for (let at = 0; at < count * layout.stride; at += layout.stride) {
          const member = members.get(batch[at + layout.data]!)
          if (member?.generation === batch[at + layout.data + 1]) found.push(at)
        }
        if (found.length === count) return count
        rebuild()
      }
    },
    ready: (index) => batch[found[index]! + layout.data]!,
    readiness: (index) => toReadiness(batch[found[index]!]!),
    close: () => void close(fd)
  }
}
