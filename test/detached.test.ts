/** Every method of every object that a user gets can be passed on: it works without its object. */
import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, Layer, type Scope } from "effect"
import {
  AsyncFd,
  Fd,
  ForeignFd,
  FrameReader,
  FrameWriter,
  LineReader,
  Netlink,
  Notification,
  PollChannel,
  Poller,
  PollerError,
  ProcessExit,
  Pty,
  Registrar,
  Serial,
  Tcp,
  Udp,
  Unix
} from "effect-amy"
import { TestPoller } from "effect-amy/testing"
import { globSync, readFileSync } from "node:fs"
import { type Arguments, defectOf, membersOf } from "./support/detached.ts"
import * as Kernel from "./support/kernel.ts"
import { directory } from "./support/owned.ts"
import { openTerminal } from "./support/terminal.ts"
import { scopedFds } from "./support/watched.ts"
import { someLayer } from "./support/layers.ts"

interface Kind {
  /** Makes an object of this kind. */
  readonly make: Effect.Effect<object, PollerError.PollerError, Poller.Poller | Registrar.Registrar | Scope.Scope>
  /** What its methods are called with. A method that is missing here is called with nothing. */
  readonly given?: Arguments
  /** Methods that its public interface does not have. They are not called. */
  readonly internals?: ReadonlyArray<string>
}

const bytes = Uint8Array.of(1, 2, 3)
const attempt = Effect.succeedSome(1)

const watched = Effect.gen(function* () {
  const [fd, far] = yield* scopedFds(Kernel.socketPair)
  Kernel.write(far!)
  return yield* AsyncFd.make(fd!)
})

const testPoller = Effect.map(Layer.build(TestPoller.layer), (context) => Context.get(context, TestPoller.TestPoller))

const streamMethods: Arguments = {
  read: [new Uint8Array(8)],
  tryRead: [new Uint8Array(8)],
  write: [bytes],
  tryWrite: [bytes],
  writeAll: [bytes],
  shutdown: ["write"],
  setOptions: [{}]
}

const kinds: { readonly [name: string]: Kind } = {
  Fd: {
    make: Effect.map(Fd.pipe, ({ reader }) => reader),
    given: {
      tryRead: [new Uint8Array(8)],
      tryWrite: [bytes],
      tryReadv: [[new Uint8Array(8)]],
      tryWritev: [[bytes]],
      setNonblocking: [true]
    }
  },
  AsyncFd: {
    make: watched,
    given: { ...streamMethods, readWhenReady: [attempt], writeWhenReady: [attempt] }
  },
  ForeignFd: {
    make: Effect.flatMap(scopedFds(Kernel.socketPair), ([fd]) => ForeignFd.make(fd)),
    given: { wait: ["Write"] }
  },
  ForeignFdSet: {
    make: ForeignFd.makeSet,
    given: { update: [0, "None"], updateTimeout: [0], wait: [{ timeout: 0 }] }
  },
  ForeignFdDriver: { make: ForeignFd.makeDriver(() => Effect.succeed(ForeignFd.done(1))), given: { wake: [] } },
  NetlinkSocket: { make: Netlink.open(Netlink.NETLINK_ROUTE), given: { send: [{ type: 0 }], request: [1000] } },
  ProcessHandle: { make: ProcessExit.open(process.pid), given: { signal: [0] } },
  Pty: {
    make: Pty.spawn("cat"),
    given: { ...streamMethods, resize: [100, 50], kill: ["SIGTERM"] },
    internals: ["release"]
  },
  Ready: { make: Effect.flatMap(watched, ({ writable }) => writable) },
  Serial: {
    make: Effect.flatMap(openTerminal, ({ path }) => Serial.open(path, { baudRate: 9600 })),
    given: { ...streamMethods, flush: ["both"], sendBreak: [0], setModem: [{}], set: [{}] },
    internals: ["release"]
  },
  TcpStream: {
    make: Effect.flatMap(Tcp.listen("127.0.0.1:0"), ({ address }) => Tcp.connect(address)),
    given: streamMethods
  },
  TcpListener: { make: Tcp.listen("127.0.0.1:0"), given: { run: [() => Effect.void] } },
  UnixStream: {
    make: Effect.map(Unix.socketPair, ([one]) => one),
    given: { ...streamMethods, sendDescriptors: [[0], bytes], receiveDescriptors: [new Uint8Array(8), 1] }
  },
  UnixListener: {
    make: Effect.flatMap(directory, (path) => Unix.listen(`${path}/socket`)),
    given: { run: [() => Effect.void] }
  },
  UdpSocket: {
    make: Udp.bind("127.0.0.1:0"),
    given: {
      send: [bytes, "127.0.0.1:9"],
      trySend: [bytes, "127.0.0.1:9"],
      sendMany: [[{ payload: bytes, address: "127.0.0.1:9" }]],
      connect: ["127.0.0.1:9"],
      setOptions: [{}],
      joinMulticast: [{ group: "239.255.7.7" }]
    },
    internals: ["join", "encode", "resolveZone"]
  },
  Datagram: {
    make: Effect.gen(function* () {
      const socket = yield* Udp.bind("127.0.0.1:0")
      yield* socket.send(bytes, yield* socket.localAddress)
      return yield* socket.receive
    })
  },
  PollChannel: { make: PollChannel.unbounded<number>() },
  Sender: {
    make: Effect.map(PollChannel.unbounded<number>(), ({ sender }) => sender),
    given: { send: [1], trySend: [1] }
  },
  Receiver: { make: Effect.map(PollChannel.unbounded<number>(), ({ receiver }) => receiver) },
  UserEvent: { make: Effect.flatMap(Registrar.Registrar, ({ userEvent }) => userEvent) },
  TestPoller: {
    make: testPoller,
    given: { failNextRegistration: [new PollerError.LimitReached({ description: "" })] }
  },
  FakeDescriptor: { make: Effect.flatMap(testPoller, ({ open }) => open) },
  LineReader: { make: Effect.sync(() => LineReader.make()), given: { feed: [bytes] } },
  FrameReader: { make: Effect.sync(() => FrameReader.make()), given: { feed: [bytes] } },
  FrameWriter: { make: Effect.sync(() => FrameWriter.make()), given: { push: [bytes], write: [() => 0] } },
  Poller: { make: Effect.map(Poller.Poller, (poller) => poller), given: { wait: [0] } },
  Registrar: {
    make: Effect.map(Registrar.Registrar, (registrar) => registrar),
    given: {
      register: [0, "Read"],
      registerScoped: [0, "Read"],
      reregister: [0, Registrar.RegistrationId(1), "Read"],
      deregister: [0],
      watch: [0, "Read"],
      timeout: ["1 minute"],
      interval: ["1 minute"],
      cancelTimer: [Registrar.RegistrationId(1)]
    }
  },
  Notification: { make: Effect.sync(() => Notification.make({ id: Registrar.RegistrationId(1), event: "Read" })) }
}

