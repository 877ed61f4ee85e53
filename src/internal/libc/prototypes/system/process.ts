/** Prototypes of the calls that start processes and learn of their end. */
import type { PointerArray } from "../pointers.ts"

export interface ProcessFunctions {
  /** Returns 0 if the process may execute the file at a path that ends with a zero byte: `X_OK`. */
  readonly access: (path: Uint8Array, mode: number) => number
  /** Returns the session of a process. */
  readonly getsid: (pid: number) => number
  /** With a negative number, it sends the signal to a process group. */
  readonly kill: (pid: number, signal: number) => number
  /**
   * Takes the arguments and the environment as arrays of addresses that end with 0. It returns the
   * error number, and leaves `errno` alone, as all functions of its family do.
   */
  readonly posix_spawn: (
    pid: Int32Array,
    path: Uint8Array,
    actions: Uint8Array,
    attributes: Uint8Array,
    argv: PointerArray,
    envp: PointerArray
  ) => number
  readonly posix_spawn_file_actions_init: (actions: Uint8Array) => number
  readonly posix_spawn_file_actions_destroy: (actions: Uint8Array) => number
  readonly posix_spawn_file_actions_addopen: (
    actions: Uint8Array,
    fd: number,
    path: Uint8Array,
    flags: number,
    mode: number
  ) => number
  readonly posix_spawn_file_actions_adddup2: (actions: Uint8Array, fd: number, newFd: number) => number
  readonly posix_spawn_file_actions_addchdir_np: (actions: Uint8Array, path: Uint8Array) => number
  readonly posix_spawnattr_init: (attributes: Uint8Array) => number
  readonly posix_spawnattr_destroy: (attributes: Uint8Array) => number
  readonly posix_spawnattr_setflags: (attributes: Uint8Array, flags: number) => number
  readonly posix_spawnattr_setsigdefault: (attributes: Uint8Array, set: Uint8Array) => number
  readonly posix_spawnattr_setsigmask: (attributes: Uint8Array, set: Uint8Array) => number
  readonly sigemptyset: (set: Uint8Array) => number
  readonly sigfillset: (set: Uint8Array) => number
  readonly waitpid: (pid: number, status: Int32Array, options: number) => number
}

export const processPrototypes: { readonly [Name in keyof ProcessFunctions]: string } = {
  access: "int access(void *path, int mode)",
  getsid: "int getsid(int pid)",
  kill: "int kill(int pid, int signal)",
  posix_spawn: "int posix_spawn(void *pid, void *path, void *actions, void *attributes, void *argv, void *envp)",
  posix_spawn_file_actions_init: "int posix_spawn_file_actions_init(void *actions)",
  posix_spawn_file_actions_destroy: "int posix_spawn_file_actions_destroy(void *actions)",
  posix_spawn_file_actions_addopen:
    "int posix_spawn_file_actions_addopen(void *actions, int fd, void *path, int flags, unsigned int mode)",
  posix_spawn_file_actions_adddup2: "int posix_spawn_file_actions_adddup2(void *actions, int fd, int new_fd)",
  posix_spawn_file_actions_addchdir_np: "int posix_spawn_file_actions_addchdir_np(void *actions, void *path)",
  posix_spawnattr_init: "int posix_spawnattr_init(void *attributes)",
  posix_spawnattr_destroy: "int posix_spawnattr_destroy(void *attributes)",
  posix_spawnattr_setflags: "int posix_spawnattr_setflags(void *attributes, short flags)",
  posix_spawnattr_setsigdefault: "int posix_spawnattr_setsigdefault(void *attributes, void *set)",
  posix_spawnattr_setsigmask: "int posix_spawnattr_setsigmask(void *attributes, void *set)",
  sigemptyset: "int sigemptyset(void *set)",
  sigfillset: "int sigfillset(void *set)",
  waitpid: "int waitpid(int pid, void *status, int options)"
}

/** One more, which glibc has since 2.34, and musl does not have. */
export interface CloseFromFunctions {
  readonly posix_spawn_file_actions_addclosefrom_np: (actions: Uint8Array, fd: number) => number
}

export const closeFromPrototypes: { readonly [Name in keyof CloseFromFunctions]: string } = {
  posix_spawn_file_actions_addclosefrom_np: "int posix_spawn_file_actions_addclosefrom_np(void *actions, int fd)"
}
