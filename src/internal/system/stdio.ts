/** Standard input, output and error as streams and sinks. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { systemError } from "effect/PlatformError"
import * as Sink from "effect/Sink"
import * as EffectStdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { isatty } from "node:tty"
import { isUint8Array } from "node:util/types"
import type { PollerError } from "../../PollerError.ts"
import { Registrar } from "../../Registrar.ts"
import { sinkOf, streamOf } from "../bytes/streams.ts"
import { transferredError } from "../errors/arguments.ts"
import { invalidArgument } from "../errors/pollerErrors.ts"
import { type Name, use } from "./standardFd.ts"

const encoder = new TextEncoder()

/** Returns the bytes of a chunk, or the error if it has none. */
const toBytes = (chunk: string | Uint8Array): Effect.Effect<Uint8Array, PollerError> => {
  if (typeof chunk === "string") return Effect.succeed(encoder.encode(chunk))
  const invalid = isUint8Array(chunk)
    ? transferredError(chunk)
    : invalidArgument("invalid chunk: expected a string or a Uint8Array")
  return invalid === undefined ? Effect.succeed(chunk) : Effect.fail(invalid)
}

export const stdin: Stream.Stream<Uint8Array, PollerError, Registrar> = Stream.unwrap(
  Effect.map(use("stdin"), (standard) => streamOf(standard.readChunk))
)

const sink = (name: Name): Sink.Sink<void, string | Uint8Array, never, PollerError, Registrar> =>
  Sink.unwrap(
    Effect.map(use(name), (standard) =>
      sinkOf<string | Uint8Array>((chunks) =>
        Effect.forEach(chunks, (chunk) => Effect.flatMap(toBytes(chunk), (bytes) => standard.writeAll(bytes)), {
          discard: true
        })
      )
    )
  )

export const stdout = sink("stdout")
export const stderr = sink("stderr")

export const write = (
  target: "stdout" | "stderr",
  chunk: string | Uint8Array
): Effect.Effect<void, PollerError, Registrar> =>
  Effect.suspend(() =>
    target === "stdout" || target === "stderr"
      ? Effect.flatMap(toBytes(chunk), (bytes) =>
          Effect.scoped(Effect.flatMap(use(target), (standard) => standard.writeAll(bytes)))
        )
      : Effect.fail(invalidArgument(`invalid target ${String(target)}: expected "stdout" or "stderr"`))
  )

const toPlatformError = (method: Name) => (cause: PollerError) =>
  systemError({ module: "Stdio", method, _tag: "Unknown", description: cause.message, cause })

/** `effect/Stdio` on the poller. */
export const layer: Layer.Layer<EffectStdio.Stdio, never, Registrar> = Layer.effect(
  EffectStdio.Stdio,
  Effect.map(Registrar, (registrar) => {
    const sinkFor = (name: "stdout" | "stderr") =>
      Sink.mapError(Sink.provideService(sink(name), Registrar, registrar), toPlatformError(name))
    return EffectStdio.make({
      args: Effect.sync(() => process.argv.slice(2)),
      stdinIsTerminal: Effect.sync(() => isatty(0)),
      stdoutIsTerminal: Effect.sync(() => isatty(1)),
      stderrIsTerminal: Effect.sync(() => isatty(2)),
      stdout: () => sinkFor("stdout"),
      stderr: () => sinkFor("stderr"),
      stdin: Stream.mapError(Stream.provideService(stdin, Registrar, registrar), toPlatformError("stdin"))
    })
  })
)
