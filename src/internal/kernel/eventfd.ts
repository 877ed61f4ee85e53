/** eventfd(2): wake-ups and triggers on Linux. */
import type { Libc } from "../libc/koffi.ts"
import type { EpollProfile } from "../libc/profiles/epollProfile.ts"
import { duplicate } from "./duplicate.ts"
import type { Trigger } from "./selector.ts"
import { SystemCallError } from "./systemCallError.ts"

const one = new Uint8Array(new BigUint64Array([1n]).buffer)

/** Opens an eventfd. Throws `SystemCallError`. */
export const openEventfd = ({ errno, functions, profile }: Libc<EpollProfile>): number => {
  const fd = functions.eventfd(0, profile.eventfd.CLOEXEC | profile.eventfd.NONBLOCK)
  if (fd === -1) throw new SystemCallError("eventfd", errno())
  return fd
}

/**
 * Adds one to the count. An eventfd that is watched edge-triggered is reported again each time, so
 * the count need not be read. At the count's ceiling (EAGAIN) it is being reported already. Returns
 * 0, or the errno.
 */
export const signalEventfd = ({ errno, functions, profile }: Libc, fd: number): number => {
  if (functions.write(fd, one, 8) !== -1) return 0
  const reason = errno()
  return reason === profile.errno.EAGAIN ? 0 : reason
}

/**
 * Opens a trigger. `watch` registers its descriptor with the selector, and throws if it cannot;
 * `unwatch` is called before the descriptor is closed. Throws `SystemCallError`.
 */
export const openTrigger = (
  libc: Libc<EpollProfile>,
  watch: (fd: number) => void,
  unwatch: (fd: number) => void
): Trigger => {
  const fd = openEventfd(libc)
  try {
    watch(fd)
  } catch (thrown) {
    libc.functions.close(fd)
    throw thrown
  }
  return make(libc, fd, unwatch)
}

/** Opens the trigger of another thread. Throws `SystemCallError`. */
export const attachTrigger = (libc: Libc<EpollProfile>, handle: number): Trigger => {
  const [fd] = duplicate(libc, [handle])
  return make(libc, fd!, () => {})
}

const make = (libc: Libc<EpollProfile>, fd: number, unwatch: (fd: number) => void): Trigger => {
  const { functions } = libc
  const count = new Uint8Array(8)
  return {
    handle: fd,
    trigger: () => signalEventfd(libc, fd),
    reset: () => functions.read(fd, count, 8) === 8,
    close() {
      unwatch(fd)
      functions.close(fd)
    }
  }
}
