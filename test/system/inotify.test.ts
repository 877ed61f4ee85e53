/** Changes of files and directories are reported, in order and with their paths. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import { Inotify, Poller, type PollerError } from "effect-amy"
import {
  chmodSync,
  mkdirSync,
  openSync,
  closeSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync
} from "node:fs"
import { constants, endianness } from "node:os"
import { join } from "node:path"
import { fromErrno } from "../../src/internal/errors/pollerErrors.ts"
import { darwin } from "../../src/internal/libc/profiles/darwin.ts"
import { decodeEvents, inotifyEvent } from "../../src/internal/system/inotifyQueue.ts"
import * as Kernel from "../support/kernel.ts"
import { describeLayers } from "../support/layers.ts"
import { times } from "../support/long.ts"
import { outcome } from "../support/opened.ts"
import { directory, leavesNothing } from "../support/owned.ts"
import { begin, expectWaiting, ownScope, registrations, waiters } from "../support/waiting.ts"
import { onSimulatedKqueue, onTestPoller } from "../support/worlds.ts"

type Events = Stream.Stream<Inotify.Event, PollerError.PollerError>

const pathIn = (root: string, path: string) => (path.startsWith(`${root}/`) ? path.slice(root.length + 1) : path)

/** Describes an event in a line, with paths below a directory. */
const lineOf =
  (root: string) =>
  (event: Inotify.Event): string => {
    if (event._tag === "Overflow") return "Overflow"
    const end = "isDirectory" in event && event.isDirectory ? "/" : ""
    if (event._tag === "Moved") return `Moved ${pathIn(root, event.from)} ${pathIn(root, event.to)}${end}`
    const line = `${event._tag} ${pathIn(root, event.path)}`
    return event._tag === "Closed" ? `${line} ${event.written ? "written" : "read"}` : `${line}${end}`
  }

/** Makes a file that tells the end of what a test looks at, and returns the events until then. */
const untilNow = (events: Events, root: string) =>
  Effect.suspend(() => {
    const last = join(root, "last")
    writeFileSync(last, "")
    unlinkSync(last)
    return Stream.runCollect(
      events.pipe(
        Stream.takeUntil((event) => event._tag === "Removed" && event.path === last),
        Stream.filter((event) => !("path" in event) || event.path !== last),
        Stream.map(lineOf(root))
      )
    )
  })

const take = (events: Events, count: number, root: string) =>
  Stream.runCollect(Stream.take(Stream.map(events, lineOf(root)), count))

const tree = { events: ["create", "delete", "move"], recursive: true } as const

