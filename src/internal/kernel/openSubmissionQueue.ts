/** Opens the best kind of queue that the system has, and allows to this process. */
import { endianness } from "node:os"
import type { Libc } from "../libc/koffi.ts"
import { openAio } from "./aio.ts"
import type { ContextPlace } from "./aioContext.ts"
import { openIoUring } from "./ioUring.ts"
import type { SubmissionQueue } from "./submissionQueue.ts"

/**
 * Opens a queue: of io_uring(7), or of Linux AIO where io_uring is forbidden, as in most containers.
 * Returns `undefined` if there is neither: callers then make their calls one by one. `place` is
 * where this thread's context of AIO is noted.
 */
export const openSubmissionQueue = (libc: Libc, capacity: number, place: ContextPlace): SubmissionQueue | undefined =>
  // Both kinds lay out their entries in words of little-endian machines.
  endianness() === "LE" ? (openIoUring(libc, capacity) ?? openAio(libc, capacity, place)) : undefined
