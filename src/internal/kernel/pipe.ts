/** pipe(2): also as a wake-up, on kernels that have no descriptor made for one. */
import type { Libc } from "../libc/koffi.ts"
import { setFlags } from "./descriptorFlags.ts"
import { SystemCallError } from "./systemCallError.ts"

export interface Pipe {
  readonly reader: number
  readonly writer: number
}

/** Opens a pipe. Both ends are non-blocking and close-on-exec. Throws `SystemCallError`. */
export const openPipe = (libc: Libc): Pipe => {
  const { functions, profile } = libc
  const { O_CLOEXEC, O_NONBLOCK } = profile.fcntl
  const fds = new Int32Array(2)
  const result = profile.hasPipe2 ? functions.pipe2(fds, O_NONBLOCK | O_CLOEXEC) : functions.pipe(fds)
  if (result === -1) throw new SystemCallError(profile.hasPipe2 ? "pipe2" : "pipe", libc.errno())
  if (!profile.hasPipe2) setFlags(libc, fds)
  return { reader: fds[0]!, writer: fds[1]! }
}

const one = new Uint8Array(1)

/**
 * Writes a byte. If the pipe is full, its reader is being woken already. Returns 0, or the errno.
 */
export const fillPipe = ({ errno, functions, profile }: Libc, writer: number): number => {
  if (functions.write(writer, one, 1) !== -1) return 0
  const reason = errno()
  return reason === profile.errno.EAGAIN ? 0 : reason
}

/** Reads all that is in the pipe. Returns whether there was anything. */
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
