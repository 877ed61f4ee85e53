/**
 * Changes of files and directories as a stream: inotify(7).
 *
 * Reach for it where Node's `fs.watch` is not enough. Events come in order, each with its full path,
 * and none is lost without an `Overflow`. A rename is one event. A whole tree can be watched, while
 * directories come, move and go.
 *
 * {@link watch} is a stream that watches while it runs. {@link watchScoped} returns once everything
 * is watched: whatever changes after that is reported.
 *
 * **Example** (A tree)
 *
 * ```ts
 * import { Effect, Match, Stream } from "effect"
 * import { Inotify, Poller } from "effect-amy"
 * import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { join, relative } from "node:path"
 *
 * const root = mkdtempSync(join(tmpdir(), "watched-"))
 * const name = (path: string) => relative(root, path)
 *
 * const describe = Match.type<Inotify.Event>().pipe(
 *   Match.tag("Moved", ({ from, to }) => `${name(from)} is ${name(to)} now`),
 *   Match.tag("Created", "Removed", ({ _tag, path }) => `${_tag} ${name(path)}`),
 *   Match.orElse(({ _tag }) => _tag)
 * )
 *
 * const program = Effect.gen(function* () {
 *   const events = yield* Inotify.watchScoped(root, { recursive: true })
 *   mkdirSync(join(root, "src"))
 *   writeFileSync(join(root, "src", "a"), "")
 *   yield* events.pipe(
 *     Stream.take(2),
 *     Stream.runForEach((event) => Effect.sync(() => console.log(describe(event))))
 *   )
 *   renameSync(join(root, "src"), join(root, "lib"))
 *   rmSync(join(root, "lib", "a"))
 *   yield* events.pipe(
 *     Stream.take(2),
 *     Stream.runForEach((event) => Effect.sync(() => console.log(describe(event))))
 *   )
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop())))
 * // => Created src
 * // => Created src/a
 * // => src is lib now
 * // => Removed lib/a
 * rmSync(root, { recursive: true })
 * ```
 *
 * @since 0.2.0
 */
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as internal from "../internal/system/inotify.ts"
import type { PollerError } from "../PollerError.ts"
import type { Registrar } from "../Registrar.ts"

/**
 * The names of what can be watched for, as the manual page has them: `create` is `IN_CREATE`.
 *
 * **Details**
 *
 * | name           | events                                                                     |
 * | -------------- | -------------------------------------------------------------------------- |
 * | `create`       | {@link Created}: a file, a directory or a link was made                    |
 * | `modify`       | {@link Modified}: bytes were written, or the file was truncated            |
 * | `delete`       | {@link Removed}                                                            |
 * | `move`         | {@link Moved}; {@link Created} and {@link Removed}, from and to elsewhere  |
 * | `attrib`       | {@link Attributes}: mode, owner, times, number of links                    |
 * | `open`         | {@link Opened}                                                             |
 * | `access`       | {@link Accessed}: bytes were read                                          |
 * | `closeWrite`   | {@link Closed}, of a file that was open for writing                        |
 * | `closeNowrite` | {@link Closed}, of a file that was not                                     |
 * | `close`        | both                                                                       |
 *
 * @category options
 * @since 0.2.0
 */
export type EventName =
  "access" | "attrib" | "close" | "closeNowrite" | "closeWrite" | "create" | "delete" | "modify" | "move" | "open"

/**
 * Options of {@link watch} and {@link watchScoped}.
 *
 * @category options
 * @since 0.2.0
 */
export interface WatchOptions {
  /** What to watch for. Defaults to `create`, `modify`, `delete` and `move`. */
  readonly events?: ReadonlyArray<EventName> | undefined
  /**
   * Whether to watch everything below the directories, too. Defaults to false: a directory is
   * watched with its entries, but not what is in those.
   */
  readonly recursive?: boolean | undefined
}

/**
 * The path of an event.
 *
 * @category models
 * @since 0.2.0
 */
export interface At {
  /** The path as it was given, and below it the names. What is not UTF-8 is replaced by U+FFFD. */
  readonly path: string
  /** The bytes of the path. It is there only if they are not UTF-8. */
  readonly pathBytes?: Uint8Array
}

