/**
 * Loads koffi and binds the functions of the C library. `uvPoll.ts` is the only other file that
 * uses koffi.
 *
 * koffi is loaded on first use, not on import. So a program that only imports types never loads it,
 * and a system for which koffi has no binary fails only when a program asks for a poller.
 */
import type * as Koffi from "koffi"
import { isFile } from "./isFile.ts"
import type { Library } from "./libraries.ts"
import { firstOf } from "./libraries.ts"
import { createRequire, find } from "./places.ts"
import type { AfdProfile } from "./profiles/afdProfile.ts"
import { pointerBytesOf } from "./prototypes/pointers.ts"
import { profileOf } from "./profiles/index.ts"
import type { Profile } from "./profiles/profile.ts"
import type { Functions } from "./prototypes/index.ts"
import { absentFunctions, prototypes } from "./prototypes/index.ts"
import { type WinsockFunctions, winsockPrototypes } from "./prototypes/winsock.ts"
import { UnsupportedSystem } from "./unsupportedSystem.ts"
import type { WatchReadable } from "./uvPoll.ts"
import { bindWatchReadable } from "./uvPoll.ts"
import { bindWinsock } from "./winsock.ts"

export interface Libc<P extends Profile = Profile> {
  readonly profile: P
  /** The path of the koffi that was loaded. Another thread loads the same. */
  readonly koffi: string
  readonly functions: Functions
  /**
   * Binds further functions, which few programs call: `bindMore(inotifyPrototypes)`. A function that
   * the C library lacks throws the reason when it is called. Binding once for each thread is enough.
   */
  readonly bindMore: <F>(prototypes: { readonly [Name in keyof F]: string }) => F
  /** Returns `errno` as the last call on this thread left it. With a value, sets it. */
  readonly errno: (value?: number) => number
  /** Returns the address of a view's bytes. They stay there while something refers to the view. */
  readonly addressOf: (bytes: Uint8Array) => bigint
  /**
   * Returns memory that the kernel or the C library allocated. Do not touch it once it is freed.
   */
  readonly memoryAt: (address: number, length: number) => ArrayBuffer
  /**
   * Returns the function that watches a descriptor with this thread's event loop. Throws
   * `UnsupportedSystem` in a runtime whose event loop cannot.
   */
  readonly bindWatchReadable: () => WatchReadable
  /**
   * Notes that a handle of Windows was opened for a poller, or is about to be closed. Missing where
   * nothing is noted.
   */
  readonly noteHandle?: (handle: number, isOpen: boolean) => void
  /** Closes a handle of Windows that is no socket. Missing elsewhere: `close` closes everything. */
  readonly closeHandle?: (handle: number) => number
  /** Whether an open descriptor is one that cannot be polled: a file, a directory or a disk. */
  readonly isFile: (fd: number) => boolean
}

/** Returns the bound function, or a function that throws the reason why it could not be bound. */
const bindOrThrowLater = (bind: () => unknown): unknown => {
  try {
    return bind()
  } catch (cause) {
    return () => {
      throw cause
    }
  }
}

/**
 * Binds each function at once. A lookup aborts the process in a thread that is being terminated,
 * and a finalizer may be the first to call a function there. A function that this system lacks is
 * looked up on access instead, only to throw the reason.
 */
const bindFunctions = (library: Library, profile: Exclude<Profile, AfdProfile>): Functions => {
  const functions = {}
  for (const [name, prototype] of Object.entries(prototypes)) {
    const bind = () => bindOrThrowLater(() => library.func(prototype))
    const isAbsent = absentFunctions[profile.selector].has(name)
    Object.defineProperty(functions, name, { enumerable: true, ...(isAbsent ? { get: bind } : { value: bind() }) })
  }
  return functions as Functions
}

/** Returns a function that binds those of a library as they are asked for. */
const bindMoreOf =
  (library: Library): Libc["bindMore"] =>
  <F>(prototypes: { readonly [Name in keyof F]: string }) => {
    const functions: Record<string, unknown> = {}
    for (const [name, prototype] of Object.entries<string>(prototypes)) {
      functions[name] = bindOrThrowLater(() => library.func(prototype))
    }
    return functions as F
  }

