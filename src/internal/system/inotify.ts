/** Changes of files and directories as a stream: inotify(7). */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { resolve } from "node:path"
import { isUint8Array } from "node:util/types"
import type { PollerError } from "../../PollerError.ts"
import { isPollerError } from "../../PollerError.ts"
import type { Registrar } from "../../Registrar.ts"
import type { Event, EventName, WatchOptions } from "../../system/Inotify.ts"
import type { Attachment } from "../delivery/attachment.ts"
import { startDeadline } from "../delivery/deadline.ts"
import { systemCall } from "../descriptor/systemCall.ts"
import { booleanError } from "../errors/options.ts"
import { invalidArgument, unsupported } from "../errors/pollerErrors.ts"
import { inotify } from "../libc/profiles/system/inotify.ts"
import { resumeFiber } from "../objects/resumeFiber.ts"
import { attachedLibc } from "./attachedLibc.ts"
import type { Named } from "./inotifyDirectory.ts"
import { placeOf } from "./inotifyPath.ts"
import { bindInotify, InotifyQueue, type RawEvent } from "./inotifyQueue.ts"
import { InotifyTree } from "./inotifyTree.ts"

/** The bits of each name, as the manual page has them. */
const bits: { readonly [Name in EventName]: number } = {
  access: inotify.ACCESS,
  attrib: inotify.ATTRIB,
  close: inotify.CLOSE_WRITE | inotify.CLOSE_NOWRITE,
  closeNowrite: inotify.CLOSE_NOWRITE,
  closeWrite: inotify.CLOSE_WRITE,
  create: inotify.CREATE,
  delete: inotify.DELETE,
  modify: inotify.MODIFY,
  move: inotify.MOVED_FROM | inotify.MOVED_TO,
  open: inotify.OPEN
}

const defaultEvents: ReadonlyArray<EventName> = ["create", "modify", "delete", "move"]

/** Returns the bits of the events that a program asks for. */
const toBits = (events: ReadonlyArray<EventName> | undefined): number | PollerError => {
  const names: unknown = events ?? defaultEvents
  if (!Array.isArray(names) || names.length === 0) {
    return invalidArgument(`invalid events: expected an array of ${Object.keys(bits).join(", ")}`)
  }
  let mask = 0
  for (const name of names as ReadonlyArray<EventName>) {
    if (!Object.hasOwn(bits, name)) {
      return invalidArgument(`invalid event ${String(name)}: expected one of ${Object.keys(bits).join(", ")}`)
    }
    mask |= bits[name]
  }
  return mask
}

const toNamed = (path: string | Uint8Array): Named | PollerError => {
  if (typeof path !== "string" && !isUint8Array(path)) {
    return invalidArgument(`invalid path ${String(path)}: expected a string or the bytes of one`)
  }
  const bytes = Buffer.from(path).toString("latin1")
  if (bytes === "" || bytes.includes("\0")) {
    return invalidArgument(`invalid path "${placeOf(bytes).text}": expected one that is not empty, without a zero byte`)
  }
  const cwd = bytes.startsWith("/") ? "/" : Buffer.from(process.cwd()).toString("latin1")
  return { place: placeOf(bytes), absolute: resolve(cwd, bytes) }
}

/** Returns the paths of a program, each of which can be looked up. */
const toAllNamed = (
  paths: string | Uint8Array | ReadonlyArray<string | Uint8Array>
): ReadonlyArray<Named> | PollerError => {
  const all: Array<Named> = []
  for (const path of Array.isArray(paths) ? paths : [paths]) {
    const named = toNamed(path)
    if (isPollerError(named)) return named
    all.push(named)
  }
  return all.length > 0 ? all : invalidArgument("invalid paths: expected at least one")
}

