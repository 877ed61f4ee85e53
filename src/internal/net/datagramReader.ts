/**
 * Receives datagrams: as many as have come by one call, where the system has such a call, or else
 * one by one. All sockets of a thread share the memory for it.
 */
import { constants } from "node:os"
import type { PollerError } from "../../PollerError.ts"
import { copyOf, partsOf } from "../bytes/chunkPool.ts"
import type { WatchedFd } from "../descriptor/watchedFd.ts"
import { fromErrno } from "../errors/pollerErrors.ts"
import { retryInterrupted } from "../kernel/retry.ts"
import type { Libc } from "../libc/koffi.ts"
import { DatagramImpl } from "./datagram.ts"
import { capacity, ReceiveVector } from "./messageVector.ts"
import { nameWords } from "./messageVector.ts"
import { Senders } from "./senders.ts"
import * as Sockaddr from "./sockaddr.ts"

// No datagram of UDP is longer, so none is cut.
let scratch = Buffer.alloc(0)
const from = new Int32Array(Sockaddr.capacity / 4)
const fromBytes = new Uint8Array(from.buffer)
const fromLength = new Uint32Array(1)

/** The memory of this thread for one C library. */
interface Shared {
  readonly senders: Senders
  vector: ReceiveVector | undefined
  /** Whether the system has turned out to lack the call. */
  lacksMany: boolean
}

const sharedBy = new WeakMap<Libc, Shared>()

const sharedOf = (libc: Libc): Shared => {
  const known = sharedBy.get(libc)
  if (known !== undefined) return known
  const lacksMany = libc.profile.socket.manyDatagrams === undefined
  const shared: Shared = { senders: new Senders(libc), vector: undefined, lacksMany }
  sharedBy.set(libc, shared)
  return shared
}

/** What one look at the socket has brought. */
export interface Look {
  /** Whether there was nothing more. */
  isLast: boolean
  /** An error that ended it. The kernel reports it once. */
  error: PollerError | undefined
}

export class DatagramReader {
  readonly #watchedFd: WatchedFd
  readonly #libc: Libc
  readonly #shared: Shared
  /** Whether the kernel may join datagrams. */
  joins = false

  constructor(watchedFd: WatchedFd, libc: Libc) {
    this.#watchedFd = watchedFd
    this.#libc = libc
    this.#shared = sharedOf(libc)
  }

  /** Adds what has come to `into`: up to `most` messages, each a datagram or several joined ones. */
  readMany(into: Array<DatagramImpl>, most: number): Look {
    const shared = this.#shared
    if (shared.lacksMany) return this.#readOneByOne(into, most)
    const vector = (shared.vector ??= new ReceiveVector(this.#libc))
    const count = vector.receive(this.#watchedFd.fd, most, this.joins)
    if (count === -constants.errno.ENOSYS) {
      shared.lacksMany = true
      return this.#readOneByOne(into, most)
    }
    if (count < 0) return this.#failed("recvmmsg", -count)
    for (let i = 0; i < count; i++) {
      const sender = shared.senders.of(vector.nameWords, i * nameWords, vector.nameLengthOf(i))
      const length = vector.lengthOf(i)
      const start = vector.startOf(i)
      const size = this.joins ? vector.sizeOf(i, this.#libc.profile.socket.manyDatagrams!) : 0
      if (size === 0 || length <= size) into.push(new DatagramImpl(copyOf(vector.bytes, start, length), sender))
      else for (const part of partsOf(vector.bytes, start, length, size)) into.push(new DatagramImpl(part, sender))
    }
    // The call ends early where the socket is empty. An error would end it, too, but the kernel then
    // keeps the error, and reports it anew.
    return { isLast: count < most, error: undefined }
  }

  #readOneByOne(into: Array<DatagramImpl>, most: number): Look {
    for (let i = 0; i < most; i++) {
      const received = this.readOne()
      if (!(received instanceof DatagramImpl)) return { isLast: received === undefined, error: received }
      into.push(received)
    }
    return { isLast: false, error: undefined }
  }

  /** Receives one datagram. Returns `undefined` if none has come. */
  readOne(): DatagramImpl | PollerError | undefined {
    const libc = this.#libc
    const { fd } = this.#watchedFd
    if (scratch.length === 0) scratch = Buffer.alloc(64 * 1024)
    const count = retryInterrupted(libc, () => {
      fromLength[0] = Sockaddr.capacity
      return libc.functions.recvfrom(
        fd,
        scratch,
        scratch.length,
        libc.profile.socket.MSG_DONTWAIT,
        fromBytes,
        fromLength
      )
    })
    if (count < 0) return this.#failed("recvfrom", -count).error
    const length = Math.min(fromLength[0]!, Sockaddr.capacity)
    return new DatagramImpl(copyOf(scratch, 0, count), this.#shared.senders.of(from, 0, length))
  }

  #failed(syscall: string, errno: number): Look {
    return errno === this.#libc.profile.errno.EAGAIN
      ? { isLast: true, error: undefined }
      : { isLast: false, error: fromErrno(syscall, errno, this.#watchedFd) }
  }
}

/** Maximum messages of one look, so that other fibers have their turn in between. */
export const mostMessages = capacity