const layer = someLayer()

/** Returns the defects of the members that cannot be passed on, by name. */
const defects = ({ given, internals = [], make }: Kind) =>
  Effect.gen(function* () {
    const names = membersOf(yield* Effect.scoped(make)).filter((name) => !internals.includes(name))
    const found: Record<string, unknown> = {}
    for (const name of names) {
      // A new object each time: after `close` there would be nothing left to call.
      const defect = yield* Effect.scoped(Effect.flatMap(make, (object) => defectOf(object, name, given?.[name])))
      if (defect !== undefined) found[name] = defect
    }
    return found
  }).pipe(Effect.provide(layer))

describe("a method that is passed on", () => {
  it.live.each(Object.keys(kinds))("works without its object: %s", (kind) =>
    Effect.gen(function* () {
      expect(yield* defects(kinds[kind]!)).toEqual({})
    })
  )

  it.live("is called also where this file does not list its arguments", () =>
    Effect.gen(function* () {
      let calls = 0
      const object = Object.create({ unlisted: () => calls++ }) as object
      expect(yield* defects({ make: Effect.succeed(object) })).toEqual({})
      expect(calls).toBe(1)
    })
  )

  it.live("is noticed if its class does not detach it", () =>
    Effect.gen(function* () {
      class Forgetful {
        readonly #count = 1
        get later() {
          return Effect.sync(() => this.#count)
        }
        now() {
          return this.#count
        }
        effect() {
          return Effect.sync(() => this.#count)
        }
      }
      const found = yield* defects({ make: Effect.sync(() => new Forgetful()) })
      expect(Object.keys(found).toSorted()).toEqual(["effect", "now"])
      for (const defect of Object.values(found)) expect(defect).toBeInstanceOf(TypeError)
    })
  )

  it.live("is tried for every class of public objects", () =>
    Effect.gen(function* () {
      const tried = new Set<string>(["PublicObject"])
      for (const { make } of Object.values(kinds)) {
        for (let o: object | null = yield* Effect.scoped(make); o !== null; o = Object.getPrototypeOf(o) as object) {
          tried.add(o.constructor.name)
        }
      }
      const sources = globSync("src/internal/**/*.ts").map((file) => readFileSync(file, "utf8"))
      const classes = sources.flatMap((text) =>
        Array.from(text.matchAll(/class (\w+)(?:<.*>)? extends (\w+)/g), ([, name, base]) => ({
          name: name!,
          base: base!
        }))
      )
      const isPublic = (base: string): boolean =>
        base === "PublicObject" || classes.some(({ name, base: next }) => name === base && isPublic(next))
      const all = classes.filter(({ base }) => isPublic(base)).map(({ name }) => name)
      expect(all).toContain("FdImpl")
      expect(all.filter((name) => !tried.has(name))).toEqual([])
    }).pipe(Effect.provide(layer))
  )
})
