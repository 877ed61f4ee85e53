/** What the library has to know of every system. */
import type { SocketProfile } from "./socketProfile.ts"

export interface CommonProfile {
  readonly platform: NodeJS.Platform
  readonly fcntl: {
    readonly F_DUPFD_CLOEXEC: number
    readonly F_GETFL: number
    readonly F_SETFL: number
    readonly F_SETFD: number
    readonly FD_CLOEXEC: number
    readonly O_NONBLOCK: number
    readonly O_CLOEXEC: number
  }
  /** Whether pipe2(2) makes a pipe with those flags at once. */
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
  }
}
