/** The world of the shared behaviours on Windows: its sockets, and the library's own selector. */
import { Effect, type Scope } from "effect"
import type { Attachment } from "../../src/internal/delivery/attachment.ts"
import { bindAfdCalls, openPort } from "../../src/internal/kernel/afdCalls.ts"
import { Interest } from "../../src/internal/kernel/selector.ts"
import { type Libc, libc } from "../../src/internal/libc/koffi.ts"
import type { AfdProfile } from "../../src/internal/libc/profiles/afdProfile.ts"
import * as Kernel from "./kernel.ts"
import type { Socket, World } from "./worlds.ts"

const calls = () => bindAfdCalls(libc() as Libc<AfdProfile>)

const opened: Effect.Effect<readonly [number, number], never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(Kernel.socketPair),
  (pair) => Effect.sync(() => pair.filter(Kernel.isOpen).forEach(Kernel.close))
)

export const windowsWorld = ({ selector }: Attachment): Omit<World, "close"> => {
  const socketOf = (fd: number, peer: number): Socket => ({
    fd,
    receive: Effect.sync(() => void Kernel.write(peer)),
    // An attempt that finds nothing more makes the kernel report what comes next.
    drain: Effect.sync(() => {
      Kernel.drain(fd)
      selector.rearm!(fd, Interest.Read)
    }),
    fill: Effect.sync(() => {
      Kernel.fill(fd)
      selector.rearm!(fd, Interest.Write)
    }),
    makeRoom: Effect.sync(() => Kernel.drain(peer)),
    endInput: Effect.sync(() => Kernel.shutdownWrite(peer)),
    // What TCP has that ends both directions.
    hangUp: Effect.sync(() => Kernel.closeWithReset(peer)),
    reset: Effect.sync(() => Kernel.closeWithReset(peer)),
    close: Effect.sync(() => Kernel.close(fd))
  })
  const socket = Effect.map(opened, ([fd, peer]) => socketOf(fd, peer))
  return {
    kernel: "afd",
    socket,
    socketAt: () => Effect.die("Windows chooses the number"),
    pipeWriter: Effect.map(socket, ({ fd, fill, hangUp }) => ({ fd, fill, breakPipe: hangUp })),
    urgentSocket: Effect.map(opened, ([fd, peer]) => ({
      fd,
      urge: Effect.sync(() => Kernel.sendOutOfBand(peer))
    })),
    // A port is an open handle, and no socket.
    unpollable: Effect.acquireRelease(
      Effect.sync(() => openPort(calls())),
      (port) => Effect.sync(() => void calls().CloseHandle(port))
    ),
    closedNumber: Effect.sync(() => {
      const pair = Kernel.socketPair()
      pair.forEach(Kernel.close)
      return pair[0]
    }),
    kill: Effect.die("nothing makes a wait of a port fail"),
    passing: () => (waiting) => waiting,
    now: Effect.sync(() => performance.now())
  }
}