/** Opens an inotify instance, and closes it with the scope. Its watches end with it. */
const openQueue: Effect.Effect<InotifyQueue, PollerError, Registrar | Scope.Scope> = Effect.flatMap(
  attachedLibc("files to watch"),
  ({ attachment, libc }) => {
    if (libc.profile.platform !== "linux") {
      return Effect.fail(unsupported("only Linux has inotify: use `watch` of Effect's `FileSystem` here"))
    }
    return Effect.acquireRelease(
      Effect.map(
        systemCall(libc, "inotify_init1", undefined, () =>
          bindInotify(libc).inotify_init1(inotify.CLOEXEC | inotify.NONBLOCK)
        ),
        (fd) => new InotifyQueue(attachment, libc, fd)
      ),
      ({ owned }) => Effect.sync(() => void owned.closeUnsafe())
    )
  }
)

export const watchScoped = (
  paths: string | Uint8Array | ReadonlyArray<string | Uint8Array>,
  options: WatchOptions
): Effect.Effect<Stream.Stream<Event, PollerError>, PollerError, Registrar | Scope.Scope> =>
  Effect.gen(function* () {
    const asked = toBits(options.events)
    if (isPollerError(asked)) return yield* Effect.fail(asked)
    const all = toAllNamed(paths)
    if (isPollerError(all)) return yield* Effect.fail(all)
    const invalid = booleanError("recursive", options.recursive)
    if (invalid !== undefined) return yield* Effect.fail(invalid)
    const queue = yield* openQueue
    const watch = new Watch(queue, asked, options.recursive === true)
    yield* watch.begin(all)
    return Stream.fromPull(Effect.succeed(watch.pull))
  })

export const watch = (
  paths: string | Uint8Array | ReadonlyArray<string | Uint8Array>,
  options: WatchOptions
): Stream.Stream<Event, PollerError, Registrar> => Stream.unwrap(watchScoped(paths, options))

/**
 * How long to wait for the second half of a rename, in milliseconds. The kernel queues it some
 * microseconds after the first, unless it has none to queue, or the renaming thread is suspended.
 */
const longestBetween = 50

/** How many directories are read before other fibers have their turn. */
const scansInTurn = 32

const done = Cause.fail(Cause.Done())

class Watch {
  readonly #queue: InotifyQueue
  readonly #tree: InotifyTree
  readonly #turn = Semaphore.makeUnsafe(1)
  #events: Array<Event> = []
  #head = 0
  /** Directories that could not be watched, to be logged. */
  #skipped: Array<string> = []
  /** A first half of a rename that was waited for long enough. */
  #single: RawEvent | undefined

