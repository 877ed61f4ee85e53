/**
 * Random operations on a library's socket, against poll(2): no fiber waits for what is ready, and
 * none is resumed for what is not.
 */
import { expect } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { type Event, ForeignFd } from "effect-amy"
import { bindReadinessNow } from "../../src/internal/kernel/pollNow.ts"
import { Interest } from "../../src/internal/kernel/selector.ts"
import { eventOf } from "../../src/internal/foreign/readyFd.ts"
import { libc } from "../../src/internal/libc/koffi.ts"
import * as Kernel from "./kernel.ts"
import { readyNow } from "./layers.ts"
import { numbers } from "./randomSteps.ts"
import { begin } from "./watched.ts"

const interests = { Read: Interest.Read, Write: Interest.Write, Both: Interest.Read | Interest.Write } as const
const events: ReadonlyArray<Event.Event> = ["Read", "Write", "Both"]

/** A library with one socket, which it replaces, under the same number or another. */
const makeLibrary = Effect.acquireRelease(
  Effect.sync(() => {
    let [near, far] = Kernel.socketPair()
    let hasEnded = false
    const replaceBy = (number: number, peer: number) => {
      hasEnded = false
      Kernel.close(far)
      near = number
      far = peer
    }
    return {
      get fd() {
        return near
      },
      receive: () => {
        if (!hasEnded) Kernel.write(far, 3)
      },
      readPart: () => void Kernel.read(near, 2),
      fill: () => void Kernel.fill(near),
      makeRoom: () => Kernel.drain(far),
      endInput: () => {
        hasEnded = true
        Kernel.shutdownWrite(far)
      },
      reopen: () => {
        const [number, peer] = Kernel.socketPair()
        Kernel.dup2(number, near)
        Kernel.close(number)
        replaceBy(near, peer)
      },
      reconnect: () => {
        const former = near
        const [number, peer] = Kernel.socketPair()
        replaceBy(number, peer)
        Kernel.close(former)
      },
      close: () => {
        Kernel.close(near)
        Kernel.close(far)
      }
    }
  }),
  (library) => Effect.sync(library.close)
)

/** What a library does to its socket. */
const onOneSocket = ["receive", "readPart", "fill", "makeRoom", "endInput"] as const
const onSeveral = [...onOneSocket, "reopen", "reconnect"] as const

/** Makes random steps. A library that `replaces` its socket closes it while it is registered. */
export const foreignAgainstPoll = (seed: number, replaces: boolean) =>
  Effect.gen(function* () {
    const before = Kernel.openDescriptors().size
    yield* Effect.scoped(
      Effect.gen(function* () {
        const random = numbers(seed)
        const below = (limit: number) => Math.floor(random() * limit)
        const readiness = bindReadinessNow(libc())
        const library = yield* makeLibrary
        const foreign = yield* ForeignFd.make(() => library.fd)
        const now = (event: Event.Event) => eventOf(interests[event], readiness(library.fd, interests[event]))
        let waiting: Array<{ readonly event: Event.Event; readonly fiber: Fiber.Fiber<Event.Event, unknown> }> = []
        const changes = replaces ? onSeveral : onOneSocket
        const others = ["interrupt", "look", "wait", "wait", "wait"] as const
        for (let step = 0; step < 200; step++) {
          const event = events[below(3)]!
          const did = [...changes, ...others][below(changes.length + others.length)]!
          if (did === "wait") {
            const fiber = yield* begin(foreign.wait(event))
            waiting.push({ event, fiber })
          } else if (did === "look") {
            const found = yield* foreign.wait(event, { timeout: 0 })
            expect(Option.getOrUndefined(found)).toBe(now(event))
          } else if (did === "interrupt") {
            const [gone] = waiting.splice(below(waiting.length), 1)
            if (gone !== undefined) yield* Fiber.interrupt(gone.fiber)
          } else {
            library[did]()
            // The library has closed its socket, and the fibers that wait cannot know.
            if (did === "reopen" || did === "reconnect") yield* foreign.refresh
          }
          yield* readyNow
          const left: typeof waiting = []
          for (const each of waiting) {
            const exit = each.fiber.pollUnsafe()
            const ready = now(each.event)
            if (exit === undefined) {
              expect(ready, `step ${step}, ${did}: waits for ${each.event}`).toBe(undefined)
              left.push(each)
            } else {
              expect(yield* Fiber.join(each.fiber), `step ${step}, ${did}: ${each.event}`).toBe(ready)
            }
          }
          waiting = left
        }
        yield* Fiber.interruptAll(waiting.map(({ fiber }) => fiber))
      })
    )
    expect(Kernel.openDescriptors().size).toBe(before)
  })
