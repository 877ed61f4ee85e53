/** Numbers of the calls that start processes and wait for them, and how an end is encoded. */

export interface ProcessNumbers {
  readonly WNOHANG: number
  readonly X_OK: number
  readonly POSIX_SPAWN_SETSIGDEF: number
  readonly POSIX_SPAWN_SETSIGMASK: number
  readonly POSIX_SPAWN_SETSID: number
  /**
   * Bytes that are enough for `posix_spawn_file_actions_t`, `posix_spawnattr_t` and `sigset_t` of
   * every C library. The largest is glibc's attributes, with 336.
   */
  readonly opaqueBytes: number
}

const linux: ProcessNumbers = {
  WNOHANG: 1,
  X_OK: 1,
  POSIX_SPAWN_SETSIGDEF: 0x04,
  POSIX_SPAWN_SETSIGMASK: 0x08,
  POSIX_SPAWN_SETSID: 0x80,
  opaqueBytes: 1024
}

/** Returns the numbers of a system, or `undefined` if the library does not know them. */
export const processNumbers = (platform: NodeJS.Platform): ProcessNumbers | undefined =>
  platform === "linux" ? linux : undefined
