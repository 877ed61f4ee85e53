/** Makes Linux AIO refuse flags that an older kernel does not know. */
import { libc, provideLibc } from "../../src/internal/libc/koffi.ts"
import type { Functions } from "../../src/internal/libc/prototypes/index.ts"

const EOPNOTSUPP = 95

/** Where `struct iocb` has its members, in words. */
export const iocb = { flags: 3, operation: 4, address: 6, length: 8, words: 16 } as const

/** Returns the `struct iocb`s that io_submit(2) is given. */
export const iocbsAt = (count: number, calls: number): ReadonlyArray<Int32Array> =>
  Array.from(
    new BigUint64Array(libc().memoryAt(calls, count * 8)),
    (address) => new Int32Array(libc().memoryAt(Number(address), iocb.words * 4))
  )

/** Returns io_submit(2) of a kernel that does not know these flags. */
export const submitWithout =
  (unknown: number, { io_submit }: Functions): Functions["io_submit"] =>
  (number, context, count, calls) => {
    const refused = iocbsAt(count, calls).findIndex((words) => (words[iocb.flags]! & unknown) !== 0)
    if (refused !== 0) return io_submit(number, context, refused === -1 ? count : refused, calls)
    libc().errno(EOPNOTSUPP)
    return -1
  }

/** Makes this thread have such a kernel, for good. */
export const olderKernel = (unknown: number): void => {
  const before = libc()
  const io_submit = submitWithout(unknown, before.functions)
  provideLibc({
    ...before,
    functions: Object.create(before.functions, { io_submit: { value: io_submit } }) as Functions
  })
}