describeLayers("Inotify", (layer) => {
  it.live("reports what happens in a directory, each with its path", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const events = yield* Inotify.watchScoped(root)
      writeFileSync(join(root, "a"), "1")
      mkdirSync(join(root, "d"))
      renameSync(join(root, "a"), join(root, "b"))
      writeFileSync(join(root, "d", "unseen"), "")
      rmSync(join(root, "b"))
      rmSync(join(root, "d"), { recursive: true })
      expect(yield* untilNow(events, root)).toEqual([
        "Created a",
        "Modified a",
        "Created d/",
        "Moved a b",
        "Removed b",
        "Removed d/"
      ])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("wakes a fiber that waits, and leaves nothing once the stream has ended or was interrupted", () =>
    leavesNothing(
      Effect.gen(function* () {
        const root = yield* directory
        const waiting = yield* begin(Stream.runHead(Inotify.watch(root)))
        const interrupted = yield* begin(Stream.runDrain(Inotify.watch(root, { recursive: true })))
        yield* expectWaiting<unknown, unknown>(waiting, interrupted)
        writeFileSync(join(root, "a"), "")
        expect(yield* Fiber.join(waiting)).toMatchObject({ value: { _tag: "Created", path: join(root, "a") } })
        yield* Fiber.interrupt(interrupted)
        expect(yield* waiters).toBe(0)
        expect(yield* registrations).toBe(0)
      }).pipe(Effect.provide(layer()))
    )
  )

  it.live("goes on after a rename that was all that was read", () =>
    Effect.gen(function* () {
      const root = yield* directory
      writeFileSync(join(root, "a"), "")
      const events = yield* Inotify.watchScoped(root)
      renameSync(join(root, "a"), join(root, "b"))
      expect(yield* take(events, 1, root)).toEqual(["Moved a b"])
      rmSync(join(root, "b"))
      expect(yield* take(events, 1, root)).toEqual(["Removed b"])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("does not miss what is made in new directories, and reports it once", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const events = yield* Inotify.watchScoped(root, tree)
      mkdirSync(join(root, "a/b/c"), { recursive: true })
      writeFileSync(join(root, "a/1"), "")
      writeFileSync(join(root, "a/b/c/2"), "")
      expect((yield* untilNow(events, root)).toSorted()).toEqual([
        "Created a/",
        "Created a/1",
        "Created a/b/",
        "Created a/b/c/",
        "Created a/b/c/2"
      ])
      writeFileSync(join(root, "a/b/c/3"), "")
      expect(yield* untilNow(events, root)).toEqual(["Created a/b/c/3"])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("follows a directory that has moved, with all that is below", () =>
    Effect.gen(function* () {
      const root = yield* directory
      mkdirSync(join(root, "a/b/c"), { recursive: true })
      mkdirSync(join(root, "d"))
      const events = yield* Inotify.watchScoped(root, tree)
      renameSync(join(root, "a/b"), join(root, "d/e"))
      writeFileSync(join(root, "d/e/c/1"), "")
      renameSync(join(root, "d"), join(root, "f"))
      writeFileSync(join(root, "f/e/c/2"), "")
      expect(yield* untilNow(events, root)).toEqual([
        "Moved a/b d/e/",
        "Created d/e/c/1",
        "Moved d f/",
        "Created f/e/c/2"
      ])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("reports half a rename: what comes from elsewhere, and what goes there", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const elsewhere = yield* directory
      mkdirSync(join(root, "out/deep"), { recursive: true })
      mkdirSync(join(elsewhere, "in/deep"), { recursive: true })
      writeFileSync(join(elsewhere, "file"), "")
      const events = yield* Inotify.watchScoped(root, tree)
      renameSync(join(root, "out"), join(elsewhere, "out"))
      // Nothing else comes after it.
      expect(yield* take(events, 1, root)).toEqual(["Removed out/"])
      writeFileSync(join(elsewhere, "out/deep/unseen"), "")
      renameSync(join(elsewhere, "file"), join(root, "file"))
      renameSync(join(elsewhere, "in"), join(root, "in"))
      expect(yield* untilNow(events, root)).toEqual(["Created file", "Created in/", "Created in/deep/"])
      writeFileSync(join(root, "in/deep/1"), "")
      expect(yield* untilNow(events, root)).toEqual(["Created in/deep/1"])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("gives each event to one consumer, and keeps what was not pulled for the next", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const events = yield* Inotify.watchScoped(root, tree)
      for (const name of "abc") writeFileSync(join(root, name), "")
      expect(yield* take(events, 1, root)).toEqual(["Created a"])
      expect(yield* take(events, 2, root)).toEqual(["Created b", "Created c"])
      const fibers = [yield* begin(take(events, 1, root)), yield* begin(take(events, 1, root))]
      yield* expectWaiting(...fibers)
      writeFileSync(join(root, "d"), "")
      writeFileSync(join(root, "e"), "")
      const both = yield* Effect.forEach(fibers, Fiber.join)
      expect(both.flat().toSorted()).toEqual(["Created d", "Created e"])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("fails its consumers with Closed once the scope is closed", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const scope = yield* ownScope
      const events = yield* Scope.provide(Inotify.watchScoped(root), scope)
      const waiting = yield* begin(outcome(Stream.runDrain(events)))
      yield* expectWaiting(waiting)
      yield* Scope.close(scope, Exit.void)
      expect(yield* Fiber.join(waiting)).toBe("Closed")
      expect(yield* outcome(Stream.runDrain(events))).toBe("Closed")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("reports many events in order, from a queue of a limited size", () =>
    Effect.gen(function* () {
      const rounds = times(3, 100)
      const root = yield* directory
      const names = Array.from({ length: 1000 }, (_, index) => `file-${index}`)
      for (const name of names) writeFileSync(join(root, name), "")
      const events = yield* Inotify.watchScoped(root, { events: ["attrib"] })
      for (let round = 0; round < rounds; round++) {
        for (const name of names) chmodSync(join(root, name), 0o600)
        expect(yield* take(events, names.length, root)).toEqual(names.map((name) => `Attributes ${name}`))
      }
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

const loop = Poller.layerEventLoop()

describe("Inotify", () => {
  it.live("reports uses of a file under their names in the manual page", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const file = join(root, "a")
      writeFileSync(file, "1")
      const events = yield* Inotify.watchScoped(file, {
        events: ["access", "attrib", "close", "modify", "open", "delete"]
      })
      const fd = openSync(file, "a")
      writeSync(fd, "2")
      closeSync(fd)
      readFileSync(file)
      // The number of links changes, and the kernel merges both events.
      chmodSync(file, 0o600)
      rmSync(file)
      expect(yield* Stream.runCollect(Stream.map(events, lineOf(root)))).toEqual([
        "Opened a",
        "Modified a",
        "Closed a written",
        "Opened a",
        "Accessed a",
        "Closed a read",
        "Attributes a",
        "Removed a",
        "Ignored a"
      ])
    }).pipe(Effect.scoped, Effect.provide(loop))
  )

  it.live("reports only what was asked for, in a tree as well", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const events = yield* Inotify.watchScoped(root, { events: ["closeWrite", "delete"], recursive: true })
      mkdirSync(join(root, "a"))
      expect(yield* untilNow(events, root)).toEqual([])
      writeFileSync(join(root, "a/1"), "")
      renameSync(join(root, "a"), join(root, "b"))
      expect(yield* untilNow(events, root)).toEqual(["Closed a/1 written"])
    }).pipe(Effect.scoped, Effect.provide(loop))
  )

  it.live("reports no use that its own reading of directories makes", () =>
    Effect.gen(function* () {
      const root = yield* directory
      mkdirSync(join(root, "old/deep"), { recursive: true })
      const events = yield* Inotify.watchScoped(root, {
        events: ["create", "open", "access", "close", "delete"],
        recursive: true
      })
      mkdirSync(join(root, "new"))
      const uses = (yield* untilNow(events, root)).filter((line) => line.endsWith("/") || line.endsWith("read"))
      expect(uses).toEqual(["Created new/"])
      readdirSync(join(root, "old"))
      const others = yield* untilNow(events, root)
      for (const line of ["Opened old/", "Accessed old/", "Closed old read"]) expect(others).toContain(line)
    }).pipe(Effect.scoped, Effect.provide(loop))
  )

  it.live("watches several paths, and ends once none of them is there", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const paths = ["a", "b", "c"].map((name) => join(root, name))
      mkdirSync(paths[0]!)
      mkdirSync(paths[1]!)
      writeFileSync(paths[2]!, "")
      const events = yield* Inotify.watchScoped([...paths, `${paths[0]}/`], tree)
      rmdirSync(paths[0]!)
      renameSync(paths[1]!, join(root, "d"))
      rmSync(paths[2]!)
      expect((yield* Stream.runCollect(Stream.map(events, lineOf(root)))).toSorted()).toEqual([
        "Ignored a",
        "Ignored b",
        "Ignored c",
        "Removed a/",
        "Removed b/",
        "Removed c"
      ])
    }).pipe(Effect.scoped, Effect.provide(loop))
  )

  it.live("watches a directory once that is in another one of the paths", () =>
    Effect.gen(function* () {
      const root = yield* directory
      mkdirSync(join(root, "a/b"), { recursive: true })
      for (const paths of [
        [join(root, "a/b"), root],
        [root, join(root, "a/b")]
      ]) {
        const events = yield* Inotify.watchScoped(paths, tree)
        writeFileSync(join(root, "a/b/1"), "")
        rmSync(join(root, "a/b/1"))
        expect(yield* untilNow(events, root)).toEqual(["Created a/b/1", "Removed a/b/1"])
      }
    }).pipe(Effect.scoped, Effect.provide(loop))
  )

  it.live("follows no symbolic link in a tree, but follows one that it was given", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const elsewhere = yield* directory
      symlinkSync(elsewhere, join(root, "link"))
      const events = yield* Inotify.watchScoped(root, tree)
      const followed = yield* Inotify.watchScoped(join(root, "link"), tree)
      symlinkSync(elsewhere, join(root, "other"))
      writeFileSync(join(elsewhere, "1"), "")
      expect(yield* untilNow(events, root)).toEqual(["Created other"])
      expect(yield* take(followed, 1, root)).toEqual(["Created link/1"])
    }).pipe(Effect.scoped, Effect.provide(loop))
  )

  it.live("gives the bytes of a name that is not UTF-8", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const bytes = (name: ReadonlyArray<number>) => Buffer.concat([Buffer.from(`${root}/`), Buffer.from(name)])
      const events = yield* Inotify.watchScoped(Buffer.from(root), tree)
      mkdirSync(bytes([0xff, 0x61]))
      writeFileSync(join(root, "é"), "")
      expect(yield* Stream.runCollect(Stream.take(events, 2))).toEqual([
        {
          _tag: "Created",
          path: join(root, "\ufffda"),
          pathBytes: new Uint8Array(bytes([0xff, 0x61])),
          isDirectory: true
        },
        { _tag: "Created", path: join(root, "é"), isDirectory: false }
      ])
      writeFileSync(bytes([0xff, 0x61, 0x2f, 0x62]), "")
      renameSync(join(root, "é"), bytes([0xfe]))
      expect(yield* Stream.runCollect(Stream.take(events, 2))).toMatchObject([
        { _tag: "Created", pathBytes: new Uint8Array(bytes([0xff, 0x61, 0x2f, 0x62])) },
        { _tag: "Moved", from: join(root, "é"), toBytes: new Uint8Array(bytes([0xfe])) }
      ])
    }).pipe(Effect.scoped, Effect.provide(loop))
  )

  it.live("reports an overflow, then what is there in a tree, and goes on", () =>
    Effect.gen(function* () {
      const root = yield* directory
      writeFileSync(join(root, "kept"), "")
      const most = Number(readFileSync("/proc/sys/fs/inotify/max_queued_events", "utf8"))
      const events = yield* Inotify.watchScoped(root, { events: [...tree.events, "attrib"], recursive: true })
      // The kernel merges events that are alike if they come one after the other.
      for (let count = 0; count < most; count += 2) {
        chmodSync(join(root, "kept"), 0o600)
        chmodSync(root, 0o700)
      }
      mkdirSync(join(root, "missed/deep"), { recursive: true })
      const lines = yield* Stream.runCollect(
        events.pipe(
          Stream.map(lineOf(root)),
          Stream.takeUntil((line) => line === "Overflow")
        )
      )
      expect(lines.length).toBeGreaterThan(most)
      expect(yield* take(events, 3, root)).toEqual(["Created kept", "Created missed/", "Created missed/deep/"])
      writeFileSync(join(root, "missed/deep/1"), "")
      expect(yield* untilNow(events, root)).toEqual(["Created missed/deep/1"])
    }).pipe(Effect.scoped, Effect.provide(loop))
  )

  it.live("works where a thread polls itself", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const elsewhere = yield* directory
      mkdirSync(join(root, "a/b"), { recursive: true })
      const events = yield* Inotify.watchScoped(root, tree)
      renameSync(join(root, "a"), join(elsewhere, "a"))
      expect(yield* take(events, 1, root)).toEqual(["Removed a/"])
    }).pipe(Effect.scoped, Effect.provide(Poller.layerBlocking({ allowMainThread: true })))
  )

  it.live("refuses what it cannot watch, with the path, and leaves nothing", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const file = join(root, "file")
      writeFileSync(file, "")
      const before = Kernel.openDescriptors()
      for (const [path, reason] of [
        [join(root, "none"), { _tag: "NotFound", code: "ENOENT" }],
        [join(file, "below"), { _tag: "NotFound", code: "ENOTDIR" }]
      ] as const) {
        const error = yield* Effect.flip(Stream.runDrain(Inotify.watch([root, path])))
        expect(error.reason).toMatchObject({ ...reason, syscall: `inotify_add_watch("${path}")` })
      }
      for (const paths of ["", "a\0b", [], [root, ""], 7, undefined, [null]]) {
        const error = yield* Effect.flip(Stream.runDrain(Inotify.watch(paths as never)))
        expect(error.reason._tag).toBe("InvalidArgument")
      }
      for (const names of [[], ["created"], ["toString"], "create", [undefined]]) {
        const error = yield* Effect.flip(Stream.runDrain(Inotify.watch(root, { events: names as never })))
        expect(error.reason._tag).toBe("InvalidArgument")
      }
      for (const recursive of ["no", 0, null]) {
        const error = yield* Effect.flip(Stream.runDrain(Inotify.watch(root, { recursive: recursive as never })))
        expect(error.message).toContain("invalid recursive")
      }
      expect(Kernel.openDescriptors()).toEqual(before)
    }).pipe(Effect.scoped, Effect.provide(loop))
  )

  it("names the limits that inotify has, and the permission that it needs", () => {
    const errno = constants.errno
    const watches = fromErrno('inotify_add_watch("/a")', errno.ENOSPC)
    expect([watches.reason._tag, watches.message]).toEqual([
      "LimitReached",
      expect.stringContaining("/proc/sys/fs/inotify/max_user_watches")
    ])
    const instances = fromErrno("inotify_init1", errno.EMFILE)
    expect([instances.reason._tag, instances.message]).toEqual([
      "LimitReached",
      expect.stringContaining("/proc/sys/fs/inotify/max_user_instances")
    ])
    const forbidden = fromErrno('inotify_add_watch("/a")', errno.EACCES)
    expect([forbidden.reason._tag, forbidden.message]).toEqual([
      "PermissionDenied",
      expect.stringMatching(/\/a.*not permitted to read it/)
    ])
  })

  it.effect("needs a kernel", () =>
    onTestPoller(() =>
      Effect.gen(function* () {
        const { message, reason } = yield* Effect.orDie(Effect.flip(Stream.runDrain(Inotify.watch("/"))))
        expect(reason._tag).toBe("InvalidArgument")
        expect(message).toContain("TestPoller has no files")
      })
    )
  )

  it.live("is Linux's alone", () =>
    onSimulatedKqueue(darwin, () =>
      Effect.gen(function* () {
        const { message, reason } = yield* Effect.orDie(Effect.flip(Stream.runDrain(Inotify.watch("/"))))
        expect(reason._tag).toBe("UnsupportedPlatform")
        expect(message).toContain("FileSystem")
      })
    )
  )
})

/** Returns the bytes of an event, as C has them on a little-endian machine. */
const eventBytes = (wd: number, mask: number, cookie: number, name: string, length: number) => {
  const buffer = Buffer.alloc(16 + length)
  buffer.writeInt32LE(wd, 0)
  buffer.writeUInt32LE(mask, 4)
  buffer.writeUInt32LE(cookie, 8)
  buffer.writeUInt32LE(length, 12)
  buffer.write(name, 16, "latin1")
  return buffer
}

describe("struct inotify_event", () => {
  it.runIf(endianness() === "LE")("is decoded from the bytes that C has there", () => {
    expect(inotifyEvent).toEqual({ wd: [0, "i32"], mask: [4, "u32"], cookie: [8, "u32"], len: [12, "u32"] })
    const events = decodeEvents(
      Buffer.concat([
        eventBytes(1, 0x100, 0, "a", 16),
        eventBytes(2, 0x4000_0040, 7, "0123456789abcdef", 16),
        eventBytes(-1, 0x4000, 0, "", 0),
        eventBytes(3, 0x8000_0000, 0xffff_ffff, "\xff", 32)
      ]),
      1000
    )
    expect(events).toEqual([
      { wd: 1, mask: 0x100, cookie: 0, name: "a", at: 1000 },
      { wd: 2, mask: 0x4000_0040, cookie: 7, name: "0123456789abcdef", at: 1032 },
      { wd: -1, mask: 0x4000, cookie: 0, name: "", at: 1064 },
      { wd: 3, mask: 0x8000_0000, cookie: 0xffff_ffff, name: "\xff", at: 1080 }
    ])
  })
})
