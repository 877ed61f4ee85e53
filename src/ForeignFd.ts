/**
 * Waits for a descriptor that the program does not read itself. A C library reads it, called through
 * koffi: libpq, ZeroMQ, c-ares, libcurl, sd-bus.
 *
 * Such a library was written for select(2) and poll(2). It reads as much as it likes, and does not
 * say whether anything is left. It may close its socket, and open another under the same number. So
 * a wait of this module is level-triggered: it returns what is ready now, or what becomes ready
 * first. It asks for the number of the descriptor each time. Nothing here reads the descriptor,
 * closes it, or changes its mode.
 *
 * There are three forms, for three kinds of library:
 *
 * - {@link make} waits for one descriptor at a time.
 * - {@link drive} runs the loop for a library that does a step, and then says what it waits for.
 *   {@link makeDriver} does so for a library that other fibers call as well: they wake it.
 * - {@link makeSet} is for a library that names its descriptors in a callback as it goes, and
 *   {@link makeKeyedSet} for one that has several watches for a descriptor.
 *
 * For a descriptor that the program reads itself, use `AsyncFd`.
 *
 * @since 0.2.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { Inspectable } from "effect/Inspectable"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Event } from "./Event.ts"
import * as internalDrive from "./internal/foreign/drive.ts"
import * as internal from "./internal/foreign/foreignFd.ts"
import * as internalSet from "./internal/foreign/foreignFdSet.ts"
import * as internalTime from "./internal/foreign/timeUntil.ts"
import type { PollerError } from "./PollerError.ts"
import type { FdLike, Registrar } from "./Registrar.ts"

declare const TypeId: "~effect-amy/ForeignFd"
declare const SetTypeId: "~effect-amy/ForeignFdSet"
declare const DriverTypeId: "~effect-amy/ForeignFdDriver"

/**
 * Options of a wait.
 *
 * @category options
 * @since 0.2.0
 */
export interface WaitOptions {
  /**
   * The longest time to wait. Zero only looks. By default a wait has no limit. The time is the
   * poller's, as that of `Registrar.timeout`, and never too short.
   */
  readonly timeout?: Duration.Input | undefined
}

/**
 * A descriptor, and what it is ready for or waited for.
 *
 * @category models
 * @since 0.2.0
 */
export interface ReadyFd {
  readonly fd: number
  readonly event: Event
}

/**
 * A descriptor that a C library reads.
 *
 * **Details**
 *
 * Its methods can be passed on: `const { wait } = foreign`. It prints as `ForeignFd(7)`.
 *
 * @category models
 * @since 0.2.0
 */
export interface ForeignFd extends Inspectable {
  readonly [TypeId]: typeof TypeId

  /** The number that the descriptor has now. -1 if there is none, or once the scope is closed. */
  readonly fd: number

  /**
   * Returns what is ready now, or what becomes ready first. After an error or a hang-up, everything
   * that is waited for counts as ready: the library's next call finds out. With a timeout, returns
   * an `Option`, which is none once the time is over.
   *
   * Any number of fibers may wait. If one of them takes what was ready, the others go on waiting. A
   * descriptor that cannot be watched, such as a file, is always ready.
   *
   * - Fails with `BadDescriptor` if the number is not that of an open descriptor.
   * - Fails with `InvalidArgument` if the number is not an integer or belongs to the poller itself,
   *   if the function that returns it throws, or if the event or the timeout is invalid.
   * - Fails with `AlreadyRegistered` if the descriptor is registered in another way: with
   *   `Registrar`, with `AsyncFd`, or by another thread.
   * - Fails with `NotRegistered` if the descriptor was closed during the wait, and this thread has
   *   registered its number in another way, or if its number was deregistered.
   * - Fails with `LimitReached` if the kernel can watch no more.
   * - Fails with `Closed` once the scope or the poller is closed.
   * - Fails with `WorkerFailed` once the polling thread has died.
   */
  readonly wait: {
    (
      event: Event,
      options: WaitOptions & { readonly timeout: Duration.Input }
    ): Effect.Effect<Option.Option<Event>, PollerError>
    (event: Event, options?: { readonly timeout?: undefined }): Effect.Effect<Event, PollerError>
    (event: Event, options?: WaitOptions): Effect.Effect<Event | Option.Option<Event>, PollerError>
  }

  /**
   * Asks for the descriptor again, on behalf of the fibers that wait. Call it after a library may
   * have closed or replaced its descriptor during their wait, which no system reports. They go on
   * waiting for the one that the function returns, or fail with the reason if there is none.
   */
  readonly refresh: Effect.Effect<void>
}

