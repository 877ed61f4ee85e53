/**
 * Invalid arguments fail with their reason and a message that says what to do. A refusal changes
 * nothing: it opens no descriptor, makes no registration, uses up no id, and what existed still
 * works.
 */
import { assert, describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Poller, PollerError, Registrar } from "effect-amy"
import { execFile } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { tmpdir } from "node:os"
import { fileURLToPath } from "node:url"
import * as Kernel from "../support/kernel.ts"
import { describeLayers, idsReadyNow, rowsHere } from "../support/layers.ts"
import { programUrl } from "../support/programUrl.ts"
import { contentsOf } from "../../src/internal/layers/pollerHandle.ts"
import { notLinux, onLinux } from "../support/platform.ts"

type Reason = PollerError.PollerErrorReason["_tag"]

/** Passes a value that the types do not allow. */
const untyped = (value: unknown) => value as never

/** Expects an effect to fail with a reason and a message, and to change nothing. */
const isRefused = <A, R>(
  effect: Effect.Effect<A, PollerError.PollerError, R>,
  reason: Reason,
  message: string | RegExp
) =>
  Effect.gen(function* () {
    const { stats } = yield* Poller.Poller
    const witness = Kernel.source()
    const id = yield* Registrar.register(witness, "Read")
    const descriptors = Kernel.openDescriptors()
    const { registrations } = yield* stats
    const error = yield* Effect.flip(effect)
    assert(PollerError.isPollerError(error))
    expect(error.reason._tag).toBe(reason)
    if (typeof message === "string") expect(error.message).toBe(message)
    else expect(error.message).toMatch(message)
    expect(Kernel.openDescriptors()).toEqual(descriptors)
    expect((yield* stats).registrations).toBe(registrations)
    // The witness is the only registration, and it is still reported.
    Kernel.signal(witness)
    expect(yield* idsReadyNow).toEqual([id])
    yield* Registrar.deregister(witness)
    // The next id follows that of the witness.
    expect(yield* Registrar.register(witness, "Read")).toBe(id + 1)
    yield* Registrar.deregister(witness)
    Kernel.close(witness)
    return error
  })

const noDescriptor = /^invalid descriptor .*: expected an integer, or an object with an integer fd$/

const noNumbers: ReadonlyArray<unknown> = [
  1.5,
  NaN,
  Infinity,
  -Infinity,
  2 ** 31,
  -(2 ** 31) - 1,
  2 ** 32 + 1,
  undefined,
  null,
  "3",
  3n,
  true,
  {},
  [],
  { fd: 1.5 },
  { fd: "3" },
  { fd: undefined },
  { fd: null }
]

const alreadyRegistered = (call: string, fd: number) =>
  `${call} on fd ${fd}: EEXIST, this descriptor is registered already ` +
  "(its owner reregisters or deregisters it; a socket or an AsyncFd of this library does so itself)"
const notRegistered = (call: string, fd: number) =>
  `${call} on fd ${fd}: ENOENT, this descriptor is not registered ` +
  "(register it first; closing a descriptor also ends its registration)"
const notOpen = (call: string, fd: number) =>
  `${call} on fd ${fd}: EBADF, this is not an open descriptor (it may have been closed already)`
const notPollable = (fd: number) =>
  `epoll_ctl(ADD) on fd ${fd}: EPERM, this descriptor cannot be polled (regular files, directories and some devices never can)`

