/**
 * Each error number becomes the reason that says what it means, and an error keeps it wherever it
 * goes.
 */
import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Logger, Schema } from "effect"
import { PollerError } from "effect-amy"
import { constants } from "node:os"
import { PollerMemory, State } from "../../src/internal/shared/pollerMemory.ts"
import {
  closed,
  errnoName,
  fromErrno,
  fromThrown,
  invalidArgument,
  limitReached,
  notOpen,
  notRegistered,
  timedOut,
  workerFailed
} from "../../src/internal/errors/pollerErrors.ts"
import { UnsupportedSystem } from "../../src/internal/libc/unsupportedSystem.ts"
import { SystemCallError } from "../../src/internal/kernel/systemCallError.ts"

type Code = keyof typeof constants.errno

const cases: ReadonlyArray<readonly [Code, string, PollerError.PollerErrorReason["_tag"], string]> = [
  ["EEXIST", "epoll_ctl(ADD)", "AlreadyRegistered", "its owner reregisters or deregisters it"],
  ["ENOENT", "epoll_ctl(MOD)", "NotRegistered", "register it first; closing a descriptor also ends its registration"],
  [
    "EPERM",
    "epoll_ctl(ADD)",
    "NotPollable",
    "this descriptor cannot be polled (regular files, directories and some devices never can)"
  ],
  ["ENODEV", "kevent(ADD)", "NotPollable", "some devices never can"],
  ["EPERM", "eventfd", "PermissionDenied", "this process is not permitted to do that (check its user"],
  ["EACCES", "epoll_create1", "PermissionDenied", "this process is not permitted to do that (check its user"],
  ["EBADF", "epoll_ctl(DEL)", "BadDescriptor", "this is not an open descriptor (it may have been closed already)"],
  ["ENOSPC", "epoll_ctl(ADD)", "LimitReached", "raise fs.epoll.max_user_watches, or deregister some"],
  ["EMFILE", "epoll_create1", "LimitReached", "this process may open no more descriptors (raise `ulimit -n`"],
  ["ENFILE", "eventfd", "LimitReached", "the system may open no more descriptors (raise fs.file-max"],
  ["ENOMEM", "epoll_ctl(ADD)", "LimitReached", "the kernel has no memory for it now (try again later)"],
  ["ENOSPC", "write", "LimitReached", "the device has no space left"],
  ["ENOBUFS", "send", "LimitReached", "the kernel has no buffer for it now (try again later)"],
  [
    "ENOBUFS",
    "recvmsg",
    "LimitReached",
    "messages were lost, as they came faster than they were read (read everything"
  ],
  ["EAGAIN", "connect", "LimitReached", "the listener's backlog is full, or no local port is free (try again later)"],
  ["EAGAIN", "eventfd", "LimitReached", "the kernel has no room for it now (try again later)"],
  ["EINVAL", "epoll_ctl(MOD)", "InvalidArgument", "the kernel does not watch this descriptor in this way"],
  ["ELOOP", "epoll_ctl(ADD)", "InvalidArgument", "a poller cannot watch itself"],
  ["EMSGSIZE", "sendto", "MessageTooLarge", "split it: a datagram of UDP has at most 65,507 bytes"],
  ["ENOENT", 'open("/none")', "NotFound", "nothing exists at this path (create it first, or check its spelling)"],
  ["ENOENT", "connect", "NotFound", "nothing exists at this path (start the server first"],
  ["ENOENT", "bind", "NotFound", "the directory of this path does not exist (create it first)"],
  ["ENOTDIR", 'open("/none")', "NotFound", "a part of this path is not a directory (check its spelling)"],
  ["ENOTDIR", "connect", "NotFound", "a part of this path is not a directory"],
  ["ENOTDIR", "bind", "NotFound", "a part of this path is not a directory"],
  ["ENOTCONN", "getpeername", "NotConnected", "connect it first, or pass the address to send to"],
  ["EDESTADDRREQ", "send", "NotConnected", "this socket is not connected"],
  ["ENOENT", "ioctl", "SystemError", "the system refused this call"],
  ["EIO", "read", "SystemError", "the other end of the terminal is closed, or the device has failed"],
  ["EIO", "writev", "SystemError", "the other end of the terminal is closed, or the device has failed"],
  ["ENXIO", 'open("/fifo")', "SystemError", "no process has this FIFO open for reading"],
  ["EISDIR", "read", "SystemError", "this is a directory (pass a file in it)"],
  ["EIO", "epoll_wait", "SystemError", "the system refused this call (look the error's name up in its manual page)"],
  ["EFAULT", "epoll_wait", "SystemError", "the system refused this call"]
]

