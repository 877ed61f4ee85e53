/** Opens many descriptors on which nothing happens. */
import { Effect } from "effect"
import type { Registrar } from "effect-amy"
import * as Kernel from "./kernel.ts"

/**
 * Opens sources, which the scope closes. Each is a file of its own: the kernel limits how often
 * one file can be watched.
 */
export const manySources = (count: number) =>
  Effect.acquireRelease(
    Effect.sync(() => Array.from({ length: count }, Kernel.source)),
    (fds) => Effect.sync(() => fds.forEach(Kernel.close))
  )

/** Registers each of them. */
export const registerAll = (registrar: Registrar.Registrar["Service"], fds: ReadonlyArray<number>) =>
  Effect.forEach(fds, (fd) => registrar.register(fd, "Read"))
