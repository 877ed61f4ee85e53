/** A thread of Windows that is terminated while it is attached leaves nothing open. */
import { expect, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { Poller, Registrar, UserEvent } from "effect-amy"
import { attachmentOf } from "../../src/internal/delivery/registrar.ts"
import { bindAfdCalls } from "../../src/internal/kernel/afdCalls.ts"
import { AfdMemory } from "../../src/internal/kernel/afdMemory.ts"
import { type Libc, libc } from "../../src/internal/libc/koffi.ts"
import type { AfdProfile } from "../../src/internal/libc/profiles/afdProfile.ts"
import * as Kernel from "../support/kernel.ts"
import { outcome } from "../support/opened.ts"
import { type LeavingData, startThread } from "../support/programs.ts"

/** Starts a thread that stays attached, and returns what it posts, and what ends it. */
const attachThread = <Message>(data: LeavingData) =>
  Effect.gen(function* () {
    const thread = yield* startThread<Message>("stayingThread", data)
    return { posted: yield* thread.next, terminate: Effect.promise(() => thread.worker.terminate()) }
  })

const attachOnce = (handle: Poller.PollerHandle) => Effect.provide(Poller.Poller, Poller.layerAttach(handle))

/** Returns a function that tells whether the selector is closed for every thread. */
const closing = (registrar: Registrar.Registrar["Service"]) =>
  Effect.map(attachmentOf(registrar), ({ selector }) => {
    const own = libc() as Libc<AfdProfile>
    const memory = new AfdMemory(own, bindAfdCalls(own), selector.handle.afd!.memory)
    return () => memory.isClosed
  })

it.live("its mailbox is free again, and the poller is closed without it", () =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    // A mailbox for this thread, and one for another.
    const services = yield* Layer.buildWithScope(Poller.layerWorker({ maxThreads: 2 }), scope)
    const { handle } = Context.get(services, Poller.Poller)
    for (let round = 0; round < 2; round++) {
      const { terminate } = yield* attachThread({ handle })
      expect(yield* outcome(attachOnce(handle))).toBe("LimitReached")
      yield* terminate
      expect(yield* outcome(attachOnce(handle))).toBe("success")
    }
    yield* Effect.flatMap(attachThread({ handle }), ({ terminate }) => terminate)
    const isClosed = yield* closing(Context.get(services, Registrar.Registrar))
    expect(isClosed()).toBe(false)
    yield* Scope.close(scope, Exit.void)
    expect(isClosed()).toBe(true)
    expect(yield* outcome(attachOnce(handle))).toBe("Closed")
  }).pipe(Effect.scoped)
)

it.live("the handles that it has opened are closed", () =>
  Effect.gen(function* () {
    const { handle, wait } = yield* Poller.Poller
    const event = yield* UserEvent.make
    const { opened } = yield* attachmentOf(yield* Registrar.Registrar)
    const noted = () => Array.from({ length: 8192 }, (_, number) => number).filter((number) => opened.threadOf(number))
    const before = noted()
    const { posted, terminate } = yield* attachThread<UserEvent.UserEventHandle>({ handle, event: event.handle })
    const remote = yield* UserEvent.fromHandle(posted)
    yield* remote.trigger
    const handles = noted().filter((number) => !before.includes(number))
    // Fifty duplicates of the port, the device of a set, and an event of its own, which this thread
    // has opened, too.
    expect(handles).toHaveLength(53)
    const stillOpen = () => {
      const all = Kernel.openDescriptors()
      return handles.filter((number) => all.has(number)).length
    }
    expect(stillOpen()).toBe(53)
    yield* terminate
    expect(yield* outcome(attachOnce(handle))).toBe("success")
    expect(noted()).toHaveLength(before.length + 1)
    expect(yield* outcome(remote.trigger)).toBe("Closed")
    expect(yield* outcome(UserEvent.fromHandle(posted))).toBe("Closed")
    // Other parts of the process may have reused a few of the numbers.
    expect(stillOpen()).toBeLessThan(20)
    yield* event.trigger
    expect((yield* wait("5 seconds")).map(({ id }) => id)).toEqual([event.id])
  }).pipe(Effect.scoped, Effect.provide(Poller.layerWorker()))
)