/**
 * What an event is about.
 *
 * @category models
 * @since 0.2.0
 */
export interface Subject extends At {
  readonly isDirectory: boolean
}

/**
 * Something new is at a path: made, linked, or moved there from a directory that is not watched. If
 * it was moved there, it may replace a file.
 *
 * @category models
 * @since 0.2.0
 */
export interface Created extends Subject {
  readonly _tag: "Created"
}

/**
 * Bytes of a file were written, or its length was changed.
 *
 * @category models
 * @since 0.2.0
 */
export interface Modified extends Subject {
  readonly _tag: "Modified"
}

/**
 * Something is not at a path any more: removed, or moved to a directory that is not watched. A
 * directory takes along everything below it.
 *
 * @category models
 * @since 0.2.0
 */
export interface Removed extends Subject {
  readonly _tag: "Removed"
}

/**
 * Something has another path. A directory takes along everything below it. What was at `to` before
 * is replaced.
 *
 * @category models
 * @since 0.2.0
 */
export interface Moved {
  readonly _tag: "Moved"
  readonly from: string
  readonly to: string
  /** The bytes of both paths. They are there only if one of them is not UTF-8. */
  readonly fromBytes?: Uint8Array
  readonly toBytes?: Uint8Array
  readonly isDirectory: boolean
}

/**
 * The mode, the owner, the times, the extended attributes or the number of links has changed.
 *
 * @category models
 * @since 0.2.0
 */
export interface Attributes extends Subject {
  readonly _tag: "Attributes"
}

/**
 * A file or a directory was opened.
 *
 * @category models
 * @since 0.2.0
 */
export interface Opened extends Subject {
  readonly _tag: "Opened"
}

/**
 * A file or a directory was read.
 *
 * @category models
 * @since 0.2.0
 */
export interface Accessed extends Subject {
  readonly _tag: "Accessed"
}

/**
 * A file or a directory was closed.
 *
 * @category models
 * @since 0.2.0
 */
export interface Closed extends Subject {
  readonly _tag: "Closed"
  /** Whether it was open for writing. */
  readonly written: boolean
}

/**
 * Events were lost, because they came faster than they were pulled. With `recursive`, everything
 * that is there follows as {@link Created}, so forget what you know. Without it, read the files
 * anew. What changes from now on is reported again.
 *
 * @category models
 * @since 0.2.0
 */
export interface Overflow {
  readonly _tag: "Overflow"
}

/**
 * A path that was given to {@link watch} is not watched any more: it was removed, moved or
 * unmounted.
 *
 * @category models
 * @since 0.2.0
 */
export interface Ignored extends At {
  readonly _tag: "Ignored"
}

/**
 * The file system of a watched path was unmounted.
 *
 * @category models
 * @since 0.2.0
 */
export interface Unmounted extends At {
  readonly _tag: "Unmounted"
}

/**
 * Everything that {@link watch} reports.
 *
 * @category models
 * @since 0.2.0
 */
export type Event =
  Accessed | Attributes | Closed | Created | Ignored | Modified | Moved | Opened | Overflow | Removed | Unmounted

/**
 * Constructors of events, for tests, and functions that tell them apart: `Event.$is("Moved")`,
 * `Event.$match`.
 *
 * **Example**
 *
 * ```ts
 * import { Inotify } from "effect-amy"
 *
 * const event: Inotify.Event = Inotify.Event.Created({ path: "/tmp/a", isDirectory: false })
 * console.log(Inotify.Event.$is("Created")(event)) // => true
 * ```
 *
 * @category constructors
 * @since 0.2.0
 */
export const Event: Data.TaggedEnum.Constructor<Event> = Data.taggedEnum<Event>()