describeLayers("promise 12: registering what cannot be registered", (layer) => {
  it.live("a closed or negative number fails with BadDescriptor", () =>
    Effect.gen(function* () {
      const closed = Kernel.source()
      const highest = 2 ** 31 - 1
      // This is far from the numbers that are opened next.
      const far = 15_000
      Kernel.dup2(closed, far)
      const id = yield* Registrar.register(far, "Read")
      Kernel.close(far)
      Kernel.close(closed)
      for (const fd of [-1, -(2 ** 31), highest, far]) {
        const add = yield* isRefused(Registrar.register(fd, "Read"), "BadDescriptor", notOpen("epoll_ctl(ADD)", fd))
        expect(add.reason).toMatchObject({ syscall: "epoll_ctl(ADD)", errno: 9, code: "EBADF", fd })
        yield* isRefused(Registrar.deregister(fd), "BadDescriptor", notOpen("epoll_ctl(DEL)", fd))
      }
      yield* isRefused(Registrar.reregister(far, id, "Read"), "BadDescriptor", notOpen("epoll_ctl(MOD)", far))
      yield* isRefused(
        Effect.scoped(Registrar.registerScoped(-1, "Read")),
        "BadDescriptor",
        notOpen("epoll_ctl(ADD)", -1)
      )
    }).pipe(Effect.provide(layer()))
  )

  it.live("a value that is not an integer fails with InvalidArgument", () =>
    Effect.gen(function* () {
      for (const value of noNumbers) {
        yield* isRefused(Registrar.register(untyped(value), "Read"), "InvalidArgument", noDescriptor)
        yield* isRefused(
          Registrar.reregister(untyped(value), Registrar.RegistrationId(1), "Read"),
          "InvalidArgument",
          noDescriptor
        )
        yield* isRefused(Registrar.deregister(untyped(value)), "InvalidArgument", noDescriptor)
      }
    }).pipe(Effect.provide(layer()))
  )

  it.live("a regular file or a directory fails with NotPollable", () =>
    Effect.gen(function* () {
      for (const path of [fileURLToPath(import.meta.url), tmpdir()]) {
        const fd = openSync(path, "r")
        const error = yield* isRefused(Registrar.register(fd, "Both"), "NotPollable", notPollable(fd))
        expect(error.reason).toMatchObject({ errno: 1, code: "EPERM", fd })
        yield* isRefused(Registrar.register({ fd }, "Both"), "NotPollable", notPollable(fd))
        closeSync(fd)
      }
    }).pipe(Effect.provide(layer()))
  )

  it.live("a descriptor that is registered already fails with AlreadyRegistered", () =>
    Effect.gen(function* () {
      const fd = Kernel.source()
      const id = yield* Registrar.register(fd, "Read")
      yield* isRefused(Registrar.register(fd, "Write"), "AlreadyRegistered", alreadyRegistered("epoll_ctl(ADD)", fd))
      yield* isRefused(Registrar.register({ fd }, "Read"), "AlreadyRegistered", alreadyRegistered("epoll_ctl(ADD)", fd))
      // Its interest is unchanged, and does not include writing.
      expect(yield* idsReadyNow).toEqual([])
      Kernel.signal(fd)
      expect(yield* idsReadyNow).toEqual([id])
      yield* Registrar.deregister(fd)
      Kernel.close(fd)
    }).pipe(Effect.provide(layer()))
  )

  it.live("deregister and reregister of an unregistered descriptor fail with NotRegistered", () =>
    Effect.gen(function* () {
      const fd = Kernel.source()
      yield* isRefused(Registrar.deregister(fd), "NotRegistered", notRegistered("epoll_ctl(DEL)", fd))
      const id = yield* Registrar.register(fd, "Read")
      yield* Registrar.deregister(fd)
      yield* isRefused(Registrar.deregister(fd), "NotRegistered", notRegistered("epoll_ctl(DEL)", fd))
      yield* isRefused(Registrar.reregister(fd, id, "Read"), "NotRegistered", notRegistered("epoll_ctl(MOD)", fd))
      Kernel.close(fd)
    }).pipe(Effect.provide(layer()))
  )

  it.live("reregister under another id fails with NotRegistered", () =>
    Effect.gen(function* () {
      const [one, other] = [Kernel.source(), Kernel.source()]
      const id = yield* Registrar.register(one, "Read")
      const otherId = yield* Registrar.register(other, "Read")
      for (const never of [otherId + 1_000_000, 0, -1, 1.5, NaN, Infinity, 2 ** 53, undefined, null, `${id}`]) {
        yield* isRefused(
          Registrar.reregister(one, untyped(never), "Write"),
          "NotRegistered",
          `on fd ${one}: ${String(never)} is not a registration of this poller: pass the id that register returned`
        )
      }
      for (const [wrong, fd] of [
        [otherId, one],
        [id, other]
      ] as const) {
        yield* isRefused(
          Registrar.reregister(fd, wrong, "Write"),
          "NotRegistered",
          `on fd ${fd}: this descriptor is not registered as ${wrong}: pass the id that register returned for it`
        )
      }
      // The same holds for the id of a registration that has ended.
      const third = Kernel.source()
      const retired = yield* Registrar.register(third, "Read")
      yield* Registrar.deregister(third)
      Kernel.close(third)
      yield* isRefused(
        Registrar.reregister(one, retired, "Write"),
        "NotRegistered",
        `on fd ${one}: this descriptor is not registered as ${retired}: pass the id that register returned for it`
      )
      // The interest of neither includes writing.
      expect(yield* idsReadyNow).toEqual([])
      Kernel.signal(one)
      Kernel.signal(other)
      expect(yield* idsReadyNow).toEqual([id, otherId])
      for (const fd of [one, other]) {
        yield* Registrar.deregister(fd)
        Kernel.close(fd)
      }
    }).pipe(Effect.provide(layer()))
  )

  it.live("exclusive with oneshot or priority, and a change from or to exclusive, fail", () =>
    Effect.gen(function* () {
      const fd = Kernel.source()
      for (const options of [{ mode: "oneshot" }, { priority: true }, { mode: "oneshot", priority: true }] as const) {
        yield* isRefused(
          Registrar.register(fd, "Read", { ...options, exclusive: true }),
          "InvalidArgument",
          "exclusive cannot be combined with oneshot or priority: the kernel has no such registration"
        )
      }
      const unchangeable =
        `on fd ${fd}: an exclusive registration cannot be changed, and no other can become exclusive: ` +
        "deregister it, then register it"
      const plain = yield* Registrar.register(fd, "Read")
      yield* isRefused(Registrar.reregister(fd, plain, "Read", { exclusive: true }), "InvalidArgument", unchangeable)
      yield* Registrar.deregister(fd)
      const exclusive = yield* Registrar.register(fd, "Read", { exclusive: true })
      yield* isRefused(Registrar.reregister(fd, exclusive, "Both"), "InvalidArgument", unchangeable)
      Kernel.signal(fd)
      expect(yield* idsReadyNow).toEqual([exclusive])
      yield* Registrar.deregister(fd)
      Kernel.close(fd)
    }).pipe(Effect.provide(layer()))
  )

  it.live("an unknown event or mode fails with InvalidArgument", () =>
    Effect.gen(function* () {
      const fd = Kernel.source()
      const id = yield* Registrar.register(fd, "Read")
      const other = Kernel.source()
      for (const event of ["read", "", "Readable", "toString", 1, null, undefined, {}]) {
        const message = /the event to watch for must be "Read", "Write" or "Both"$/
        yield* isRefused(Registrar.register(other, untyped(event)), "InvalidArgument", message)
        yield* isRefused(Registrar.reregister(fd, id, untyped(event)), "InvalidArgument", message)
      }
      for (const mode of ["level", "Edge", "", 1, null]) {
        const message = /the mode of a registration must be "edge" or "oneshot"$/
        yield* isRefused(Registrar.register(other, "Read", untyped({ mode })), "InvalidArgument", message)
        yield* isRefused(Registrar.reregister(fd, id, "Read", untyped({ mode })), "InvalidArgument", message)
      }
      yield* Registrar.deregister(fd)
      Kernel.close(fd)
      Kernel.close(other)
    }).pipe(Effect.provide(layer()))
  )

  it.live("the poller's own descriptors cannot be registered", () =>
    Effect.gen(function* () {
      const { handle } = yield* Poller.Poller
      for (const fd of [contentsOf(handle).selector.fd, contentsOf(handle).selector.wake]) {
        const message = `on fd ${fd}: this descriptor belongs to the poller itself: pass one of your own`
        yield* isRefused(Registrar.register(fd, "Read"), "InvalidArgument", message)
        yield* isRefused(Registrar.reregister(fd, Registrar.RegistrationId(1), "Read"), "InvalidArgument", message)
        yield* isRefused(Registrar.deregister(fd), "InvalidArgument", message)
      }
      // The kernel itself refuses a duplicate of the epoll descriptor.
      const duplicate = Kernel.dup(contentsOf(handle).selector.fd)
      yield* isRefused(Registrar.register(duplicate, "Read"), "InvalidArgument", /a poller cannot watch itself/)
      Kernel.close(duplicate)
    }).pipe(Effect.provide(layer()))
  )

  it.live("a wait with an invalid timeout fails with InvalidArgument", () =>
    Effect.gen(function* () {
      const { wait } = yield* Poller.Poller
      for (const timeout of [
        NaN,
        -1,
        -0.5,
        -Infinity,
        "abc",
        "-1 seconds",
        "",
        undefined,
        null,
        true,
        { millis: NaN }
      ]) {
        yield* isRefused(
          Effect.suspend(() => wait(untyped(timeout))),
          "InvalidArgument",
          `invalid timeout ${String(timeout)}: expected zero or more, or Duration.infinity`
        )
      }
    }).pipe(Effect.provide(layer()))
  )
})

