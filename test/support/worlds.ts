/**
 * The worlds in which a behaviour must hold: the real kernel behind each way of polling, the
 * in-memory kernel of `TestPoller`, and a simulated kernel with kqueue(2) below the library's own
 * code. A world offers what a test can do to descriptors and to time, so that one test runs in all
 * of them.
 */
import { describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Poller, type PollerError, Registrar } from "effect-amy"
import { TestPoller } from "effect-amy/testing"
import { closeSync, openSync } from "node:fs"
import { darwin } from "../../src/internal/libc/profiles/darwin.ts"
import { freebsd } from "../../src/internal/libc/profiles/freebsd.ts"
import { provideLibc } from "../../src/internal/libc/koffi.ts"
import type { KqueueProfile } from "../../src/internal/libc/profiles/kqueueProfile.ts"
import { openbsd } from "../../src/internal/libc/profiles/openbsd.ts"
import type { Attachment } from "../../src/internal/delivery/attachment.ts"
import { attachmentOf } from "../../src/internal/delivery/registrar.ts"
import { Interest } from "../../src/internal/kernel/selector.ts"
import { breakSelector } from "./fault.ts"
import * as Kernel from "./kernel.ts"
import { everyLayer, type PollerLayer } from "./layers.ts"
import { isWindows, notLinux } from "./platform.ts"
import { SimulatedAfd } from "./simulatedAfd.ts"
import { SimulatedKqueue } from "./simulatedKqueue.ts"
import { windowsWorld } from "./windowsWorld.ts"

/** One end of a connection. The world holds the other one. */
export interface Socket {
  readonly fd: number
  /** Makes a byte arrive. */
  readonly receive: Effect.Effect<void>
  /** Reads everything that has arrived. */
  readonly drain: Effect.Effect<void>
  /** Writes until there is no room. */
  readonly fill: Effect.Effect<void>
  /** Makes the peer read all that was written, so that there is room again. */
  readonly makeRoom: Effect.Effect<void>
  /** Makes the peer end its output. */
  readonly endInput: Effect.Effect<void>
  /** Makes the peer close. */
  readonly hangUp: Effect.Effect<void>
  /** Makes the peer close before it has read what was sent to it. */
  readonly reset: Effect.Effect<void>
  readonly close: Effect.Effect<void>
}

/** The writing end of a pipe. */
export interface PipeWriter {
  readonly fd: number
  readonly fill: Effect.Effect<void>
  /** Closes the reading end. */
  readonly breakPipe: Effect.Effect<void>
}

