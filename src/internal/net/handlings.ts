/** The fibers that handle the connections of a listener. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

/** How a connection is handled. */
export interface Handler<Connection, E, R, R2> {
  /** Makes the effect that its fiber runs. */
  readonly handle: (connection: Connection, fiber: Fiber.Fiber<unknown, unknown>) => Effect.Effect<unknown, E, R>
  /** Makes the context of its fiber. */
  readonly contextOf: (context: Context.Context<R2>, connection: Connection) => Context.Context<R>
  /** Called at the end of its fiber. Has to close the connection. */
  readonly end: (
    connection: Connection,
    exit: Exit.Exit<unknown, E>,
    fiber: Fiber.Fiber<unknown, unknown>
  ) => Effect.Effect<void> | undefined
}

interface Handles<Connection, E, R> {
  readonly handle: (fiber: Fiber.Fiber<unknown, unknown>, connection: Connection) => Effect.Effect<unknown, E, R>
}

/** Runs the handler of one connection, in a fiber of its own. */
class Handling<Connection, E, R> extends Effectable.Class<unknown, E, R> {
  readonly #handlings: Handles<Connection, E, R>
  readonly #connection: Connection

  constructor(handlings: Handles<Connection, E, R>, connection: Connection) {
    super()
    this.#handlings = handlings
    this.#connection = connection
  }

  asEffect(): Effect.Effect<unknown, E, R> {
    return Effect.withFiber((fiber) => this.#handlings.handle(fiber, this.#connection))
  }
}

/**
 * All handlers of a listener that run.
 *
 * A fiber that waits for its peer may do so for hours, among thousands. So one finalizer serves all
 * of them, and finds by its fiber what it has to end.
 */
export class Handlings<Connection, E, R, R2> {
  readonly #handler: Handler<Connection, E, R, R2>
  readonly #context: Context.Context<R2>
  readonly #running = new Map<Fiber.Fiber<unknown, unknown>, Connection>()

  constructor(handler: Handler<Connection, E, R, R2>, context: Context.Context<R2>) {
    this.#handler = handler
    this.#context = context
  }

  /** Starts the fiber of a connection. */
  start(connection: Connection): void {
    const context = this.#handler.contextOf(this.#context, connection)
    const fiber = Effect.runForkWith(context)(Effect.onExit(new Handling(this, connection), this.#onExit))
    // Its scheduler may have made it yield before it came to the handler.
    if (fiber.pollUnsafe() === undefined && !this.#running.has(fiber)) this.#startLater(fiber, connection)
  }

  /** Keeps a fiber that may be interrupted before it begins, and ends its connection then. */
  #startLater(fiber: Fiber.Fiber<unknown, E>, connection: Connection): void {
    this.#running.set(fiber, connection)
    fiber.addObserver((exit) => {
      this.#running.delete(fiber)
      // In all other cases `#onExit` has run, and this does nothing once more.
      if (Exit.hasInterrupts(exit)) this.#handler.end(connection, exit, fiber)
    })
  }

  handle(fiber: Fiber.Fiber<unknown, unknown>, connection: Connection): Effect.Effect<unknown, E, R> {
    this.#running.set(fiber, connection)
    return this.#handler.handle(connection, fiber)
  }

  readonly #onExit = (exit: Exit.Exit<unknown, E>): Effect.Effect<void> =>
    Effect.withFiber((fiber) => {
      const end = this.#handler.end(this.#running.get(fiber)!, exit, fiber)
      if (end !== undefined)
        return Effect.ensuring(
          end,
          Effect.sync(() => void this.#running.delete(fiber))
        )
      this.#running.delete(fiber)
      return Effect.void
    })

  /** Returns once all of them have ended. */
  get ended(): Effect.Effect<void> {
    return Effect.suspend(() => Effect.asVoid(Fiber.awaitAll(this.#running.keys())))
  }

  /** Interrupts all of them, and returns once they have ended. */
  get interrupted(): Effect.Effect<void> {
    return Effect.suspend(() => Fiber.interruptAll(this.#running.keys()))
  }
}
