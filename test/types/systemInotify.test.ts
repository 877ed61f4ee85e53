/** The public types of `Inotify`. The compiler checks this file; little of it is checked at run time. */
import { describe, expect, expectTypeOf, it } from "@effect/vitest"
import type { Effect, Scope, Stream } from "effect"
import { Inotify, type PollerError, type Registrar } from "effect-amy"
import { same, type Same } from "../support/types.ts"

type Failure = PollerError.PollerError

describe("Inotify", () => {
  it("watches one path or several, by their text or their bytes", () => {
    type Paths = string | Uint8Array | ReadonlyArray<string | Uint8Array>
    expectTypeOf(Inotify.watch).toEqualTypeOf<
      (paths: Paths, options?: Inotify.WatchOptions) => Stream.Stream<Inotify.Event, Failure, Registrar.Registrar>
    >()
    expectTypeOf(Inotify.watchScoped).toEqualTypeOf<
      (
        paths: Paths,
        options?: Inotify.WatchOptions
      ) => Effect.Effect<Stream.Stream<Inotify.Event, Failure>, Failure, Registrar.Registrar | Scope.Scope>
    >()
    expect(Object.keys(Inotify).toSorted()).toEqual(["Event", "watch", "watchScoped"])
  })

  it("has options with the names of the manual page", () => {
    same<
      Same<
        Inotify.WatchOptions,
        {
          readonly events?: ReadonlyArray<Inotify.EventName> | undefined
          readonly recursive?: boolean | undefined
        }
      >
    >(true)
    const wrong: Inotify.WatchOptions = {
      // @ts-expect-error there is no such event
      events: ["created"]
    }
    expect(wrong).toBeDefined()
  })

  it("has events that are told apart by their tags", () => {
    expectTypeOf<Inotify.Event["_tag"]>().toEqualTypeOf<
      | "Accessed"
      | "Attributes"
      | "Closed"
      | "Created"
      | "Ignored"
      | "Modified"
      | "Moved"
      | "Opened"
      | "Overflow"
      | "Removed"
      | "Unmounted"
    >()
    const moved: Inotify.Event = Inotify.Event.Moved({ from: "/a", to: "/b", isDirectory: false })
    expect(Inotify.Event.$is("Moved")(moved) ? moved.to : undefined).toBe("/b")
  })
})
