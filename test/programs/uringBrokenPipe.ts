/**
 * Sends by io_uring to a closed peer while SIGPIPE has its default disposition, which kills the
 * process.
 */
import { libc } from "../../src/internal/libc/koffi.ts"
import { openIoUring } from "../../src/internal/kernel/ioUring.ts"
import * as Kernel from "../support/kernel.ts"

// Node ignores the signal until the process has listened for it once.
const listener = () => {}
process.on("SIGPIPE", listener)
process.off("SIGPIPE", listener)

const [shut] = Kernel.tcpPair()
Kernel.shutdownWrite(shut)
const [broken, peer] = Kernel.tcpPair()
Kernel.closeWithReset(peer)
const [healthy] = Kernel.tcpPair()
const uring = openIoUring(libc(), 4)!
const bytes = Buffer.alloc(8)
const address = Number(libc().addressOf(bytes))
// A reset is reported once, as the error of the socket. The next send raises the signal.
for (const fd of [shut, broken, broken, healthy]) uring.send(fd, address, 1)
const results = new Int32Array(4)
uring.submit(results)
process.send!([...results])
process.disconnect!()