describe("promise 12: building what cannot be built", () => {
  const outside = {
    mailboxSize: [0, -1, 1.5, NaN, Infinity, 2 ** 20 + 1, "64"],
    maxThreads: [0, -1, 1.5, NaN, 2048, "2"],
    batchSize: [0, -1, 1.5, NaN, 65_537, "1"]
  }
  const limits = { mailboxSize: 1_048_576, maxThreads: 2047, batchSize: 65_536 }
  const builders = rowsHere({
    layerWorker: Poller.layerWorker,
    layerEventLoop: Poller.layerEventLoop,
    layerBlocking: (options?: Poller.LayerOptions) => Poller.layerBlocking({ ...options, allowMainThread: true })
  })

  for (const [name, layer] of Object.entries(builders)) {
    it.live(`options outside their range are refused (${name})`, () =>
      Effect.gen(function* () {
        for (const option of ["mailboxSize", "maxThreads", "batchSize"] as const) {
          for (const value of outside[option]) {
            const before = Kernel.openDescriptors()
            const error = yield* Effect.flip(
              Effect.scoped(Effect.provide(Effect.void, layer({ [option]: untyped(value) })))
            )
            expect(error.reason._tag).toBe("InvalidArgument")
            expect(error.message).toBe(
              `invalid ${option} ${String(value)}: expected an integer from 1 to ${limits[option]}`
            )
            expect(Kernel.openDescriptors()).toEqual(before)
          }
        }
      })
    )
  }

  it.live("layerBlocking is refused on the main thread, unless allowMainThread is set", () =>
    // Tests run on the main thread of a process.
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.provide(Effect.void, Poller.layerBlocking()))
      expect(error.reason._tag).toBe("InvalidArgument")
      expect(error.message).toBe(
        "layerBlocking would block the main thread: build it in a worker thread, or pass allowMainThread: true"
      )
    })
  )

  it.live("an invalid handle is refused", () =>
    Effect.gen(function* () {
      const { handle } = yield* Poller.Poller
      for (const value of [
        undefined,
        null,
        1,
        {},
        { ...handle, "~effect-amy/PollerHandle": undefined },
        { ...handle, memory: new ArrayBuffer(8) },
        { ...handle, memory: new SharedArrayBuffer(0) },
        { ...handle, memory: new SharedArrayBuffer(4) },
        { ...handle, memory: new SharedArrayBuffer(contentsOf(handle).memory.byteLength) },
        { ...handle, selector: { fd: "3", wake: 4 } },
        { ...handle, selector: undefined }
      ]) {
        yield* isRefused(
          Effect.provide(Effect.void, Poller.layerAttach(untyped(value))),
          "InvalidArgument",
          "this is not the handle of a poller: pass what Poller.handle is in the other thread"
        )
      }
    }).pipe(Effect.provide(Poller.layerWorker()))
  )

  it.live("more threads than maxThreads are refused", () =>
    Effect.gen(function* () {
      const { handle } = yield* Poller.Poller
      const attach = Effect.provide(Effect.succeed("attached"), Poller.layerAttach(handle))
      const nested = Effect.provide(
        isRefused(
          attach,
          "LimitReached",
          "all 2 mailboxes of this poller are taken (build it with a larger maxThreads)"
        ),
        Poller.layerAttach(handle)
      )
      yield* nested
      // A place that was given up can be taken again.
      expect(yield* attach).toBe("attached")
    }).pipe(Effect.provide(Poller.layerWorker({ maxThreads: 2 })))
  )

  it.live.skipIf(notLinux)(
    onLinux("the names of epoll", "every layer fails with LimitReached while the process can open no more descriptors"),
    () =>
      Effect.gen(function* () {
        const output = yield* Effect.promise(() => runWithFewDescriptors("fewDescriptors"))
        const lines = output.trim().split("\n")
        const emfile = "EMFILE, this process may open no more descriptors (raise `ulimit -n`, or close some)"
        expect(lines).toEqual([
          ...["worker", "eventLoop", "blocking"].flatMap((name) => [
            `${name} with 0 left: LimitReached epoll_create1: ${emfile}; leaked 0`,
            `${name} with 1 left: LimitReached eventfd: ${emfile}; leaked 0`
          ]),
          `attach with 0 left: LimitReached fcntl(F_DUPFD_CLOEXEC): ${emfile}; leaked 0`,
          `attach with 1 left: LimitReached fcntl(F_DUPFD_CLOEXEC): ${emfile}; leaked 0`,
          "afterwards: attached"
        ])
      })
  )
})

/**
 * Runs a program of test/programs in a process that may have 128 descriptors. Returns its output.
 */
const runWithFewDescriptors = (name: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const args = ["--conditions=effect-amy-source", fileURLToPath(programUrl(`programs/${name}`))]
    const shell = ["-c", 'ulimit -n 128 && exec "$0" "$@"', process.execPath, ...args]
    execFile("sh", shell, (error, stdout) => (error === null ? resolve(stdout) : reject(error)))
  })
