/** Passes on every method of an object, as a program does that destructures it, and calls it. */
import { Cause, Effect, Exit, Fiber, Sink, Stream, type Scope } from "effect"

/**
 * What each method is called with, by its name. A method that has no entry is called with nothing.
 */
export type Arguments = { readonly [method: string]: ReadonlyArray<unknown> | undefined }

/** Members that every object has, and that are not to be passed on. */
const exempt: ReadonlySet<PropertyKey> = new Set(["constructor", "toString", "toJSON"])

/** The names of an object's own properties, and of those that it inherits. */
const namesOf = (object: object): ReadonlyArray<string> => {
  const names = new Set<string>()
  for (let o: object = object; o !== null && o !== Object.prototype; o = Object.getPrototypeOf(o) as object) {
    for (const key of Reflect.ownKeys(o)) if (typeof key === "string" && !exempt.has(key)) names.add(key)
  }
  return [...names]
}

type Member = "function" | "effect" | "stream" | "sink"

const memberOf = (value: unknown): Member | undefined => {
  if (Effect.isEffect(value)) return "effect"
  if (Stream.isStream(value)) return "stream"
  if (Sink.isSink(value)) return "sink"
  return typeof value === "function" ? "function" : undefined
}

/** The names of an object's methods, effects, streams and sinks, inherited ones included. */
export const membersOf = (object: object): ReadonlyArray<string> =>
  namesOf(object).filter((name) => memberOf((object as Record<string, unknown>)[name]) !== undefined)

/** Whatever a member gives, as an effect. */
const run = (value: unknown): Effect.Effect<unknown, unknown, Scope.Scope> => {
  switch (memberOf(value)) {
    case "effect":
      return value as Effect.Effect<unknown, unknown, Scope.Scope>
    case "stream":
      return Stream.runHead(value as Stream.Stream<unknown, unknown>)
    case "sink":
      return Stream.run(Stream.make(Uint8Array.of(1)), value as Sink.Sink<unknown, Uint8Array, unknown, unknown>)
    default:
      return Effect.succeed(value)
  }
}

const turn = Effect.promise(() => new Promise(setImmediate))

/**
 * Takes one member off its object, calls it, and runs what it returns until it has to wait. Returns
 * what it died of, if it did: a typed failure is no concern of this.
 */
export const defectOf = (
  object: object,
  name: string,
  given: ReadonlyArray<unknown> = []
): Effect.Effect<unknown, never, Scope.Scope> =>
  Effect.gen(function* () {
    const member = (object as Record<string, unknown>)[name]
    const called =
      typeof member === "function" && !Effect.isEffect(member)
        ? Effect.suspend(() => run((member as (...given: ReadonlyArray<unknown>) => unknown)(...given)))
        : run(member)
    const fiber = yield* Effect.forkScoped(called, { startImmediately: true })
    for (let i = 0; i < 5 && fiber.pollUnsafe() === undefined; i++) yield* turn
    yield* Fiber.interrupt(fiber)
    const exit = yield* Fiber.await(fiber)
    return Exit.isFailure(exit) ? exit.cause.reasons.find(Cause.isDieReason)?.defect : undefined
  })