const bind = (koffi: typeof Koffi, path: string, profile: Profile): Libc => {
  const common = {
    koffi: path,
    addressOf: (bytes: Uint8Array) => koffi.address(bytes),
    memoryAt: (address: number, length: number) => koffi.view(BigInt(address), length)
  }
  return profile.selector === "afd" ? bindWindows(koffi, common, profile) : bindUnix(koffi, common, profile)
}

type Common = Pick<Libc, "koffi" | "addressOf" | "memoryAt">

const bindUnix = (koffi: typeof Koffi, common: Common, profile: Exclude<Profile, AfdProfile>): Libc => {
  const library = koffi.load(null)
  let watchReadable: WatchReadable | undefined
  return {
    ...common,
    profile,
    functions: bindFunctions(library, profile),
    bindMore: bindMoreOf(library),
    errno: (value) => (value === undefined ? koffi.errno() : koffi.errno(value)),
    bindWatchReadable: () => (watchReadable ??= bindWatchReadable(koffi, library, profile.pointerBytes)),
    isFile
  }
}

/** Windows has its functions in several libraries, and its sockets under other names. */
const bindWindows = (koffi: typeof Koffi, common: Common, profile: AfdProfile): Libc => {
  const bindMore = bindMoreOf(firstOf(koffi, profile.libraries))
  const winsock = bindMore<WinsockFunctions>(winsockPrototypes)
  const { errno, functions } = bindWinsock(winsock, profile)
  for (const name of Object.keys(prototypes)) {
    const refuse = () => {
      throw new UnsupportedSystem(`Windows has no function ${name}`)
    }
    if (!Object.hasOwn(functions, name)) Object.defineProperty(functions, name, { enumerable: true, value: refuse })
  }
  return {
    ...common,
    profile,
    functions: functions as Functions,
    bindMore,
    errno,
    closeHandle: winsock.CloseHandle,
    bindWatchReadable: () => {
      throw new UnsupportedSystem(
        "the event loop of Windows cannot watch a poller: use layerWorker, whose notifications come to this thread too"
      )
    },
    // Descriptors here are sockets.
    isFile: () => false
  }
}

let bound: Libc | undefined

/**
 * Returns the C library of this process. `koffi` is where koffi is, if that is known. Throws
 * `UnsupportedSystem` as `load` does.
 */
export const libc = (koffi?: string): Libc => (bound ??= load(process.platform, koffi))

/** Whether this thread has loaded it. */
export const isLoaded = (): boolean => bound !== undefined

/**
 * Replaces the C library that this thread uses, so that a test can simulate another system.
 * `undefined` restores the thread's own. Returns the one that was in use before.
 */
export const provideLibc = (other: Libc | undefined): Libc | undefined => {
  const before = bound
  bound = other
  return before
}

/** Returns the message of an error, which may be of another realm, or what else was thrown. */
export const messageOf = (thrown: unknown): string =>
  typeof thrown === "object" && thrown !== null && "message" in thrown ? String(thrown.message) : String(thrown)

/**
 * Binds the C library with the profile of the named system. `koffi` is where koffi is, if that is
 * known. Throws `UnsupportedSystem` if there is no profile of that system, or if koffi cannot be
 * loaded.
 */
export const load = (platform: NodeJS.Platform, koffi?: string, arch: NodeJS.Architecture = process.arch): Libc => {
  const profile = profileOf(platform, arch)
  if (profile === undefined) {
    throw new UnsupportedSystem(
      `effect-amy has no poller for ${platform}: it runs on Linux, macOS, FreeBSD, OpenBSD and Windows${
        pointerBytesOf(arch) === 8 ? "" : " (other than on Linux, on machines of 64 bits only)"
      }`
    )
  }
  const path = koffi ?? find("koffi")
  if (path === undefined) {
    throw new UnsupportedSystem(
      "koffi was not found (install it beside the program: it has native code, which no bundle contains)"
    )
  }
  try {
    return bind(createRequire(path)(path) as typeof Koffi, path, profile)
  } catch (cause) {
    const reason = messageOf(cause)
    throw new UnsupportedSystem(
      `${path} could not be loaded on ${platform} (${process.arch}): ${reason} (install koffi for this system, with its package @koromix/koffi-${platform}-${process.arch})`,
      { cause }
    )
  }
}
