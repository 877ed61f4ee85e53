/** Opens pollers that the test itself closes, and describes how their consumers end. */
import { type Cause, Context, Duration, Effect, Exit, Fiber, Layer, Queue, Scope, Stream } from "effect"
import { Poller, PollerError, Registrar } from "effect-amy"
import * as Kernel from "./kernel.ts"
import type { PollerLayer } from "./layers.ts"

export interface Opened {
  readonly poller: Poller.Poller["Service"]
  readonly registrar: Registrar.Registrar["Service"]
  /** Closes the layer's scope. */
  readonly close: Effect.Effect<void>
}

/** Builds a layer in a scope of its own, which is closed at the end of the test at the latest. */
export const open = (layer: PollerLayer): Effect.Effect<Opened, PollerError.PollerError, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const context = yield* Layer.buildWithScope(layer, scope)
    return {
      poller: Context.get(context, Poller.Poller),
      registrar: Context.get(context, Registrar.Registrar),
      close: Scope.close(scope, Exit.void)
    }
  })

/**
 * Returns the outcome of an effect: "success", "Done" for the end of a queue, or the tag of the
 * error's reason.
 */
export const outcome = <A, R>(effect: Effect.Effect<A, PollerError.PollerError | Cause.Done, R>) =>
  Effect.match(effect, {
    onSuccess: () => "success",
    onFailure: (error) => (PollerError.isPollerError(error) ? error.reason._tag : error._tag)
  })

const start = <A>(effect: Effect.Effect<A, PollerError.PollerError | Cause.Done>) =>
  Effect.forkScoped(outcome(effect), { startImmediately: true })

/** Starts one consumer of each kind, and returns when all of them wait. */
export const startConsumers = ({ poller }: Pick<Opened, "poller">) =>
  Effect.gen(function* () {
    const fibers = {
      waitForEver: yield* start(poller.wait(Duration.infinity)),
      waitAnHour: yield* start(poller.wait("1 hour")),
      take: yield* start(Queue.take(poller.queue)),
      stream: yield* start(Stream.runDrain(poller.notifications))
    }
    return Effect.all({
      waitForEver: Fiber.join(fibers.waitForEver),
      waitAnHour: Fiber.join(fibers.waitAnHour),
      take: Fiber.join(fibers.take),
      stream: Fiber.join(fibers.stream)
    })
  })

/**
 * Runs each operation and returns the outcomes. None of them changes anything if the poller is
 * open.
 */
export const operationsNow = ({ poller, registrar }: Pick<Opened, "poller" | "registrar">) =>
  Effect.acquireUseRelease(
    Effect.sync(Kernel.source),
    (fd) =>
      Effect.all({
        poll: outcome(poller.wait(0)),
        wait: outcome(poller.wait(1)),
        waitForEver: outcome(poller.wait(Duration.infinity)),
        take: outcome(Queue.take(poller.queue)),
        stream: outcome(Stream.runDrain(poller.notifications)),
        register: outcome(registrar.register(fd, "Read")),
        registerScoped: outcome(Effect.scoped(registrar.registerScoped(fd, "Read"))),
        reregister: outcome(registrar.reregister(fd, Registrar.RegistrationId(1), "Read")),
        deregister: outcome(registrar.deregister(fd))
      }),
    (fd) => Effect.sync(() => Kernel.close(fd))
  )

/** The result of `operationsNow` on a poller that is closed. */
export const allClosed = {
  poll: "Closed",
  wait: "Closed",
  waitForEver: "Closed",
  take: "Done",
  stream: "success",
  register: "Closed",
  registerScoped: "Closed",
  reregister: "Closed",
  deregister: "Closed"
}

/** The result of `operationsNow` on a poller whose polling thread has died. */
export const allFailed = {
  poll: "WorkerFailed",
  wait: "WorkerFailed",
  waitForEver: "WorkerFailed",
  take: "WorkerFailed",
  stream: "WorkerFailed",
  register: "WorkerFailed",
  registerScoped: "WorkerFailed",
  reregister: "WorkerFailed",
  deregister: "WorkerFailed"
}
