/** Triggers over a pipe: its reading end is watched, and a byte in it is a trigger. */
import type { Libc } from "../libc/koffi.ts"
import { duplicate } from "./duplicate.ts"
import type { Pipe } from "./pipe.ts"
import { closePipe, drainPipe, fillPipe, openPipe } from "./pipe.ts"
import type { Trigger } from "./selector.ts"

/**
 * Opens a trigger. `watch` registers its descriptor with the selector, and throws if it cannot;
 * `unwatch` is called before the descriptor is closed. Throws `SystemCallError`.
 */
export const openTrigger = (libc: Libc, watch: (fd: number) => void, unwatch: (fd: number) => void): Trigger => {
  const pipe = openPipe(libc)
  try {
    watch(pipe.reader)
  } catch (thrown) {
    closePipe(libc, pipe)
    throw thrown
  }
  return make(libc, pipe, unwatch)
}

/** Opens the trigger of another thread. Throws `SystemCallError`. */
export const attachTrigger = (libc: Libc, handle: number): Trigger => {
  const { reader: from, writer: to } = splitEnds(handle)
  const [reader, writer] = duplicate(libc, [from, to])
  return make(libc, { reader: reader!, writer: writer! }, () => {})
}

const make = (libc: Libc, pipe: Pipe, unwatch: (fd: number) => void): Trigger => ({
  handle: joinEnds(pipe),
  trigger: () => fillPipe(libc, pipe.writer),
  reset: () => drainPipe(libc, pipe.reader),
  close() {
    unwatch(pipe.reader)
    closePipe(libc, pipe)
  }
})

/** Packs both ends into one number. No system opens descriptors too large for that. */
const joinEnds = ({ reader, writer }: Pipe): number => writer * 2 ** 26 + reader
const splitEnds = (handle: number): Pipe => ({ reader: handle % 2 ** 26, writer: Math.floor(handle / 2 ** 26) })