/**
 * Watches files and directories while the stream runs: inotify_init1(2), inotify_add_watch(2).
 *
 * **Details**
 *
 * - Fails with `NotFound` if a path does not exist, or a part of it is not a directory.
 * - Fails with `PermissionDenied` if this process may not read what is at a path, or if
 *   `node --permission` forbids reading a directory of a tree.
 * - Fails with `LimitReached` if the user may watch no more (`max_user_watches`), or may have no
 *   more inotify instances (`max_user_instances`), or if the process has no descriptor left.
 * - Fails with `InvalidArgument` if a path or an event is invalid, or if there is none.
 * - Fails with `UnsupportedPlatform` on systems other than Linux: `watch` of Effect's `FileSystem`
 *   is there instead.
 * - Fails with `SystemError` if a directory of a tree cannot be read.
 * - Fails with `Closed` or `WorkerFailed` if the poller has ended.
 *
 * A directory is watched with its entries. A path that is a symbolic link is followed. The stream
 * ends once none of the paths is watched any more.
 *
 * What was there before is not reported. Only what is pulled is read: the rest waits in the kernel's
 * queue, which has room for 16,384 events (`/proc/sys/fs/inotify/max_queued_events`). After that,
 * there is an {@link Overflow}.
 *
 * **Trees**
 *
 * With `recursive`, every directory is watched, and counts against
 * `/proc/sys/fs/inotify/max_user_watches`. A new directory is watched and then read: what was made
 * in it before is reported as {@link Created}, once. Whether such a file is complete is not known,
 * so ask for `create`, too, where you watch for `closeWrite`. Symbolic links are not followed. A
 * directory that may not be read is not watched, and logged as a warning.
 *
 * **Gotchas**
 *
 * - To change a file, many programs write another one and rename it. Watch its directory, since the
 *   watch of a file ends when it is replaced.
 * - inotify does not report what other machines change in a network file system, what the kernel
 *   changes in /proc and /sys, and what is written to mapped memory.
 * - A rename whose second half is missing is reported after up to 50 milliseconds, or with the next
 *   change of the directory.
 *
 * **Example** (One directory)
 *
 * ```ts
 * import { Effect, Fiber, Stream } from "effect"
 * import { Inotify, Poller } from "effect-amy"
 * import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { basename, join } from "node:path"
 *
 * const directory = mkdtempSync(join(tmpdir(), "watched-"))
 *
 * const program = Effect.gen(function* () {
 *   const complete = Inotify.watch(directory, { events: ["closeWrite"] })
 *   const first = yield* Effect.forkChild(Stream.runCollect(Stream.take(complete, 1)), { startImmediately: true })
 *   writeFileSync(join(directory, "file"), "contents")
 *   const [event] = yield* Fiber.join(first)
 *   if (event?._tag === "Closed") console.log(basename(event.path), event.written)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(Poller.layerEventLoop()))) // => file true
 * rmSync(directory, { recursive: true })
 * ```
 *
 * @category streams
 * @since 0.2.0
 */
export const watch: (
  paths: string | Uint8Array | ReadonlyArray<string | Uint8Array>,
  options?: WatchOptions
) => Stream.Stream<Event, PollerError, Registrar> = (paths, options) => internal.watch(paths, options ?? {})

/**
 * Watches files and directories until the scope closes. Everything is watched once it returns.
 *
 * **Details**
 *
 * Fails as {@link watch} does:
 *
 * - Fails with `NotFound` if a path does not exist, or a part of it is not a directory.
 * - Fails with `PermissionDenied` if this process may not read what is at a path, or if
 *   `node --permission` forbids reading a directory of a tree.
 * - Fails with `LimitReached` if a limit of inotify is reached, or no descriptor is left.
 * - Fails with `InvalidArgument` if a path or an event is invalid, or if there is none.
 * - Fails with `UnsupportedPlatform` on systems other than Linux.
 * - Fails with `SystemError` if a directory of a tree cannot be read.
 *
 * The stream may be consumed again: what one consumer has not pulled is there for the next. If
 * several consume it at once, each event goes to one of them.
 *
 * @category constructors
 * @since 0.2.0
 */
export const watchScoped: (
  paths: string | Uint8Array | ReadonlyArray<string | Uint8Array>,
  options?: WatchOptions
) => Effect.Effect<Stream.Stream<Event, PollerError>, PollerError, Registrar | Scope.Scope> = (paths, options) =>
  internal.watchScoped(paths, options ?? {})
