/**
 * Connects to the first address of a host that accepts: "happy eyeballs", RFC 8305. An address that
 * swallows what is sent to it costs a quarter of a second, and not the minutes that the system would
 * wait.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as NetAddress from "effect/net/NetAddress"
import * as Scope from "effect/Scope"
import { isPollerError, type PollerError } from "../../PollerError.ts"

/** Milliseconds until the next attempt begins beside those under way. */
export const attemptDelay = 250

/** Returns the addresses with the two families in turn. The first one stays the first. */
export const interleave = (
  addresses: NonEmptyReadonlyArray<NetAddress.InetAddress>
): NonEmptyReadonlyArray<NetAddress.InetAddress> => {
  const [first, ...rest] = addresses
  const family = NetAddress.familyOf(first)
  const others = rest.filter((address) => NetAddress.familyOf(address) !== family)
  const same = rest.filter((address) => NetAddress.familyOf(address) === family)
  const order: [NetAddress.InetAddress, ...Array<NetAddress.InetAddress>] = [first]
  for (let i = 0; i < Math.max(others.length, same.length); i++) {
    order.push(...others.slice(i, i + 1), ...same.slice(i, i + 1))
  }
  return order
}

/**
 * Connects to one of the addresses. The next attempt begins when one has failed, or after
 * `attemptDelay`; earlier attempts go on. The first connection wins, and the scope closes it. All
 * other attempts are closed at once, also on an interruption.
 *
 * `failed` collects the errors as they come. If every attempt fails, so does this: with all errors in
 * the order of the attempts.
 */
export const connectToAny = <A, R>(
  addresses: NonEmptyReadonlyArray<NetAddress.InetAddress>,
  connect: (address: NetAddress.InetAddress) => Effect.Effect<A, PollerError, R>,
  failed: Array<PollerError>
): Effect.Effect<A, PollerError | AggregateError, R | Scope.Scope> =>
  addresses.length === 1
    ? connect(addresses[0])
    : Effect.flatMap(Effect.scope, (scope) => new Race(scope, interleave(addresses), connect, failed).run)

/** The outcome of one address. */
interface Attempt<A> {
  /** Closes the attempt: its fiber, and the connection that it has made. */
  readonly scope: Scope.Closeable
  connection?: A
}

class Race<A, R> {
  readonly #scope: Scope.Scope
  readonly #addresses: NonEmptyReadonlyArray<NetAddress.InetAddress>
  readonly #connect: (address: NetAddress.InetAddress) => Effect.Effect<A, PollerError, R>
  readonly #failed: Array<PollerError>
  readonly #attempts: Array<Attempt<A>> = []
  /** By the place of the address. */
  readonly #errors: Array<PollerError> = []
  readonly #won = Deferred.makeUnsafe<Required<Attempt<A>>, PollerError | AggregateError>()
  /** Open once an attempt has failed since the last one began. */
  readonly #hasFailed = Latch.makeUnsafe(false)

  constructor(
    scope: Scope.Scope,
    addresses: NonEmptyReadonlyArray<NetAddress.InetAddress>,
    connect: (address: NetAddress.InetAddress) => Effect.Effect<A, PollerError, R>,
    failed: Array<PollerError>
  ) {
    this.#scope = scope
    this.#addresses = addresses
    this.#connect = connect
    this.#failed = failed
  }

  get run(): Effect.Effect<A, PollerError | AggregateError, R> {
    return Effect.uninterruptibleMask((restore) =>
      restore(Effect.raceFirst(Deferred.await(this.#won), this.#startAll)).pipe(
        Effect.onExit((exit) => this.#close(Exit.isSuccess(exit) ? exit.value : undefined)),
        Effect.map(({ connection }) => connection)
      )
    )
  }

  get #startAll(): Effect.Effect<never, never, R> {
    return Effect.gen({ self: this }, function* () {
      for (const [place, address] of this.#addresses.entries()) {
        this.#hasFailed.closeUnsafe()
        yield* Effect.uninterruptible(this.#start(address, place))
        yield* Effect.raceFirst(this.#hasFailed.await, Effect.sleep(attemptDelay))
      }
      return yield* Effect.never
    })
  }

  #start(address: NetAddress.InetAddress, place: number): Effect.Effect<unknown, never, R> {
    return Effect.suspend(() => {
      const scope = Scope.forkUnsafe(this.#scope)
      const attempt: Attempt<A> = { scope }
      this.#attempts.push(attempt)
      return Scope.provide(this.#connect(address), scope).pipe(
        Effect.exit,
        Effect.map((exit) => this.#end(attempt, place, exit)),
        // In its own scope, which also interrupts it.
        Effect.forkIn(scope, { startImmediately: true })
      )
    })
  }

  #end(attempt: Attempt<A>, place: number, exit: Exit.Exit<A, PollerError>): void {
    if (Exit.isSuccess(exit)) {
      Deferred.doneUnsafe(this.#won, Exit.succeed({ scope: attempt.scope, connection: exit.value }))
      return
    }
    const error = Cause.squash(exit.cause)
    if (!isPollerError(error)) {
      Deferred.doneUnsafe(this.#won, exit as Exit.Exit<never, PollerError>)
      return
    }
    this.#failed.push(error)
    this.#errors[place] = error
    if (this.#failed.length < this.#addresses.length) this.#hasFailed.openUnsafe()
    else Deferred.doneUnsafe(this.#won, Exit.fail(this.#failure))
  }

  /** An error that is not about an address, such as a wrong option, is the same for each of them. */
  get #failure(): PollerError | AggregateError {
    const [first] = this.#errors
    const texts = this.#errors.map(
      (error, place) => `${NetAddress.formatInet(this.#addresses[place]!)}: ${error.message}`
    )
    return this.#errors.some(isAboutAddress)
      ? new AggregateError(this.#errors, `none of the addresses could be connected to (${texts.join("; ")})`)
      : first!
  }

  #close(winner: Attempt<A> | undefined): Effect.Effect<void> {
    const losers = this.#attempts.filter(({ scope }) => scope !== winner?.scope)
    return Effect.forEach(losers, ({ scope }) => Scope.close(scope, Exit.void), { discard: true })
  }
}

const isAboutAddress = ({ reason }: PollerError): boolean => "address" in reason && reason.address !== undefined
