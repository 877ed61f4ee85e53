/** Prototypes and constants of preadv2(2) and pwritev2(2) of Linux, with which one call never blocks. */
import type { PointerArray } from "../pointers.ts"

export interface NoWaitFunctions {
  /**
   * Made by syscall(2), because older C libraries have no function for it. Takes the vector as an
   * array of `struct iovec`. The position is in two halves; -1 is that of the open file.
   */
  readonly transfer: (
    number: number,
    fd: number,
    vector: PointerArray,
    count: number,
    low: number,
    high: number,
    flags: number
  ) => number
}

export const noWaitPrototypes: { readonly [Name in keyof NoWaitFunctions]: string } = {
  transfer:
    "intptr_t syscall(intptr_t number, int fd, void *vector, intptr_t count, intptr_t low, intptr_t high, int flags)"
}

/** The call fails with EAGAIN where it would block, and with EOPNOTSUPP where that is not known. */
export const RWF_NOWAIT = 8

/** The numbers of the calls, for each architecture that Node runs on. */
export const noWaitCalls: { readonly [arch: string]: { readonly preadv2: number; readonly pwritev2: number } } = {
  x64: { preadv2: 327, pwritev2: 328 },
  ia32: { preadv2: 378, pwritev2: 379 },
  arm: { preadv2: 392, pwritev2: 393 },
  arm64: { preadv2: 286, pwritev2: 287 },
  riscv64: { preadv2: 286, pwritev2: 287 },
  loong64: { preadv2: 286, pwritev2: 287 },
  ppc64: { preadv2: 380, pwritev2: 381 },
  s390x: { preadv2: 376, pwritev2: 377 }
}
