/**
 * The entry of a thread that joins a poller by its handle and does what it is told by message. Start it with
 * `startThread` of `threads.ts`, which answers to the names of these commands.
 */
import { Cause, Effect, Exit, Latch, Queue } from "effect"
import type { Event, Notification, PollerError } from "effect-amy"
import { Poller, Registrar } from "effect-amy"
import { parentPort, workerData } from "node:worker_threads"
import * as Kernel from "./kernel.ts"

/** A notification as plain data, for an instance of a class does not cross threads. */
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

/** Takes one notification after the other until each of these ids was among them; answers all that were taken. */
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

  /** `Poller.wait`, in milliseconds; 0 polls. */
  wait: (timeout: number) =>
    Effect.map(
      Effect.flatMap(poller, ({ wait }) => wait(timeout)),
      (all) => all.map(plain)
    ),
  collect,
  /** `collect`, and then opens the gate. */
  collectAndOpen: (ids: ReadonlyArray<number>, gate: SharedArrayBuffer) =>
    Effect.tap(collect(ids), () => Effect.sync(() => openGate(gate))),

  /** Registers and deregisters each descriptor so many times, and lastly registers them all; answers all ids in order. */
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

  /** Adds one to each eventfd, so many times. */
  signal: (fds: ReadonlyArray<number>, rounds = 1) =>
    Effect.sync(() => {
      for (let round = 0; round < rounds; round++) for (const fd of fds) Kernel.signal(fd)
    }),

  /** Keeps the thread from everything for so many milliseconds. */
  block: (millis: number) =>
    Effect.sync(() => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, millis)),
  /** Keeps the thread from everything until someone opens the gate; answers whether that happened within a minute. */
  blockUntilOpen: (gate: SharedArrayBuffer) => Effect.sync(() => blockUntilOpen(gate)),

  stats: () => Effect.flatMap(poller, ({ stats }) => stats)
} satisfies {
  readonly [name: string]: (
    ...args: ReadonlyArray<never>
  ) => Effect.Effect<unknown, PollerError.PollerError | Cause.Done, Poller.Poller | Registrar.Registrar>
}

export type Commands = typeof commands

/** Two words: whether someone is blocked at the gate, and whether it is open. */
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

/** What the thread is told: a command under the number that its answer shall have, or to end. */
export type Message =
  { readonly call: number; readonly name: keyof Commands; readonly args: ReadonlyArray<never> } | "close"

/** What it answers: `"ready"` once it is attached, and to each command its result or the tag of its failure. */
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

// Imported for its types and helpers alone, this file starts nothing.
if (parentPort !== null && (workerData as Partial<AttachedThreadData> | null)?.handle !== undefined) {
  const port = parentPort
  const { handle } = workerData as AttachedThreadData
  await Effect.runPromise(Effect.provide(serve(port), Poller.layerAttach(handle)))
  port.close()
}