describe("an error number", () => {
  it.each(cases)("%s of %s is %s", (code, syscall, tag, hint) => {
    const errno = constants.errno[code]
    const { message, reason } = fromErrno(syscall, errno, { fd: 12 })
    expect(reason._tag).toBe(tag)
    expect(reason).toMatchObject({ syscall, errno, code, fd: 12 })
    expect(message.startsWith(`${syscall} on fd 12: ${code}, `)).toBe(true)
    expect(message).toContain(hint)
    const without = fromErrno(syscall, errno)
    expect(without.reason).not.toHaveProperty("fd")
    expect(without.message.startsWith(`${syscall}: ${code}, `)).toBe(true)
  })

  it.each([
    ["connect", "connect to 127.0.0.1:1"],
    ["bind", "bind to 127.0.0.1:1"],
    ["recv", "recv from 127.0.0.1:1"],
    ["recvfrom", "recvfrom 127.0.0.1:1"],
    ["send", "send to 127.0.0.1:1"],
    ["sendto", "sendto 127.0.0.1:1"],
    ["listen", "listen on 127.0.0.1:1"]
  ])("of %s names the socket's address, and keeps the descriptor as a field", (syscall, beginning) => {
    const address = "127.0.0.1:1"
    const { message, reason } = fromErrno(syscall, constants.errno.ECONNREFUSED, { fd: 12, address })
    expect(reason).toMatchObject({ _tag: "ConnectionRefused", syscall, fd: 12, address })
    expect(message).toBe(
      `${beginning}: ECONNREFUSED, no process listens there (start the server first, or try again later)`
    )
    const descriptorOnly = fromErrno(syscall, constants.errno.ECONNREFUSED, { fd: 12, address: undefined })
    expect(descriptorOnly.reason).not.toHaveProperty("address")
    expect(descriptorOnly.message.startsWith(`${syscall} on fd 12: ECONNREFUSED, `)).toBe(true)
  })

  it("without a name is shown as a number", () => {
    expect(errnoName(99_999)).toBe("errno 99999")
    expect(fromErrno("epoll_wait", 99_999).reason).toMatchObject({ _tag: "SystemError", code: "errno 99999" })
  })

  it("thrown while a poller opens becomes the same reason; anything else is thrown on", () => {
    expect(fromThrown(new SystemCallError("eventfd", 24)).reason).toMatchObject({
      _tag: "LimitReached",
      syscall: "eventfd",
      code: "EMFILE"
    })
    const cause = new Error("no binary")
    expect(fromThrown(new UnsupportedSystem("no poller here", { cause })).reason).toMatchObject({
      _tag: "UnsupportedPlatform",
      platform: process.platform,
      message: "no poller here",
      cause
    })
    const defect = new TypeError("a mistake of ours")
    expect(() => fromThrown(defect)).toThrow(defect)
  })
})

describe("a reason without fields", () => {
  it("says no more than is known", () => {
    const reason = new PollerError.LimitReached({})
    expect(new PollerError.PollerError({ reason }).message).toBe("a limit is reached")
  })
})

describe("a poller that is not open", () => {
  it("is closed, or has failed with the error that its thread died of", () => {
    const closing = PollerMemory.make(1, 1)
    closing.advance(State.Closing)
    expect(notOpen(closing).reason._tag).toBe("Closed")
    expect(notOpen(closing).message).toBe("the poller is closed (its layer's scope has ended)")

    const failed = PollerMemory.make(1, 1)
    failed.fail(9)
    expect(notOpen(failed).reason._tag).toBe("WorkerFailed")
    expect(notOpen(failed).message).toBe(
      "the thread that waited in the kernel has died of EBADF (build the layer again to continue)"
    )

    const killed = PollerMemory.make(1, 1)
    killed.fail(0)
    expect(notOpen(killed).message).toBe(
      "the thread that waited in the kernel has died (build the layer again to continue)"
    )
  })
})

