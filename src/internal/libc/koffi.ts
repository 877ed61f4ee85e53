/**
 * Loads koffi and binds the functions of the C library. `uvPoll.ts` is the only other file that
 * uses koffi.
 *
 * koffi is loaded on first use, not on import. So a program that only imports types never loads it,
 * and a system for which koffi has no binary fails only when a program asks for a poller.
 */
import type * as Koffi from "koffi"
import { createRequire } from "node:module"
import { isFile } from "./isFile.ts"
import { profileOf } from "./profiles/index.ts"
import type { Profile } from "./profiles/profile.ts"
import type { Functions } from "./prototypes/index.ts"
import { absentFunctions, prototypes } from "./prototypes/index.ts"
import type { WatchReadable } from "./uvPoll.ts"
import { bindWatchReadable } from "./uvPoll.ts"

export interface Libc<P extends Profile = Profile> {
  readonly profile: P
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
  readonly watchReadable: WatchReadable
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
const bindFunctions = (library: Koffi.LibraryHandle, profile: Profile): Functions => {
  const functions = {}
  for (const [name, prototype] of Object.entries(prototypes)) {
    const bind = () => bindOrThrowLater(() => library.func(prototype))
    const isAbsent = absentFunctions[profile.selector].has(name)
    Object.defineProperty(functions, name, { enumerable: true, ...(isAbsent ? { get: bind } : { value: bind() }) })
  }
  return functions as Functions
}

const bind = (koffi: typeof Koffi, profile: Profile): Libc => {
  const library = koffi.load(null)
  return {
    profile,
    functions: bindFunctions(library, profile),
    bindMore: <F>(prototypes: { readonly [Name in keyof F]: string }) => {
      const functions: Record<string, unknown> = {}
      for (const [name, prototype] of Object.entries<string>(prototypes)) {
        functions[name] = bindOrThrowLater(() => library.func(prototype))
      }
      return functions as F
    },
    errno: (value) => (value === undefined ? koffi.errno() : koffi.errno(value)),
    addressOf: (bytes) => koffi.address(bytes),
    memoryAt: (address, length) => koffi.view(BigInt(address), length),
    watchReadable: bindWatchReadable(koffi, library),
    isFile
  }
}

let bound: Libc | undefined

/** Returns the C library of this process. Throws `UnsupportedSystem` as `load` does. */
export const libc = (): Libc => (bound ??= load(process.platform))

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

/** Why there is no poller on this machine. */
export class UnsupportedSystem extends Error {}

/**
 * Binds the C library with the profile of the named system. Throws `UnsupportedSystem` if there is
 * no profile of that system, or if koffi cannot be loaded.
 */
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
    throw new UnsupportedSystem(
      `koffi could not be loaded on ${platform} (${process.arch}): install it for this system`,
      { cause }
    )
  }
}
