/**
 * The assumptions of src/internal/objects/suspension.ts about Effect's fibers, and what takes their
 * place where fibers work otherwise.
 */
import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber } from "effect"
import {
  type AnyFiber,
  CallbackFiber,
  FiberEffect,
  resumeSuspended,
  suspend,
  type Suspendable,
  suspendableOf
} from "../../src/internal/objects/suspension.ts"

/** Suspends its fiber, each time that it is run. */
class Wait extends FiberEffect<string, string> {
  readonly suspendable: (fiber: AnyFiber) => Suspendable
  readonly log: Array<string> = []
  waiting: Suspendable | undefined

  constructor(suspendable: (fiber: AnyFiber) => Suspendable) {
    super()
    this.suspendable = suspendable
  }

  run(fiber: AnyFiber): Effect.Effect<string, string> {
    this.waiting = this.suspendable(fiber)
    return suspend(this.waiting, () => this.log.push("resumed"))
  }
}

it("Effect's fibers can be suspended without a callback", () => {
  const fiber = Effect.runFork(Effect.never)
  expect(
    suspendableOf(fiber),
    "Effect's fibers have changed: look at src/internal/objects/suspension.ts, the only file that relies on them"
  ).toBe(fiber)
  fiber.interruptUnsafe()
})

describe.each([
  { of: "Effect's own fibers", suspendable: suspendableOf },
  { of: "callbacks", suspendable: () => new CallbackFiber() }
])("a fiber that is suspended by means of $of", ({ suspendable }) => {
  it("goes on with the effect that it is resumed with, at once, and only then", () => {
    const wait = new Wait(suspendable)
    const fiber = Effect.runFork(Effect.flatMap(wait, (a) => Effect.map(wait, (b) => a + b)))
    expect([fiber.pollUnsafe(), wait.log]).toEqual([undefined, []])
    resumeSuspended(wait.waiting!, Effect.succeed("a"))
    expect([fiber.pollUnsafe(), wait.log]).toEqual([undefined, ["resumed"]])
    resumeSuspended(wait.waiting!, Effect.succeed("b"))
    expect([fiber.pollUnsafe(), wait.log]).toEqual([Exit.succeed("ab"), ["resumed", "resumed"]])
  })

  it("fails with the failure that it is resumed with", () => {
    const wait = new Wait(suspendable)
    const fiber = Effect.runFork(Effect.flip(wait))
    resumeSuspended(wait.waiting!, Effect.fail("refused"))
    expect(fiber.pollUnsafe()).toEqual(Exit.succeed("refused"))
  })

  it.effect("says at once that it was interrupted, and is not resumed any more", () =>
    Effect.gen(function* () {
      const wait = new Wait(suspendable)
      const fiber = Effect.runFork(wait)
      fiber.interruptUnsafe()
      expect(wait.log).toEqual(["resumed"])
      resumeSuspended(wait.waiting!, Effect.succeed("late"))
      const exit = yield* Fiber.await(fiber)
      expect(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)).toBe(true)
    })
  )

  it.effect("says so if it was interrupted before it waited", () =>
    Effect.gen(function* () {
      const wait = new Wait(suspendable)
      const itself = Effect.withFiber((fiber) => Effect.sync(() => fiber.interruptUnsafe()))
      const fiber = Effect.runFork(
        Effect.andThen(
          Effect.uninterruptible(itself),
          Effect.onExit(wait, () => Effect.void)
        )
      )
      const exit = yield* Fiber.await(fiber)
      expect(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)).toBe(true)
      expect(wait.waiting === undefined || wait.log.length === 1).toBe(true)
    })
  )

  it("stops no other fiber by an observer that throws", () => {
    const thrown: Array<unknown> = []
    const listeners = process.listeners("uncaughtException")
    process.removeAllListeners("uncaughtException")
    process.on("uncaughtException", (error) => thrown.push(error))
    return new Promise<void>((resolve) => {
      const wait = new Wait(suspendable)
      Effect.runFork(wait).addObserver(() => {
        throw new Error("an observer")
      })
      resumeSuspended(wait.waiting!, Effect.succeed("a"))
      setImmediate(() => setImmediate(resolve))
    }).then(() => {
      process.removeAllListeners("uncaughtException")
      for (const listener of listeners) process.on("uncaughtException", listener)
      expect(thrown).toEqual([new Error("an observer")])
    })
  })
})

it("a fiber that is resumed before it waits goes on when it comes to wait", () => {
  const fiber = new CallbackFiber()
  const waiting = suspend(fiber, () => {})
  resumeSuspended(fiber, Effect.succeed("early"))
  expect(Effect.runSync(waiting)).toBe("early")
})
