/** Both directions of a descriptor's bytes, and how they end. */
import type { PollerError } from "../../PollerError.ts"
import type { Users } from "../descriptor/ownedFd.ts"
import type { WatchedFd } from "../descriptor/watchedFd.ts"
import type { Libc } from "../libc/koffi.ts"
import type { ByteCalls } from "./byteCalls.ts"
import { ByteWriter } from "./byteWriter.ts"

/** One object for both, because there is one for each connection. */
export class ByteChannel extends ByteWriter implements Users {
  constructor(watchedFd: WatchedFd, libc: Libc, calls: ByteCalls) {
    super(watchedFd, libc, calls)
    if (this.batch !== undefined) watchedFd.ahead = this
  }

  release(error: PollerError): void {
    // First, because a fiber that is resumed by the last write must not begin anything new.
    this.watchedFd.ended ??= error
    this.flush()
    this.forget()
    this.watchedFd.release(error)
  }

  end(error: PollerError): void {
    this.watchedFd.end(error)
  }
}
