/** The world of Windows for the shared behaviours: its sockets, and the library's own selector. */
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { type PollerError, Registrar } from "effect-amy"
import type { Attachment } from "../../src/internal/delivery/attachment.ts"
import { attachmentOf } from "../../src/internal/delivery/registrar.ts"
import { type AfdCalls, bindAfdCalls, isOpen, openPort } from "../../src/internal/kernel/afdCalls.ts"
import { AfdMemory } from "../../src/internal/kernel/afdMemory.ts"
import { Interest } from "../../src/internal/kernel/selector.ts"
import { type Libc, libc } from "../../src/internal/libc/koffi.ts"
import type { AfdProfile } from "../../src/internal/libc/profiles/afdProfile.ts"
import type { PollerLayer } from "../support/layers.ts"
import type { Behaviour, Socket, World } from "../support/worlds.ts"
import * as Kernel from "./kernel.ts"

let bound: AfdCalls | undefined
const calls = () => (bound ??= bindAfdCalls(libc() as Libc<AfdProfile>))

const worldOf = ({ selector }: Attachment): Omit<World, "close"> => {
  const socketOf = (fd: number, peer: number): Socket => ({
    fd,
    receive: Effect.sync(() => {
      Kernel.write(peer)
      Kernel.arrive(fd)
    }),
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
    hangUp: Effect.sync(() => Kernel.close(peer)),
    reset: Effect.sync(() => Kernel.close(peer)),
    close: Effect.sync(() => Kernel.close(fd))
  })
  const opened = Effect.acquireRelease(Effect.sync(Kernel.socketPair), (pair) =>
    Effect.sync(() => {
      for (const fd of pair) Kernel.close(fd)
    })
  )
  const socket = Effect.map(opened, ([fd, peer]) => socketOf(fd, peer))
  return {
    kernel: "afd",
    socket,
    socketAt: () => Effect.die("Windows chooses the number"),
    pipeWriter: Effect.map(socket, ({ fd, fill, hangUp }) => ({ fd, fill, breakPipe: hangUp })),
    urgentSocket: Effect.die("not tried"),
    // A port is an open handle, and no socket.
    unpollable: Effect.acquireRelease(
      Effect.sync(() => openPort(calls())),
      (port) => Effect.sync(() => void calls().CloseHandle(port))
    ),
    closedNumber: Effect.sync(() => {
      const [one, other] = Kernel.socketPair()
      Kernel.close(one)
      Kernel.close(other)
      return one
    }),
    kill: Effect.die("nothing makes a wait of a port fail"),
    passing: () => (waiting) => waiting,
    now: Effect.sync(() => performance.now())
  }
}

/** Runs a behaviour with the sockets of Windows. */
export const onWindows = (layer: PollerLayer, behaviour: Behaviour): Effect.Effect<unknown, PollerError.PollerError> =>
  Effect.acquireUseRelease(
    Scope.make(),
    (scope) =>
      Effect.flatMap(Layer.buildWithScope(layer, scope), (services) =>
        Effect.flatMap(attachmentOf(Context.get(services, Registrar.Registrar)), (attachment) =>
          behaviour({ ...worldOf(attachment), close: Scope.close(scope, Exit.void) })
        ).pipe(Effect.scoped, Effect.provide(services))
      ),
    (scope) => Scope.close(scope, Exit.void)
  )

/** Whether a number is that of an open handle. */
export const isOpenHandle = (handle: number): boolean => isOpen(calls(), handle)

/** Returns a function that tells whether the selector is still open for any thread. */
export const hasUsers = (registrar: Registrar.Registrar["Service"]) =>
  Effect.map(attachmentOf(registrar), ({ selector }) => {
    const memory = new AfdMemory(libc() as Libc<AfdProfile>, calls(), selector.handle.afd!.memory)
    return () => !memory.isClosed
  })