/**
 * What a step of {@link drive} returns: a result, or what to wait for before the next step. Made by
 * {@link done}, {@link waitFor} and {@link waitForAny}.
 *
 * @category models
 * @since 0.2.0
 */
export type Step<A> =
  | { readonly _tag: "Done"; readonly value: A }
  | {
      readonly _tag: "Wait"
      readonly fds: ReadonlyArray<ReadyFd>
      readonly timeout: Duration.Input | undefined
    }

/**
 * A descriptor that is ready, with the key that it is waited for under. See {@link makeKeyedSet}.
 *
 * @category models
 * @since 0.2.0
 */
export interface KeyedReadyFd<out Key> extends ReadyFd {
  readonly key: Key
}

/**
 * A library in steps, which other fibers can wake. Made by {@link makeDriver}.
 *
 * **Details**
 *
 * Its methods can be passed on: `const { wake } = driver`.
 *
 * @category models
 * @since 0.2.0
 */
export interface ForeignFdDriver<out A, out E = never, out R = never> extends Inspectable {
  readonly [DriverTypeId]: typeof DriverTypeId

  /**
   * Runs the steps until one returns a result, as {@link drive} does.
   *
   * - Fails as the step does.
   * - Fails with `BadDescriptor` if a step names a number that is not open.
   * - Fails with `InvalidArgument` if a step names an invalid descriptor, event or timeout, or returns
   *   nothing.
   * - Fails with `AlreadyRegistered` if a descriptor is registered in another way.
   * - Fails with `LimitReached` if the kernel can watch no more.
   * - Fails with `Closed` or `WorkerFailed` if the poller has ended.
   */
  readonly run: Effect.Effect<A, E | PollerError, R | Registrar>

  /**
   * Makes the next step run now, with nothing as what is ready: the driver no longer waits for what
   * the last step has named. During a step, another follows it. Does nothing while no fiber is in
   * `run`.
   *
   * It is a plain function that neither waits nor throws, to be called on the driver's thread, also
   * in a callback of the library's. No fiber runs inside of it.
   */
  readonly wake: () => void
}

/**
 * The descriptors that a library has named, and one time limit. A set with keys is made by
 * {@link makeKeyedSet}.
 *
 * **Details**
 *
 * `update` and `updateTimeout` are plain functions that neither wait nor throw, to be called in the
 * library's callbacks. No fiber runs inside of them.
 *
 * @category models
 * @since 0.2.0
 */
export interface ForeignFdSet<in out Key = void> extends Inspectable {
  readonly [SetTypeId]: typeof SetTypeId

  /** How many descriptors there are. */
  readonly size: number

  /**
   * Sets what a descriptor is waited for, from now on, also for a fiber that is in `wait`. `"None"`
   * removes it. Does nothing once the scope has closed.
   *
   * In a set with keys, this is what the descriptor is waited for under one key. Under another key,
   * the same descriptor may be waited for, too.
   *
   * If it cannot be done, the next `wait` fails with the reason.
   */
  readonly update: (fd: number, event: Event | "None", key: Key) => void

  /**
   * Sets the time after which `wait` returns an empty array, once. It counts from this call, replaces
   * the one before, and `undefined` removes it.
   */
  readonly updateTimeout: (timeout: Duration.Input | undefined) => void

  /**
   * Returns the descriptors that are ready now, or those that become ready first. If there are many,
   * the next wait returns others. Returns an empty array once the time of `updateTimeout`, or that
   * of this call, is over.
   *
   * - Fails with `BadDescriptor` if `update` was given a number that is not open.
   * - Fails with `NotPollable` if `update` was given a regular file or a directory.
   * - Fails with `InvalidArgument` if an argument of `update`, `updateTimeout` or this call is
   *   invalid.
   * - Fails with `LimitReached` if the kernel can watch no more.
   * - Fails with `Closed` once the scope or the poller is closed.
   * - Fails with `WorkerFailed` once the polling thread has died.
   */
  readonly wait: (options?: WaitOptions) => Effect.Effect<ReadonlyArray<KeyedReadyFd<Key>>, PollerError>
}

/**
 * Returns whether a value is a {@link ForeignFd}.
 *
 * @category guards
 * @since 0.2.0
 */
export const isForeignFd: (u: unknown) => u is ForeignFd = internal.isForeignFd

/**
 * Returns whether a value is a {@link ForeignFdSet}.
 *
 * @category guards
 * @since 0.2.0
 */
export const isForeignFdSet: (u: unknown) => u is ForeignFdSet = internalSet.isForeignFdSet

