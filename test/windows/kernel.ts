/** In the place of `test/support/kernel.ts`: pairs of TCP sockets, by the library's own calls. */
import { libc } from "../../src/internal/libc/koffi.ts"
import { win32 } from "../../src/internal/libc/profiles/win32.ts"

const { SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM } = win32.socket
const flags = SOCK_NONBLOCK! | SOCK_CLOEXEC!
const scratch = new Uint8Array(65_536)

const check = (name: string, result: number): number => {
  if (result === -1) throw new Error(`${name}: errno ${libc().errno()}`)
  return result
}

const sleepWord = new Int32Array(new SharedArrayBuffer(4))

/** Connects two sockets over the loopback interface. */
export const socketPair = (): readonly [number, number] => {
  const { functions } = libc()
  const listener = check("socket", functions.socket(2, SOCK_STREAM | flags, 0))
  const address = new Uint8Array([2, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
  check("bind", functions.bind(listener, address, 16))
  check("listen", functions.listen(listener, 1))
  check("getsockname", functions.getsockname(listener, address, new Uint32Array([16])))
  const one = check("socket", functions.socket(2, SOCK_STREAM | flags, 0))
  functions.connect(one, address, 16)
  let other = -1
  while (other === -1) {
    other = functions.accept4(listener, new Uint8Array(16), new Uint32Array([16]), flags)
    if (other === -1) Atomics.wait(sleepWord, 0, 0, 1)
  }
  close(listener)
  return [one, other]
}

export const write = (fd: number, count = 1): number => libc().functions.write(fd, scratch, count)

/** Waits until what the peer has written has arrived: it does so in the background. */
export const arrive = (fd: number): void => {
  const { functions } = libc()
  for (let looks = 0; looks < 1000; looks++) {
    if (functions.recv(fd, scratch, 1, 2) !== -1) return
    Atomics.wait(sleepWord, 0, 0, 1)
  }
}

export const drain = (fd: number): void => {
  while (libc().functions.read(fd, scratch, scratch.length) > 0);
}

export const fill = (fd: number): void => {
  while (write(fd, scratch.length) > 0);
}

export const shutdownWrite = (fd: number): void => void libc().functions.shutdown(fd, 1)

/** Closes a socket, if it is open. */
export const close = (fd: number): void => void libc().functions.close(fd)

export const eventfd = (): never => {
  throw new Error("Windows has no eventfd")
}
