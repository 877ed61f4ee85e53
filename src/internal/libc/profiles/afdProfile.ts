/** What the library has to know about Windows, which polls sockets with its device Afd. */
import type { CommonProfile } from "./commonProfile.ts"

export interface AfdProfile extends CommonProfile {
  readonly selector: "afd"
  /** The libraries that have the functions, in the order in which they are searched. */
  readonly libraries: ReadonlyArray<string>
  /** What a poll of a socket asks for and reports. */
  readonly afd: {
    readonly RECEIVE: number
    readonly RECEIVE_EXPEDITED: number
    readonly SEND: number
    readonly DISCONNECT: number
    readonly ABORT: number
    readonly LOCAL_CLOSE: number
    readonly ACCEPT: number
    readonly CONNECT_FAIL: number
    /** The request of `NtDeviceIoControlFile` that polls. */
    readonly IOCTL_POLL: number
  }
  /** Of `WSAPoll`, which returns at once what a socket is ready for. */
  readonly poll: {
    readonly RDNORM: number
    readonly RDBAND: number
    readonly WRNORM: number
    readonly ERR: number
    readonly HUP: number
    readonly NVAL: number
  }
}
