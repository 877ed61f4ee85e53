/** Two copies of the library in one process. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { AsyncFd, PollChannel, Poller, Registrar, UserEvent } from "effect-amy"
import { Tcp } from "effect-amy/net"
import { readFileSync } from "node:fs"
import { version, versionKey } from "../../src/internal/errors/copies.ts"
import * as Kernel from "../support/kernel.ts"
import { layers, rowsHere } from "../support/layers.ts"
import { scopedFds } from "../support/watched.ts"

const ofOther = <Handle extends object>(handle: Handle): Handle => ({ ...handle, [versionKey]: "9.9.9" })

const twoCopies = (what: string, other: string) =>
  `two copies of effect-amy are loaded: this ${what} is of a copy of version ${other}, and was passed to one of version ${version} (install one version, and one copy in each thread: \`npm ls effect-amy\` shows them)`

const messageOf = <A, E extends Error, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), (error) => error.message)

it("the version that copies compare is that of the package", () => {
  expect(version).toBe((JSON.parse(readFileSync("package.json", "utf8")) as { readonly version: string }).version)
})

for (const [name, layer] of Object.entries(rowsHere(layers))) {
  describe(`two copies of the library are named (${name})`, () => {
    it.live("by what is given a Registrar of the other copy", () =>
      Effect.gen(function* () {
        // Another copy has another map of its services: a service that is not in this one's.
        const registrar = yield* Registrar.Registrar
        const other = Object.defineProperty({ ...registrar }, versionKey, { value: version })
        const [reader] = yield* scopedFds(() => [Kernel.source()] as const)
        const failed = [
          yield* messageOf(Effect.provideService(AsyncFd.make(reader), Registrar.Registrar, other)),
          yield* messageOf(Effect.provideService(Tcp.listen("127.0.0.1:0"), Registrar.Registrar, other)),
          yield* messageOf(Effect.provideService(PollChannel.unbounded(), Registrar.Registrar, other))
        ]
        expect(new Set(failed)).toEqual(new Set([twoCopies("Registrar", version)]))
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )

    it.live("by what is given a handle of another version, which may lay out its memory otherwise", () =>
      Effect.gen(function* () {
        const poller = ofOther(yield* Poller.handle)
        expect(Poller.isPollerHandle(poller)).toBe(false)
        expect(yield* messageOf(Effect.provide(Effect.void, Poller.layerAttach(poller)))).toBe(
          twoCopies("handle of a poller", "9.9.9")
        )
        const event = yield* UserEvent.make
        expect(yield* messageOf(UserEvent.fromHandle(ofOther(event.handle)))).toBe(
          twoCopies("handle of a user event", "9.9.9")
        )
        const { sender } = yield* PollChannel.unbounded()
        const handle = yield* sender.handle
        expect(yield* messageOf(PollChannel.fromHandle(ofOther(handle)))).toBe(twoCopies("handle of a sender", "9.9.9"))
        handle.port.close()
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )
  })
}
