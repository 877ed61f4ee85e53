/** Messages of errors that the kernel returns in situations that need an explanation. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Fd, Registrar } from "effect-amy"
import { execFileSync } from "node:child_process"
import { join } from "node:path"
import { cFunction } from "../support/cLibrary.ts"
import * as Owned from "../support/owned.ts"
import { someLayer } from "../support/layers.ts"

const unlockpt = cFunction("int unlockpt(int fd)") as (fd: number) => number
const ptsname = cFunction("const char *ptsname(int fd)") as (fd: number) => string

describe("the message", () => {
  it.live("of a terminal says that its other end is closed", () =>
    Effect.gen(function* () {
      const controller = yield* Fd.open("/dev/ptmx", "both")
      expect(unlockpt(controller.fd)).toBe(0)
      const path = ptsname(controller.fd)
      const terminal = yield* Fd.open(path, "both")
      yield* terminal.close
      const { message, reason } = yield* Effect.flip(controller.tryRead(new Uint8Array(8)))
      expect(reason).toMatchObject({ _tag: "SystemError", code: "EIO" })
      expect(message).toBe(
        `read on fd ${controller.fd}: EIO, the other end of the terminal is closed, or the device has failed ` +
          "(close this end, and open it again to continue)"
      )
    }).pipe(Effect.scoped)
  )

  it.live("of a FIFO that nothing reads says so", () =>
    Effect.gen(function* () {
      const path = join(yield* Owned.directory, "fifo")
      execFileSync("mkfifo", [path])
      const { message, reason } = yield* Effect.flip(Fd.open(path, "write"))
      expect(reason).toMatchObject({ _tag: "SystemError", code: "ENXIO" })
      expect(message).toContain("no process has this FIFO open for reading")
    }).pipe(Effect.scoped)
  )

  it.live("of a path at which nothing exists, or that leads through a file, says so", () =>
    Effect.gen(function* () {
      const nothing = yield* Effect.flip(Fd.open("/nonexistent", "read"))
      expect(nothing.message).toBe(
        'open("/nonexistent"): ENOENT, nothing exists at this path (create it first, or check its spelling)'
      )
      const through = yield* Effect.flip(Fd.open("/dev/null/below", "read"))
      expect(through.reason).toMatchObject({ _tag: "NotFound", code: "ENOTDIR" })
      expect(through.message).toContain("a part of this path is not a directory")
    }).pipe(Effect.scoped)
  )

  it.live("of a device that cannot be polled says that some never can", () =>
    Effect.gen(function* () {
      const zero = yield* Fd.open("/dev/zero", "read")
      const { message, reason } = yield* Effect.flip(Registrar.register(zero, "Read"))
      expect(reason).toMatchObject({ _tag: "NotPollable", fd: zero.fd })
      expect(message).toContain("regular files, directories and some devices never can")
    }).pipe(Effect.scoped, Effect.provide(someLayer()))
  )
})
