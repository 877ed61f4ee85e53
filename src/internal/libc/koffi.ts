/**
 * Every function of the C library that is called, declared once, in `prototypes`. Beside `uvPoll.ts` the only file
 * that touches koffi.
 *
 * koffi is loaded on first use and not on import: a program that only imports the types, or runs on a system without a
 * binary of koffi, must not fail before it has asked for a poller.
 */
import type * as Koffi from "koffi"
import { fstatSync } from "node:fs"
import { createRequire } from "node:module"
import type { FileFunctions } from "./prototypes/file.ts"
import { filePrototypes } from "./prototypes/file.ts"
import type { Profile } from "./profiles/profile.ts"
import { profileOf } from "./profiles/index.ts"
import type { PollFunctions } from "./prototypes/poll.ts"
import { pollPrototypes } from "./prototypes/poll.ts"
import type { SocketFunctions } from "./prototypes/socket.ts"
import { socketPrototypes } from "./prototypes/socket.ts"
import type { WatchReadable } from "./uvPoll.ts"
import { bindWatch } from "./uvPoll.ts"

/**
 * The C library's functions, by their own names. Each answers as C does: -1, and the reason in `errno()`.
 *
 * What is not a number is memory: a view of it, or `null`. koffi converts objects, too, but aborts the process if its thread
 * is being terminated meanwhile.
 */
export interface Functions extends PollFunctions, FileFunctions, SocketFunctions {}

const prototypes: { readonly [Name in keyof Functions]: string } = {
  ...pollPrototypes,
  ...filePrototypes,
  ...socketPrototypes
}

export interface Libc<P extends Profile = Profile> {
  readonly profile: P
  readonly functions: Functions
  /** `errno`, of the call just made on this thread. */
  readonly errno: () => number
  /** Where the bytes of a view lie. They stay there for as long as something refers to the view. */
  readonly addressOf: (bytes: Uint8Array) => bigint
  /** Memory that the kernel or the C library has made. Not to be touched once it is gone. */
  readonly memoryAt: (address: number, length: number) => ArrayBuffer
  readonly watchReadable: WatchReadable
  /** Whether an open descriptor is of a file or a directory, of which no kernel tells anything but that it is ready. */
  readonly isFile: (fd: number) => boolean
}

/** A function, or one that says why there is none as soon as it is called. */
const orAbsent = (bind: () => unknown): unknown => {
  try {
    return bind()
  } catch (cause) {
    return () => {
      throw cause
    }
  }
}

/** What only the other systems have. */
const foreign: { readonly [Selector in Profile["selector"]]: ReadonlySet<string> } = {
  epoll: new Set(["kqueue", "kevent"]),
  kqueue: new Set([
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "eventfd",
    "io_uring_enter",
    "io_uring_setup",
    "timerfd_create",
    "timerfd_settime"
  ])
}

/**
 * Each function is looked up at once, for to do so aborts the process in a thread that is being terminated, and a finalizer
 * that is the first to call one would do it then. Those of other systems are only there to say so when they are asked for.
 */
const bindFunctions = (library: Koffi.LibraryHandle, profile: Profile): Functions => {
  const functions = {}
  for (const [name, prototype] of Object.entries(prototypes)) {
    const bind = () => orAbsent(() => library.func(prototype))
    const own = foreign[profile.selector].has(name) ? { get: bind } : { value: bind() }
    Object.defineProperty(functions, name, { enumerable: true, ...own })
  }
  return functions as Functions
}

const bind = (koffi: typeof Koffi, profile: Profile): Libc => {
  const library = koffi.load(null)
  return {
    profile,
    functions: bindFunctions(library, profile),
    errno: () => koffi.errno(),
    addressOf: (bytes) => koffi.address(bytes),
    memoryAt: (address, length) => koffi.view(BigInt(address), length),
    watchReadable: bindWatch(koffi, library),
    isFile
  }
}

/** By fstat(2), whose structure Node reads for us. */
const isFile = (fd: number): boolean => {
  try {
    const stats = fstatSync(fd)
    return stats.isFile() || stats.isDirectory() || stats.isBlockDevice()
  } catch {
    return false
  }
}

let bound: Libc | undefined

/** The C library of this process. Throws `UnsupportedSystem` where there is no profile or no koffi for it. */
export const libc = (): Libc => (bound ??= load(process.platform))

/**
 * Has another C library used on this thread from now on, or again its own: for tests of a system on another one. Answers
 * the one that was used before.
 */
export const provideLibc = (other: Libc | undefined): Libc | undefined => {
  const before = bound
  bound = other
  return before
}

/** Why there is no poller on this machine. */
export class UnsupportedSystem extends Error {}

/** `libc`, for a system that is named. */
export const load = (platform: NodeJS.Platform): Libc => {
  const profile = profileOf(platform)
  if (profile === undefined) {
    throw new UnsupportedSystem(
      `effect-amy has no poller for ${platform}: it runs on Linux, macOS, FreeBSD and OpenBSD`
    )
  }
  try {
    return bind(createRequire(import.meta.url)("koffi") as typeof Koffi, profile)
  } catch (cause) {
    throw new UnsupportedSystem(`koffi could not be loaded on ${platform} (${process.arch})`, { cause })
  }
}
