/** Both directions of a descriptor's bytes, and how they end. */
import type { PollerError } from "../../PollerError.ts"
import type { Batch } from "../delivery/batch.ts"
import type { Users } from "../descriptor/ownedFd.ts"
import type { WatchedFd } from "../descriptor/watchedFd.ts"
import type { Libc } from "../libc/koffi.ts"
import type { ByteCalls } from "./byteCalls.ts"
import { ByteReader } from "./byteReader.ts"
import { ByteWriter } from "./byteWriter.ts"

export class ByteChannel implements Users {
  readonly reader: ByteReader
  readonly writer: ByteWriter
  readonly #watchedFd: WatchedFd

  /**
   * With a batch, calls may be made together with those of other sockets: only for a TCP socket.
   */
  constructor(watchedFd: WatchedFd, libc: Libc, calls: ByteCalls, batch?: Batch) {
    this.#watchedFd = watchedFd
    this.reader = new ByteReader(watchedFd, libc, calls)
    this.writer = new ByteWriter(watchedFd, libc, calls, this.reader, batch)
    if (batch !== undefined) watchedFd.ahead = this.reader
  }

  release(error: PollerError): void {
    // First, because a fiber that is resumed by the last write must not begin anything new.
    this.#watchedFd.ended ??= error
    this.writer.flush()
    this.reader.release()
    this.#watchedFd.release(error)
  }

  end(error: PollerError): void {
    this.#watchedFd.end(error)
  }
}