/**
 * Returns whether a value is a {@link ForeignFdDriver}.
 *
 * @category guards
 * @since 0.2.0
 */
export const isForeignFdDriver: (u: unknown) => u is ForeignFdDriver<unknown, unknown, unknown> =
  internalDrive.isForeignFdDriver

/**
 * Makes an object that waits for a descriptor. With a function, it waits for the descriptor whose
 * number the function returns, and calls the function before each wait.
 *
 * **Details**
 *
 * A descriptor is registered when a fiber has to wait for it. It stays registered, and silent, until
 * another number is waited for or the scope closes. Until then it cannot be registered in another
 * way. Its owner may close it at any time.
 *
 * - Fails with `InvalidArgument` if the `Registrar` was not made by this library.
 *
 * **Example** (A library's socket)
 *
 * ```ts
 * import { Effect, Fiber } from "effect"
 * import { Fd, ForeignFd, Poller } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   // In place of a library: a pipe, of which each "call" reads a part.
 *   const { reader, writer } = yield* Fd.pipe
 *   const foreign = yield* ForeignFd.make(() => reader.fd)
 *   const waiting = yield* Effect.forkChild(foreign.wait("Read"))
 *   yield* writer.tryWrite(new TextEncoder().encode("hello"))
 *   console.log(yield* Fiber.join(waiting))
 *
 *   // A part is left, so the descriptor is still ready.
 *   yield* reader.tryRead(new Uint8Array(3))
 *   console.log(yield* foreign.wait("Read"))
 *   yield* reader.tryRead(new Uint8Array(3))
 *   console.log((yield* foreign.wait("Read", { timeout: "1 millis" }))._tag)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop())))
 * // => Read
 * // => Read
 * // => None
 * ```
 *
 * @category constructors
 * @since 0.2.0
 */
export const make: (fd: FdLike | (() => number)) => Effect.Effect<ForeignFd, PollerError, Registrar | Scope.Scope> =
  internal.make

/**
 * Runs a library that does a step, and then says what it waits for and how long. `step` is called
 * at once, and again whenever something that it waits for is ready or the time is over. Its argument
 * is what became ready: nothing at the first call, and nothing once the time is over.
 *
 * **Details**
 *
 * No other fiber can wake it: {@link makeDriver} is for a library that several fibers call.
 *
 * - Fails as the step does.
 * - Fails with `BadDescriptor` if a step names a number that is not open.
 * - Fails with `InvalidArgument` if a step names neither a descriptor nor a timeout, names an invalid
 *   one, or returns nothing.
 * - Fails with `AlreadyRegistered` if a descriptor is registered in another way.
 * - Fails with `LimitReached` if the kernel can watch no more.
 * - Fails with `Closed` or `WorkerFailed` if the poller has ended.
 *
 * **Example** (A step reads some bytes, until the end)
 *
 * ```ts
 * import { Effect, Option } from "effect"
 * import { Fd, ForeignFd, Poller } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const { reader, writer } = yield* Fd.pipe
 *   yield* writer.tryWrite(new TextEncoder().encode("some bytes"))
 *   yield* writer.close
 *   let total = 0
 *   const sum = yield* ForeignFd.drive(() =>
 *     Effect.map(
 *       reader.tryRead(new Uint8Array(4)),
 *       Option.match({
 *         onNone: () => ForeignFd.waitFor(reader.fd, "Read"),
 *         onSome: (count) => {
 *           total += count
 *           return count === 0 ? ForeignFd.done(total) : ForeignFd.waitFor(reader.fd, "Read")
 *         }
 *       })
 *     )
 *   )
 *   console.log(sum)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => 10
 * ```
 *
 * @category running
 * @since 0.2.0
 */
export const drive: <A, E, R>(
  step: (ready: ReadonlyArray<ReadyFd>) => Effect.Effect<Step<A>, E, R>
) => Effect.Effect<A, E | PollerError, R | Registrar> = internalDrive.drive

/**
 * Makes a driver, for a library in steps that other fibers call as well. One fiber runs it, and the
 * others wake it once they have given the library something to do.
 *
 * **Details**
 *
 * The step is called as by {@link drive}, and also after a wake, with nothing as what is ready. It
 * may wait for a wake alone: `ForeignFd.waitForAny([])`.
 *
 * **Example** (A queue of queries)
 *
 * ```ts
 * import { Effect, Fiber } from "effect"
 * import { ForeignFd, Poller } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const queries: Array<string> = []
 *   const driver = yield* ForeignFd.makeDriver(() =>
 *     Effect.sync(() => {
 *       const query = queries.shift()
 *       return query === undefined ? ForeignFd.waitForAny([]) : ForeignFd.done(`${query}: 1 row`)
 *     })
 *   )
 *   const running = yield* Effect.forkChild(driver.run, { startImmediately: true })
 *   queries.push("select 1")
 *   driver.wake()
 *   console.log(yield* Fiber.join(running))
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(Poller.layerEventLoop()))) // => select 1: 1 row
 * ```
 *
 * @category constructors
 * @since 0.2.0
 */
