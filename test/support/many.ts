/** Many descriptors on which nothing happens. */
import { Effect } from "effect"
import type { Registrar } from "effect-amy"
import * as Kernel from "./kernel.ts"

/** Open until the scope closes. Each is an open file of its own: the kernel bounds how often one file can be watched. */
export const manyEventfds = (count: number) =>
  Effect.acquireRelease(
    Effect.sync(() => Array.from({ length: count }, Kernel.eventfd)),
    (fds) => Effect.sync(() => fds.forEach(Kernel.close))
  )

/** Registers each of them. */
export const registerAll = (registrar: Registrar.Registrar["Service"], fds: ReadonlyArray<number>) =>
  Effect.forEach(fds, (fd) => registrar.register(fd, "Read"))
