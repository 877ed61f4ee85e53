/** Prototypes of the calls that work on every kind of descriptor. */
import type { PointerArray } from "./pointers.ts"

export interface FileFunctions {
  readonly close: (fd: number) => number
  readonly eventfd: (initval: number, flags: number) => number
  /**
   * fcntl(2) is variadic, and some systems pass variadic arguments differently: pass their type,
   * too.
   */
  readonly fcntl: (fd: number, command: number, type: "int", argument: number) => number
  /** Opens a path that ends with a zero byte, without a mode: it creates nothing. */
  readonly open: (path: Uint8Array, flags: number) => number
  readonly pipe: (fds: Int32Array) => number
  readonly pipe2: (fds: Int32Array, flags: number) => number
  readonly read: (fd: number, buffer: Uint8Array, count: number) => number
  /** Removes a path that ends with a zero byte. */
  readonly unlink: (path: Uint8Array) => number
  /** Takes the vector as an array of `struct iovec`: an address and a length for each buffer. */
  readonly readv: (fd: number, vector: PointerArray, count: number) => number
  readonly write: (fd: number, buffer: Uint8Array, count: number) => number
  readonly writev: (fd: number, vector: PointerArray, count: number) => number
}

export const filePrototypes: { readonly [Name in keyof FileFunctions]: string } = {
  close: "int close(int fd)",
  eventfd: "int eventfd(unsigned int initval, int flags)",
  fcntl: "int fcntl(int fd, int command, ...)",
  open: "int open(void *path, int flags)",
  pipe: "int pipe(void *fds)",
  pipe2: "int pipe2(void *fds, int flags)",
  read: "intptr_t read(int fd, void *buffer, size_t count)",
  readv: "intptr_t readv(int fd, void *vector, int count)",
  unlink: "int unlink(void *path)",
  write: "intptr_t write(int fd, void *buffer, size_t count)",
  writev: "intptr_t writev(int fd, void *vector, int count)"
}