const samples: ReadonlyArray<PollerError.PollerError> = [
  ...cases.map(([code, syscall]) => fromErrno(syscall, constants.errno[code], { fd: 7, address: "127.0.0.1:1" })),
  invalidArgument("give something else"),
  invalidArgument("give another one", 3),
  notRegistered("this is another one's", 3),
  limitReached("all taken"),
  closed(),
  timedOut("connect"),
  timedOut("connect", "[::1]:80"),
  workerFailed("it has died"),
  workerFailed("it has died", new Error("of something")),
  fromThrown(new UnsupportedSystem("no poller here"))
]

describe("a PollerError", () => {
  it("has schema identifiers with the package's name, and tags without", () => {
    expect(PollerError.PollerError.identifier).toBe("effect-amy/PollerError")
    expect(PollerError.PollerErrorReason.members.length).toBeGreaterThan(20)
    for (const member of PollerError.PollerErrorReason.members) {
      const tag = member.fields._tag.schema.literal
      expect(member.identifier).toBe(`effect-amy/PollerError/${tag}`)
      expect(PollerError[tag]).toBe(member)
    }
  })

  it.live("is caught by its reason", () =>
    Effect.gen(function* () {
      const program = Effect.fail(fromErrno("epoll_ctl(ADD)", 17, { fd: 4 })).pipe(
        Effect.catchReason("PollerError", "AlreadyRegistered", (reason) => Effect.succeed([reason.fd, reason.code]))
      )
      expect(yield* program).toEqual([4, "EEXIST"])
      const other = Effect.fail(closed()).pipe(
        Effect.catchReason("PollerError", "AlreadyRegistered", () => Effect.succeed("caught"))
      )
      expect(yield* Effect.exit(other)).toEqual(Exit.fail(closed()))
      const either = Effect.fail(closed()).pipe(
        Effect.catchReasons("PollerError", {
          Closed: (reason) => Effect.succeed(reason.message),
          WorkerFailed: (reason) => Effect.succeed(reason.description)
        })
      )
      expect(yield* either).toBe("the poller is closed (its layer's scope has ended)")
    })
  )

  it("is what `isPollerError` is true of, and nothing else is", () => {
    for (const error of samples) {
      expect(PollerError.isPollerError(error)).toBe(true)
      expect(error).toBeInstanceOf(Error)
      expect(error._tag).toBe("PollerError")
      expect(error.message).toBe(error.reason.message)
    }
    for (const other of [undefined, null, new Error("PollerError"), { _tag: "PollerError" }, closed().reason]) {
      expect(PollerError.isPollerError(other)).toBe(false)
    }
  })

  it("survives being encoded as JSON and decoded", () => {
    const codec = Schema.toCodecJson(PollerError.PollerError)
    for (const error of samples) {
      const text = JSON.stringify(Schema.encodeSync(codec)(error))
      const decoded = Schema.decodeUnknownSync(codec)(JSON.parse(text))
      expect(PollerError.isPollerError(decoded)).toBe(true)
      expect(decoded.reason._tag).toBe(error.reason._tag)
      expect(decoded.message).toBe(error.message)
      const { cause, ...fields } = decoded.reason as typeof decoded.reason & { readonly cause?: unknown }
      const { cause: given, ...expected } = error.reason as typeof fields & { readonly cause?: unknown }
      expect({ ...fields }).toEqual({ ...expected })
      expect(String(cause)).toBe(String(given))
    }
  })

  it("is refused by its schema if a field is not what it should be", () => {
    const decode = Schema.decodeUnknownExit(Schema.toCodecJson(PollerError.PollerError))
    expect(Exit.isFailure(decode({ _tag: "PollerError", reason: { _tag: "BadDescriptor", syscall: "close" } }))).toBe(
      true
    )
    expect(Exit.isFailure(decode({ _tag: "PollerError", reason: { _tag: "Unknown" } }))).toBe(true)
  })

  it.live("is logged with its reason's fields, and as a cause with its sentence", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const logger = Logger.map(Logger.formatJson, (line) => void lines.push(line))
      for (const error of samples) {
        yield* Effect.logError(error).pipe(Effect.provide(Logger.layer([logger])))
        const { cause: _, ...fields } = error.reason as typeof error.reason & { readonly cause?: unknown }
        expect(JSON.parse(lines.pop()!).message).toMatchObject({ _tag: "PollerError", reason: { ...fields } })
        yield* Effect.logError("refused", Cause.fail(error)).pipe(Effect.provide(Logger.layer([logger])))
        expect(JSON.parse(lines.pop()!).cause).toContain(`PollerError: ${error.message}`)
      }
    })
  )
})