export interface World {
  /** The kind of kernel, for what the kinds report differently. */
  readonly kernel: "epoll" | "kqueue" | "afd"
  /** Connects a socket with room to write and nothing to read. */
  readonly socket: Effect.Effect<Socket, never, Scope.Scope>
  /**
   * Connects a socket under a number that the test chooses. It must be the last one that was
   * closed.
   */
  readonly socketAt: (fd: number) => Effect.Effect<Socket, never, Scope.Scope>
  readonly pipeWriter: Effect.Effect<PipeWriter, never, Scope.Scope>
  /** Connects a socket. `urge` makes out-of-band data arrive. */
  readonly urgentSocket: Effect.Effect<{ readonly fd: number; readonly urge: Effect.Effect<void> }, never, Scope.Scope>
  /** Opens a descriptor that cannot be polled. */
  readonly unpollable: Effect.Effect<number, never, Scope.Scope>
  /** Returns a number that is not open. */
  readonly closedNumber: Effect.Effect<number>
  /** Makes the waits in the kernel fail. */
  readonly kill: Effect.Effect<void, never, Scope.Scope>
  /** Closes the layer. */
  readonly close: Effect.Effect<void>
  /** Runs an effect that waits for a time, and lets the time pass. */
  readonly passing: (millis: number) => <A, E, R>(waiting: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Milliseconds. */
  readonly now: Effect.Effect<number>
}

/** A test, or a part of one, that runs in every world. */
export type Test<A> = (
  world: World
) => Effect.Effect<A, PollerError.PollerError, Poller.Poller | Registrar.Registrar | Scope.Scope>

export type Behaviour = Test<unknown>

const scopedDescriptors = <A extends ReadonlyArray<number>>(make: () => A) =>
  Effect.acquireRelease(Effect.sync(make), (fds) =>
    Effect.sync(() => {
      for (const fd of fds) if (Kernel.isOpen(fd)) Kernel.close(fd)
    })
  )

const realSocket = (fd: number, peer: number): Socket => ({
  fd,
  receive: Effect.sync(() => void Kernel.write(peer)),
  drain: Effect.sync(() => Kernel.drain(fd)),
  fill: Effect.sync(() => void Kernel.fill(fd)),
  makeRoom: Effect.sync(() => Kernel.drain(peer)),
  endInput: Effect.sync(() => Kernel.shutdownWrite(peer)),
  hangUp: Effect.sync(() => {
    // If a Unix socket closes with unread bytes, its peer gets an error.
    Kernel.drain(peer)
    Kernel.close(peer)
  }),
  reset: Effect.sync(() => {
    Kernel.write(fd)
    Kernel.close(peer)
  }),
  close: Effect.sync(() => Kernel.close(fd))
})

type RealWorld = Omit<World, "close" | "kill">

const realWorld: RealWorld = {
  kernel: process.platform === "linux" ? "epoll" : "kqueue",
  socket: Effect.map(scopedDescriptors(Kernel.socketPair), ([fd, peer]) => realSocket(fd, peer)),
  socketAt: (fd) =>
    Effect.map(
      scopedDescriptors(() => {
        const [any, peer] = Kernel.socketPair()
        if (any === fd) return [fd, peer] as const
        const kept = peer === fd ? Kernel.dup(peer) : peer
        Kernel.dup2(any, fd)
        Kernel.close(any)
        return [fd, kept] as const
      }),
      ([fd, peer]) => realSocket(fd, peer)
    ),
  pipeWriter: Effect.map(scopedDescriptors(Kernel.pipe), ([reader, fd]) => ({
    fd,
    fill: Effect.sync(() => void Kernel.fill(fd)),
    breakPipe: Effect.sync(() => Kernel.close(reader))
  })),
  urgentSocket: Effect.map(scopedDescriptors(Kernel.tcpPair), ([fd, peer]) => ({
    fd,
    urge: Effect.sync(() => Kernel.sendOutOfBand(peer))
  })),
  unpollable: Effect.acquireRelease(
    Effect.sync(() => openSync(import.meta.filename, "r")),
    (fd) => Effect.sync(() => closeSync(fd))
  ),
  closedNumber: Effect.sync(() => {
    const fd = openSync(import.meta.filename, "r")
    closeSync(fd)
    return fd
  }),
  passing: () => (waiting) => waiting,
  now: Effect.sync(() => performance.now())
}

const fakeSocket = (descriptor: TestPoller.FakeDescriptor): Socket => ({
  fd: descriptor.fd,
  receive: Effect.orDie(descriptor.readable),
  drain: Effect.orDie(descriptor.drained),
  fill: Effect.orDie(descriptor.full),
  makeRoom: Effect.orDie(descriptor.writable),
  endInput: Effect.orDie(descriptor.readClosed),
  hangUp: Effect.orDie(descriptor.hungUp),
  reset: Effect.orDie(Effect.andThen(descriptor.hungUp, descriptor.failed)),
  close: Effect.orDie(descriptor.close)
})

const testWorld = (kernel: TestPoller.TestPoller["Service"]): Omit<World, "close"> => {
  const writable = Effect.tap(kernel.open, (descriptor) => Effect.orDie(descriptor.writable))
  return {
    kernel: "epoll",
    socket: Effect.map(writable, fakeSocket),
    socketAt: (fd) =>
      Effect.map(writable, (descriptor) => {
        if (descriptor.fd !== fd) throw new Error(`expected the number ${fd}, got ${descriptor.fd}`)
        return fakeSocket(descriptor)
      }),
    pipeWriter: Effect.map(writable, ({ failed, fd, full }) => ({
      fd,
      fill: Effect.orDie(full),
      breakPipe: Effect.orDie(failed)
    })),
    urgentSocket: Effect.map(kernel.open, ({ fd, priority }) => ({ fd, urge: Effect.orDie(priority) })),
    unpollable: Effect.map(kernel.openUnpollable, ({ fd }) => fd),
    closedNumber: Effect.orDie(Effect.flatMap(kernel.open, ({ close, fd }) => Effect.as(close, fd))),
    kill: kernel.kill,
    passing: (millis) => (waiting) =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(waiting, { startImmediately: true })
        yield* TestClock.adjust(millis)
        return yield* Fiber.join(fiber)
      }),
    now: Clock.currentTimeMillis
  }
}

const openedBy = (system: SimulatedKqueue | SimulatedAfd) =>
  Effect.acquireRelease(
    Effect.sync(() => system.socket()),
    (fd) => Effect.sync(() => void system.close(fd))
  )

