/** What `kernel.ts` needs of a system: `posix.ts` and `winsock.ts` have it. */

export type Pair = readonly [number, number]

export interface Calls {
  readonly eventfd: () => number
  readonly source: () => number
  readonly pipe: () => Pair
  readonly blockingPipe: () => Pair
  readonly socketPair: () => Pair
  readonly messagePair: () => Pair
  readonly datagramPair: () => Pair
  readonly tcpPair: () => Pair
  readonly unconnected: (domain: number) => number
  readonly listen: () => { readonly fd: number; readonly port: number }
  readonly connectInVain: () => number
  /** Returns -1 if it would block. */
  readonly accept: (listener: number) => number
  readonly listenUnix: (name: Uint8Array) => number
  readonly connectUnix: (name: Uint8Array) => number
  /** Returns -1 if it would block, and so does a datagram socket that is full. */
  readonly write: (fd: number, bytes: Uint8Array, count: number) => number
  /** Returns -1 if it would block. */
  readonly read: (fd: number, bytes: Uint8Array, count: number) => number
  /** Returns whether there may be room soon, after a write that would block. */
  readonly hasRoomSoon: (fd: number) => boolean
  readonly pending: (fd: number) => number
  /** Returns the words of an option of a socket: `count` at most. */
  readonly option: (fd: number, level: number, name: number, count: number) => Int32Array
  readonly setBlocking: (fd: number) => void
  readonly sendOutOfBand: (fd: number) => void
  readonly shutdownWrite: (fd: number) => void
  readonly passCredentials: (fd: number) => void
  /** Makes the next `close` of a TCP socket a reset. */
  readonly lingerNot: (fd: number) => void
  readonly dup: (fd: number) => number
  readonly dup2: (from: number, to: number) => void
  readonly close: (fd: number) => void
  readonly isOpen: (fd: number) => boolean
  readonly isCloseOnExec: (fd: number) => boolean
  readonly statusFlags: (fd: number) => number
  readonly isNonblocking: (fd: number) => boolean
  readonly openDescriptors: () => ReadonlyMap<number, string>
  readonly threadCount: () => number
}