export const makeDriver: <A, E, R>(
  step: (ready: ReadonlyArray<ReadyFd>) => Effect.Effect<Step<A>, E, R>
) => Effect.Effect<ForeignFdDriver<A, E, R>> = internalDrive.makeDriver

/**
 * Returns the milliseconds that are left until a point in time of CLOCK_MONOTONIC, in microseconds,
 * as sd-bus and sd-event name it. Returns 0 if it is over, and `undefined`, which is no limit, for
 * the largest number, which stands for never.
 *
 * **Example** (A deadline of a library's)
 *
 * ```ts
 * import { ForeignFd } from "effect-amy"
 *
 * const micros = process.hrtime.bigint() / 1000n
 * console.log(ForeignFd.timeUntil(micros + 60_000_000n)! > 50_000)
 * console.log(ForeignFd.timeUntil(micros - 1n), ForeignFd.timeUntil(2n ** 64n - 1n))
 * // => true
 * // => 0 undefined
 * ```
 *
 * @category time
 * @since 0.2.0
 */
export const timeUntil: (micros: number | bigint) => number | undefined = internalTime.timeUntil

/**
 * Ends {@link drive} with a result.
 *
 * @category steps
 * @since 0.2.0
 */
export const done: <A>(value: A) => Step<A> = internalDrive.done

/**
 * Makes {@link drive} wait for one descriptor before the next step.
 *
 * @category steps
 * @since 0.2.0
 */
export const waitFor: (fd: number, event: Event, options?: WaitOptions) => Step<never> = internalDrive.waitFor

/**
 * Makes {@link drive} wait for the first of several descriptors, or for a time alone.
 *
 * @category steps
 * @since 0.2.0
 */
export const waitForAny: (fds: ReadonlyArray<ReadyFd>, options?: WaitOptions) => Step<never> = internalDrive.waitForAny

/**
 * Makes an empty set, for a library that names its descriptors in a callback.
 *
 * **Details**
 *
 * The set has a descriptor of its own, which its scope closes.
 *
 * - Fails with `LimitReached` if the process has too many descriptors open.
 * - Fails with `InvalidArgument` if the `Registrar` was not made by this library.
 *
 * **Example** (Two descriptors and a time)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Fd, ForeignFd, Poller } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const { reader, writer } = yield* Fd.pipe
 *   const set = yield* ForeignFd.makeSet
 *   set.update(reader.fd, "Read")
 *   set.updateTimeout("1 millis")
 *   console.log(yield* set.wait())
 *
 *   set.update(writer.fd, "Write")
 *   console.log((yield* set.wait()).map(({ event }) => event))
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop())))
 * // => []
 * // => [ 'Write' ]
 * ```
 *
 * @category constructors
 * @since 0.2.0
 */
export const makeSet: Effect.Effect<ForeignFdSet, PollerError, Registrar | Scope.Scope> = internalSet.makeSet

/**
 * Makes an empty set for a library that has several watches for one descriptor, as libdbus has. A
 * key, such as the pointer to a watch, tells them apart, and `wait` returns it.
 *
 * **Details**
 *
 * A descriptor is waited for what all its keys want together. What became ready is returned once for
 * each key that it concerns. Keys are compared as those of a `Map`.
 *
 * The set has a descriptor of its own, which its scope closes.
 *
 * - Fails with `LimitReached` if the process has too many descriptors open.
 * - Fails with `InvalidArgument` if the `Registrar` was not made by this library.
 *
 * **Example** (Two watches for one descriptor)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Fd, ForeignFd, Poller } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const { writer } = yield* Fd.pipe
 *   const set = yield* ForeignFd.makeKeyedSet<string>()
 *   set.update(writer.fd, "Read", "the reading watch")
 *   set.update(writer.fd, "Write", "the writing watch")
 *   console.log((yield* set.wait()).map(({ event, key }) => [event, key]))
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop())))
 * // => [ [ 'Write', 'the writing watch' ] ]
 * ```
 *
 * @category constructors
 * @since 0.2.0
 */
export const makeKeyedSet: <Key>() => Effect.Effect<ForeignFdSet<Key>, PollerError, Registrar | Scope.Scope> =
  internalSet.makeKeyedSet