/** The world of a simulated Windows. Sockets are all that it can poll. */
const simulatedAfdWorld = (system: SimulatedAfd, { selector }: Attachment): Omit<World, "close"> => {
  const change = (fd: number, change: Parameters<SimulatedAfd["change"]>[1]) =>
    Effect.sync(() => system.change(fd, change))
  const socketOf = (fd: number): Socket => ({
    fd,
    receive: change(fd, (socket) => socket.pending++),
    // An attempt that finds nothing more makes the kernel report what comes next.
    drain: Effect.sync(() => {
      system.change(fd, (socket) => (socket.pending = 0))
      selector.rearm!(fd, Interest.Read)
    }),
    fill: Effect.sync(() => {
      system.change(fd, (socket) => (socket.isWritable = false))
      selector.rearm!(fd, Interest.Write)
    }),
    makeRoom: change(fd, (socket) => (socket.isWritable = true)),
    endInput: change(fd, (socket) => (socket.readEnd = true)),
    hangUp: change(fd, (socket) => {
      socket.readEnd = true
      socket.isReset = true
    }),
    reset: change(fd, (socket) => (socket.isReset = true)),
    close: Effect.sync(() => void system.close(fd))
  })
  const opened = openedBy(system)
  return {
    kernel: "afd",
    socket: Effect.map(opened, socketOf),
    socketAt: (wanted) =>
      Effect.map(opened, (fd) => {
        if (fd !== wanted) throw new Error(`expected the number ${wanted}, got ${fd}`)
        return socketOf(fd)
      }),
    pipeWriter: Effect.map(opened, (fd) => ({ fd, fill: socketOf(fd).fill, breakPipe: socketOf(fd).reset })),
    urgentSocket: Effect.map(opened, (fd) => ({ fd, urge: change(fd, (socket) => socket.urgent++) })),
    unpollable: Effect.sync(() => system.file()),
    closedNumber: Effect.sync(() => {
      const fd = system.socket()
      system.close(fd)
      return fd
    }),
    kill: Effect.sync(() => system.break()),
    passing: () => (waiting) => waiting,
    now: Effect.sync(() => performance.now())
  }
}

/** The world of a simulated system. */
const simulatedWorld = (system: SimulatedKqueue): Omit<World, "close"> => {
  const socketOf = (fd: number): Socket => ({
    fd,
    receive: Effect.sync(() => system.change(fd, (file) => file.pending++, "READ")),
    drain: Effect.sync(() => system.change(fd, (file) => (file.pending = 0))),
    fill: Effect.sync(() => system.change(fd, (file) => (file.isWritable = false))),
    makeRoom: Effect.sync(() => system.change(fd, (file) => (file.isWritable = true), "WRITE")),
    endInput: Effect.sync(() => system.change(fd, (file) => (file.readEnd = true), "READ")),
    hangUp: Effect.sync(() => system.hangUp(fd)),
    reset: Effect.sync(() => system.hangUp(fd, true)),
    close: Effect.sync(() => void system.close(fd))
  })
  const opened = openedBy(system)
  return {
    kernel: "kqueue",
    socket: Effect.map(opened, socketOf),
    socketAt: (wanted) =>
      Effect.map(opened, (fd) => {
        if (fd !== wanted) throw new Error(`expected the number ${wanted}, got ${fd}`)
        return socketOf(fd)
      }),
    pipeWriter: Effect.map(opened, (fd) => ({ fd, fill: socketOf(fd).fill, breakPipe: socketOf(fd).hangUp })),
    urgentSocket: Effect.map(opened, (fd) => ({
      fd,
      urge: Effect.sync(() => system.change(fd, (file) => file.urgent++, "EXCEPT"))
    })),
    unpollable: Effect.sync(() => system.file()),
    closedNumber: Effect.sync(() => {
      const fd = system.socket()
      system.close(fd)
      return fd
    }),
    kill: Effect.sync(() => system.break()),
    passing: () => (waiting) => waiting,
    now: Effect.sync(() => performance.now())
  }
}

/** Builds a layer in a scope that a test can close, and runs the test with it. */
const run = <Services, A>(
  layer: Layer.Layer<Services, PollerError.PollerError>,
  worldOf: (services: Context.Context<Services>) => Omit<World, "close">,
  test: (world: World) => Effect.Effect<A, PollerError.PollerError, NoInfer<Services> | Scope.Scope>
): Effect.Effect<A, PollerError.PollerError> =>
  Effect.acquireUseRelease(
    Scope.make(),
    (scope) =>
      Effect.flatMap(Layer.buildWithScope(layer, scope), (services) =>
        test({ ...worldOf(services), close: Scope.close(scope, Exit.void) }).pipe(
          Effect.scoped,
          Effect.provide(services)
        )
      ),
    (scope) => Scope.close(scope, Exit.void)
  )

/** Runs a test with real descriptors. */
export const onKernel = <A>(layer: PollerLayer, test: Test<A>): Effect.Effect<A, PollerError.PollerError> =>
  run(
    layer,
    (services) =>
      isWindows
        ? windowsWorld(Effect.runSync(attachmentOf(Context.get(services, Registrar.Registrar))))
        : { ...realWorld, kill: breakSelector(Context.get(services, Poller.Poller).handle) },
    test
  )

