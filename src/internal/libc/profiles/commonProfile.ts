/** What the library has to know about every system, however it polls. */
import type { PointerBytes } from "../prototypes/pointers.ts"
import type { SocketProfile } from "./socketProfile.ts"

export interface CommonProfile {
  readonly platform: NodeJS.Platform
  /** Bytes of a pointer, of a `size_t`, and of a `long`. */
  readonly pointerBytes: PointerBytes
  readonly fcntl: {
    readonly F_DUPFD_CLOEXEC: number
    readonly F_GETFL: number
    readonly F_SETFL: number
    readonly F_SETFD: number
    readonly FD_CLOEXEC: number
    readonly O_NONBLOCK: number
    readonly O_CLOEXEC: number
  }
  /** Whether there is pipe2(2), which opens a pipe with the flags above. */
  readonly hasPipe2: boolean
  readonly socket: SocketProfile
  readonly errno: {
    readonly EINTR: number
    readonly EAGAIN: number
    readonly EBADF: number
    readonly EINVAL: number
    readonly ENOENT: number
    readonly EEXIST: number
    readonly EPERM: number
    readonly EMFILE: number
    readonly ESRCH: number
    readonly EACCES: number
  }
}

/** The error numbers that every system shares. */
export const commonErrno = {
  EINTR: 4,
  EBADF: 9,
  EINVAL: 22,
  ENOENT: 2,
  EEXIST: 17,
  EPERM: 1,
  EMFILE: 24,
  ESRCH: 3,
  EACCES: 13
} as const satisfies Partial<CommonProfile["errno"]>
