/** Every function of the C library that effect-amy calls, declared once. */
import type { Profile } from "../profiles/profile.ts"
import type { FileFunctions } from "./file.ts"
import { filePrototypes } from "./file.ts"
import type { PollFunctions } from "./poll.ts"
import { pollPrototypes } from "./poll.ts"
import type { SocketFunctions } from "./socket.ts"
import { socketPrototypes } from "./socket.ts"

/**
 * The C library's functions, under their own names. Each returns -1 on failure, as in C, and leaves
 * the reason in `errno()`.
 *
 * An argument that is not a number is memory: a view of it, or `null`. koffi could convert objects,
 * too, but then it aborts the process if its thread is being terminated at that moment.
 */
export interface Functions extends PollFunctions, FileFunctions, SocketFunctions {}

export const prototypes: { readonly [Name in keyof Functions]: string } = {
  ...pollPrototypes,
  ...filePrototypes,
  ...socketPrototypes
}

/**
 * The functions that a system with this selector does not have. Windows is not here: it has what
 * `winsock.ts` makes.
 */
export const absentFunctions: {
  readonly [Selector in Exclude<Profile["selector"], "afd">]: ReadonlySet<string>
} = {
  epoll: new Set(["kqueue", "kevent"]),
  kqueue: new Set([
    "dup3",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "eventfd",
    "gettid",
    "io_destroy",
    "io_getevents",
    "io_setup",
    "io_submit",
    "io_uring_enter",
    "io_uring_setup",
    // Some of them have these two, as functions that make one call for each message, and lose errors.
    "recvmmsg",
    "sendmmsg",
    "tgkill",
    "timerfd_create",
    "timerfd_settime"
  ])
}