/** Runs a test with real descriptors, where the C library has been given a kqueue. */
export const onRealKqueue = <A>(layer: PollerLayer, test: Test<A>): Effect.Effect<A, PollerError.PollerError> =>
  run(
    layer,
    () => ({ ...realWorld, kernel: "kqueue", kill: Effect.die("nothing makes a wait in a kqueue fail") }),
    test
  )

/** Runs a test with the descriptors of `TestPoller`. */
export const onTestPoller = <A>(test: Test<A>): Effect.Effect<A, PollerError.PollerError> =>
  run(TestPoller.layer, (services) => testWorld(Context.get(services, TestPoller.TestPoller)), test)

/** The simulated systems: both layouts of `struct kevent`, and one that wakes itself by a pipe. */
const systems: { readonly [name: string]: KqueueProfile } = {
  "kqueue, simulated, 32-byte": darwin,
  "kqueue, simulated, 32-byte, without EVFILT_USER": {
    ...openbsd,
    kqueue: { ...openbsd.kqueue, EVFILT_USER: undefined }
  },
  // FreeBSD has no filter for out-of-band data. It gets one, so that the filter is tried in this
  // layout.
  "kqueue, simulated, 64-byte": {
    ...freebsd,
    kqueue: { ...freebsd.kqueue, layout: { stride: 16 }, EVFILT_EXCEPT: darwin.kqueue.EVFILT_EXCEPT }
  }
}

/** Runs a test with the descriptors of a simulated system. */
export const onSimulatedKqueue = <A>(
  profile: KqueueProfile,
  test: (world: World, system: SimulatedKqueue) => ReturnType<Test<A>>
): Effect.Effect<A, PollerError.PollerError> =>
  Effect.suspend(() => {
    const system = new SimulatedKqueue(profile)
    return Effect.acquireUseRelease(
      Effect.sync(() => provideLibc(system.libc)),
      () =>
        run(
          Poller.layerEventLoop(),
          () => simulatedWorld(system),
          (world) => test(world, system)
        ),
      (before) => Effect.sync(() => void provideLibc(before))
    )
  })

/** Runs a test with the sockets of a simulated Windows. */
export const onSimulatedAfd = <A>(
  test: (world: World, system: SimulatedAfd) => ReturnType<Test<A>>
): Effect.Effect<A, PollerError.PollerError> =>
  Effect.suspend(() => {
    const system = new SimulatedAfd()
    return Effect.acquireUseRelease(
      Effect.sync(() => provideLibc(system.libc)),
      () =>
        run(
          // The event loop cannot watch a port, and another thread has no simulated system.
          Poller.layerBlocking({ allowMainThread: true }),
          (services) => {
            const attachment = Effect.runSync(attachmentOf(Context.get(services, Registrar.Registrar)))
            return simulatedAfdWorld(system, attachment)
          },
          (world) => test(world, system)
        ),
      (before) => Effect.sync(() => void provideLibc(before))
    )
  })

/** Under Wine, where all is slow, the simulations are left out: they are the same on every system. */
const simulates = process.env["WINEPREFIX"] === undefined

/** Whether a behaviour needs what this system has not. */
const isElsewhere = (about: string, name: string): boolean => {
  // A filter that not every system has, and a wait that can be made to fail.
  if (
    notLinux &&
    (about === "promise 8: if the polling thread dies by itself" || name.startsWith("out-of-band data"))
  ) {
    return true
  }
  // Windows chooses the numbers of sockets.
  return isWindows && /number is reused|same number|registered in another way|removed or closed/.test(name)
}

/** Runs the behaviours in every world. Each group is named after its subject. */
export const describeBehaviours = (behaviours: {
  readonly [about: string]: { readonly [name: string]: Behaviour }
}): void => {
  for (const [about, group] of Object.entries(behaviours)) {
    for (const [layerName, layer] of Object.entries(everyLayer)) {
      describe(`${about} (${layerName})`, () => {
        for (const [name, behaviour] of Object.entries(group)) {
          it.live.skipIf(isElsewhere(about, name))(name, () => onKernel(layer(), behaviour))
        }
      })
    }
    if (!simulates) continue
    for (const [name, profile] of Object.entries(systems)) {
      describe(`${about} (${name})`, () => {
        for (const [behaviourName, behaviour] of Object.entries(group)) {
          it.live(behaviourName, () => onSimulatedKqueue(profile, behaviour))
        }
      })
    }
    describe(`${about} (Windows, simulated)`, () => {
      for (const [name, behaviour] of Object.entries(group)) it.live(name, () => onSimulatedAfd(behaviour))
    })
    describe(`${about} (TestPoller.layer)`, () => {
      for (const [name, behaviour] of Object.entries(group)) it.effect(name, () => onTestPoller(behaviour))
    })
  }
}