  constructor(queue: InotifyQueue, asked: number, isRecursive: boolean) {
    this.#queue = queue
    this.#tree = new InotifyTree({
      queue,
      asked,
      isRecursive,
      emit: (event) => void this.#events.push(event),
      skip: (path) => void this.#skipped.push(path)
    })
  }

  /** Watches the paths, and in a tree all that is below them. */
  begin(all: ReadonlyArray<Named>): Effect.Effect<void, PollerError> {
    return Effect.suspend(() => {
      for (const named of all) {
        const error = this.#tree.addRoot(named)
        if (error !== undefined) return Effect.fail(error)
      }
      return this.#scanAll
    })
  }

  readonly #scanAll: Effect.Effect<void, PollerError> = Effect.suspend(() => {
    const isDone = this.#scanSome()
    if (this.#tree.error !== undefined) return Effect.fail(this.#tree.error)
    if (this.#skipped.length > 0) return Effect.andThen(this.#logSkipped, this.#scanAll)
    return isDone ? Effect.void : Effect.andThen(Effect.yieldNow, this.#scanAll)
  })

  /** Reads some directories. Returns whether none is left to read. */
  #scanSome(): boolean {
    for (let count = 0; count < scansInTurn && this.#tree.error === undefined; count++) {
      if (!this.#tree.scanNext()) return true
    }
    return false
  }

  readonly #logSkipped: Effect.Effect<void> = Effect.suspend(() => {
    const paths = this.#skipped
    this.#skipped = []
    return Effect.logWarning(`not watched, for this process may not read it: ${paths.join(", ")}`)
  })

  /** Takes the next event. What no consumer has pulled stays in the kernel's queue. */
  readonly pull: Pull.Pull<readonly [Event], PollerError> = Effect.suspend(() => {
    const event = this.#next()
    return event === undefined ? this.#pullInTurn : Effect.succeed([event] as const)
  })

  #next(): Event | undefined {
    const event = this.#events[this.#head]
    if (event === undefined) return undefined
    if (++this.#head === this.#events.length) {
      this.#events = []
      this.#head = 0
    }
    return event
  }

  readonly #advance: Pull.Pull<readonly [Event], PollerError> = Effect.suspend(() => {
    for (;;) {
      const event = this.#next()
      if (event !== undefined) return Effect.succeed([event] as const)
      if (this.#queue.owned.fd === -1) return Effect.fail(this.#queue.owned.closed)
      if (this.#skipped.length > 0) return Effect.andThen(this.#logSkipped, this.#advance)
      if (this.#tree.error !== undefined) return Effect.fail(this.#tree.error)
      if (!this.#scanSome()) {
        if (this.#head < this.#events.length) continue
        return Effect.andThen(Effect.yieldNow, this.#advance)
      }
      if (this.#head < this.#events.length) continue
      if (this.#tree.isOver) return Effect.failCause(done)
      const waiting = this.#takeOne()
      if (waiting !== undefined) return Effect.andThen(waiting, this.#advance)
    }
  })

  readonly #pullInTurn = this.#turn.withPermit(this.#advance)

  /** Takes one of the kernel's events. Returns what to wait for if there is none to take. */
  #takeOne(): Effect.Effect<void, PollerError> | undefined {
    const queue = this.#queue
    const first = queue.first
    this.#tree.expire(queue.position)
    if (first === undefined) return queue.more
    if ((first.mask & inotify.MOVED_FROM) !== 0) return this.#takeMove(first)
    queue.take()
    if ((first.mask & inotify.MOVED_TO) !== 0) this.#tree.handleArrival(first)
    else this.#tree.handle(first)
    return undefined
  }

  #takeMove(first: RawEvent): Effect.Effect<void, PollerError> | undefined {
    const queue = this.#queue
    const second = queue.secondHalf()
    if (second === "unknown" && first !== this.#single) return queue.readMore() ? undefined : this.#waitForHalf(first)
    queue.take()
    this.#single = undefined
    if (typeof second === "string") {
      this.#tree.handleMove(first, undefined)
    } else {
      queue.takeHalf(second)
      this.#tree.handleMove(first, second)
    }
    return undefined
  }

  /** Waits for another event. After a while, there is none to wait for. */
  #waitForHalf(first: RawEvent): Effect.Effect<void, PollerError> {
    const elapsed = Effect.map(pause(this.#queue.attachment, longestBetween), () => {
      this.#single = first
    })
    return Effect.raceFirst(this.#queue.more, elapsed)
  }
}

/** Returns after a time of the poller's. */
const pause = (attachment: Attachment, millis: number): Effect.Effect<void, PollerError> =>
  Effect.callback((resume) => {
    const { dispatcher } = attachment
    let isWaiting = true
    const leave = () => {
      if (isWaiting) dispatcher.waiters--
      isWaiting = false
    }
    const finish = (result: Effect.Effect<void, PollerError>) => {
      leave()
      resumeFiber(resume, result)
    }
    const expire = () => finish(Effect.void)
    const deadline = startDeadline(attachment, millis, expire, (error) => finish(Effect.fail(error)))
    if (isPollerError(deadline)) return resume(Effect.fail(deadline))
    dispatcher.waiters++
    dispatcher.onWait?.()
    return Effect.sync(() => {
      leave()
      deadline.cancel()
    })
  })
