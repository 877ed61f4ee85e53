/** A pipe as something that wakes: for kernels that have no descriptor made for it. */
import type { Libc } from "../libc/koffi.ts"
import { SystemCallError } from "./systemCallError.ts"

export interface Pipe {
  readonly reader: number
  readonly writer: number
}

/** Opens one, neither end of which blocks or outlives exec(2). Throws `SystemCallError`. */
export const openPipe = ({ errno, functions, profile }: Libc): Pipe => {
  const { FD_CLOEXEC, F_SETFD, F_SETFL, O_CLOEXEC, O_NONBLOCK } = profile.fcntl
  const fds = new Int32Array(2)
  const result = profile.hasPipe2 ? functions.pipe2(fds, O_NONBLOCK | O_CLOEXEC) : functions.pipe(fds)
  if (result === -1) throw new SystemCallError(profile.hasPipe2 ? "pipe2" : "pipe", errno())
  if (!profile.hasPipe2) {
    for (const fd of fds) {
      functions.fcntl(fd, F_SETFD, "int", FD_CLOEXEC)
      // A pipe that was just made has no other flag to keep.
      functions.fcntl(fd, F_SETFL, "int", O_NONBLOCK)
    }
  }
  return { reader: fds[0]!, writer: fds[1]! }
}

const one = new Uint8Array(1)

/** A pipe that is full is a wake-up already. */
export const fillPipe = ({ functions }: Libc, writer: number): void => void functions.write(writer, one, 1)

/** Takes all that is in it; answers whether there was something. */
export const drainPipe = ({ functions }: Libc, reader: number): boolean => {
  const scratch = new Uint8Array(512)
  let count = functions.read(reader, scratch, scratch.length)
  const found = count > 0
  while (count === scratch.length) count = functions.read(reader, scratch, scratch.length)
  return found
}

export const closePipe = ({ functions }: Libc, { reader, writer }: Pipe): void => {
  functions.close(reader)
  functions.close(writer)
}
