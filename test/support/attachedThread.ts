/**
 * A thread that attaches to a poller by its handle, and runs commands that it receives as messages.
 * `startThread` of `threads.ts` starts it, and offers the commands as effects.
 */
import { Cause, Effect, Exit, Latch, Queue } from "effect"
import type { Event, Notification, PollerError } from "effect-amy"
import { Poller, Registrar } from "effect-amy"
import { parentPort, workerData } from "node:worker_threads"
import * as Kernel from "./kernel.ts"

/** A notification as plain data. An instance of a class cannot be posted to another thread. */
export type PlainNotification = Pick<
  Notification.Notification,
  "id" | "event" | "readClosed" | "writeClosed" | "error" | "priority"
>

export const plain = (notification: Notification.Notification): PlainNotification => ({
  id: notification.id,
  event: notification.event,
  readClosed: notification.readClosed,
  writeClosed: notification.writeClosed,
  error: notification.error,
  priority: notification.priority
})

const poller = Effect.service(Poller.Poller)

/** Takes notifications until each of the ids was among them. Returns all that it took. */
const collect = Effect.fnUntraced(function* (ids: ReadonlyArray<number>) {
  const { queue } = yield* poller
  const missing = new Set(ids)
  const taken: Array<PlainNotification> = []
  while (missing.size > 0) {
    const notification = plain(yield* Queue.take(queue))
    missing.delete(notification.id)
    taken.push(notification)
  }
  return taken
})

export const commands = {
  register: (fd: number, event: Event.Event, options?: Registrar.RegisterOptions) =>
    Registrar.register(fd, event, options),
  registerAll: (fds: ReadonlyArray<number>, event: Event.Event) =>
    Effect.forEach(fds, (fd) => Registrar.register(fd, event)),
  reregister: (id: number, fd: number, event: Event.Event, options?: Registrar.RegisterOptions) =>
    Registrar.reregister(fd, Registrar.RegistrationId(id), event, options),
  deregister: (fd: number) => Registrar.deregister(fd),

  /** Runs `Poller.wait`, with the timeout in milliseconds. */
  wait: (timeout: number) =>
    Effect.map(
      Effect.flatMap(poller, ({ wait }) => wait(timeout)),
      (all) => all.map(plain)
    ),
  collect,
  /** Runs `collect`, and then opens the gate. */
  collectAndOpen: (ids: ReadonlyArray<number>, gate: SharedArrayBuffer) =>
    Effect.tap(collect(ids), () => Effect.sync(() => openGate(gate))),

  /**
   * Registers and deregisters each descriptor in each round, and registers all at the end. Returns
   * all ids in order.
   */
  churn: Effect.fnUntraced(function* (fds: ReadonlyArray<number>, rounds: number) {
    const ids: Array<number> = []
    for (let round = 0; round < rounds; round++) {
      for (const fd of fds) {
        ids.push(yield* Registrar.register(fd, "Read"))
        yield* Registrar.deregister(fd)
      }
    }
    for (const fd of fds) ids.push(yield* Registrar.register(fd, "Read"))
    return ids
  }),

  /** Adds one to each eventfd in each round. */
  signal: (fds: ReadonlyArray<number>, rounds = 1) =>
    Effect.sync(() => {
      for (let round = 0; round < rounds; round++) for (const fd of fds) Kernel.signal(fd)
    }),

  /** Blocks the thread, and with it its event loop. */
  block: (millis: number) =>
    Effect.sync(() => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, millis)),
  /** Blocks the thread until the gate opens. Returns whether that happened within a minute. */
  blockUntilOpen: (gate: SharedArrayBuffer) => Effect.sync(() => blockUntilOpen(gate)),

  stats: () => Effect.flatMap(poller, ({ stats }) => stats)
} satisfies {
  readonly [name: string]: (
    ...args: ReadonlyArray<never>
  ) => Effect.Effect<unknown, PollerError.PollerError | Cause.Done, Poller.Poller | Registrar.Registrar>
}

export type Commands = typeof commands

/**
 * Opens a gate. Its buffer has two words: whether a thread is blocked at it, and whether it is
 * open.
 */
export const openGate = (gate: SharedArrayBuffer): void => {
  const words = new Int32Array(gate)
  Atomics.store(words, 1, 1)
  Atomics.notify(words, 1)
}

export const blockUntilOpen = (gate: SharedArrayBuffer): boolean => {
  const words = new Int32Array(gate)
  Atomics.store(words, 0, 1)
  Atomics.notify(words, 0)
  return Atomics.wait(words, 1, 0, 60_000) !== "timed-out"
}

export interface AttachedThreadData {
  readonly handle: Poller.PollerHandle
}

/**
 * A message to the thread: a command with a number that its reply repeats, or the request to end.
 */
export type Message =
  { readonly call: number; readonly name: keyof Commands; readonly args: ReadonlyArray<never> } | "close"

/** A message of the thread: `"ready"` once it is attached, and the outcome of each command. */
export type Answer =
  | "ready"
  | { readonly call: number; readonly value: unknown }
  | { readonly call: number; readonly failure: string; readonly message: string }

const serve = (port: NonNullable<typeof parentPort>) =>
  Effect.gen(function* () {
    const run = Effect.runForkWith(yield* Effect.context<Poller.Poller | Registrar.Registrar>())
    const closing = Latch.makeUnsafe()
    const answer = (message: Answer) => port.postMessage(message)
    port.on("message", (message: Message) => {
      if (message === "close") {
        closing.openUnsafe()
        return
      }
      const { args, call, name } = message
      const command: Effect.Effect<unknown, PollerError.PollerError | Cause.Done, Poller.Poller | Registrar.Registrar> =
        commands[name](...(args as [never, never, never, never]))
      run(command).addObserver((exit) => {
        if (Exit.isSuccess(exit)) return answer({ call, value: exit.value })
        const error = Cause.squash(exit.cause)
        const tagged = error as { readonly _tag?: string; readonly reason?: { readonly _tag: string } }
        answer({ call, failure: tagged.reason?._tag ?? tagged._tag ?? "Defect", message: String(error) })
      })
    })
    answer("ready")
    yield* closing.await
  })

// The tests import this file for its types and commands, which starts no thread.
if (parentPort !== null && (workerData as Partial<AttachedThreadData> | null)?.handle !== undefined) {
  const port = parentPort
  const { handle } = workerData as AttachedThreadData
  await Effect.runPromise(Effect.provide(serve(port), Poller.layerAttach(handle)))
  port.close()
}
