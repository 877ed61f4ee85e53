/** Connecting to a host of several addresses: which is attempted when, which wins, what fails. */
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { AddressResolver, Dns, NetAddress } from "effect/net"
import { type Poller, PollerError, PollerSocket, type Registrar, Tcp } from "effect-amy"
import { TestClock } from "effect/testing"
import { readFileSync } from "node:fs"
import { attemptDelay, connectToAny, interleave } from "../../src/internal/effectSocket/happyEyeballs.ts"
import * as Kernel from "../support/kernel.ts"
import { notLinux, onLinux } from "../support/platform.ts"
import { describeLayers } from "../support/layers.ts"
import { begin, turn } from "../support/watched.ts"

const addressesOf = (...texts: ReadonlyArray<string>) => {
  const [first, ...others] = texts.map(NetAddress.inetAddressFromStringUnsafe)
  return [first!, ...others] as const
}
const refused = new PollerError.ConnectionRefused({
  syscall: "connect",
  errno: 111,
  code: "ECONNREFUSED",
  address: "somewhere"
})

const order = (...texts: ReadonlyArray<string>) => interleave(addressesOf(...texts)).map(NetAddress.formatInet)

describe("the order of addresses", () => {
  it("has the families in turn, begins with the first, and keeps the order of each", () => {
    expect(order("[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1")).toEqual([
      "[::1]:1",
      "1.1.1.1:1",
      "[::2]:1",
      "2.2.2.2:1",
      "[::3]:1"
    ])
    expect(order("1.1.1.1:1", "2.2.2.2:1", "[::1]:1")).toEqual(["1.1.1.1:1", "[::1]:1", "2.2.2.2:1"])
    expect(order("1.1.1.1:1", "2.2.2.2:1")).toEqual(["1.1.1.1:1", "2.2.2.2:1"])
    expect(order("[::1]:1")).toEqual(["[::1]:1"])
  })
})

/** Attempts that the test decides on, and what happened to them. */
const attempts = (...texts: ReadonlyArray<string>) => {
  const events: Array<string> = []
  const results = new Map(texts.map((text) => [text, Deferred.makeUnsafe<string, PollerError.PollerError>()]))
  const connect = (address: NetAddress.InetAddress) => {
    const text = NetAddress.formatInet(address)
    return Effect.acquireRelease(
      Effect.sync(() => void events.push(`begin ${text}`)),
      () => Effect.sync(() => void events.push(`close ${text}`))
    ).pipe(Effect.andThen(Deferred.await(results.get(text)!)))
  }
  const failed: Array<PollerError.PollerError> = []
  return {
    events,
    failed,
    connected: (text: string) => Deferred.succeed(results.get(text)!, text),
    refuse: (text: string) => Deferred.fail(results.get(text)!, new PollerError.PollerError({ reason: refused })),
    die: (text: string) => Deferred.die(results.get(text)!, "unforeseen"),
    run: connectToAny(addressesOf(...texts), connect, failed)
  }
}

const [a, b, c] = ["1.1.1.1:1", "2.2.2.2:1", "3.3.3.3:1"] as const

describe("attempts", () => {
  it.effect("begin a quarter of a second apart while none ends", () =>
    Effect.gen(function* () {
      expect(attemptDelay).toBe(250)
      const { connected, events, run } = attempts(a, b, c)
      const running = yield* begin(run)
      expect(events).toEqual([`begin ${a}`])
      yield* TestClock.adjust(249)
      expect(events).toEqual([`begin ${a}`])
      yield* TestClock.adjust(1)
      expect(events).toEqual([`begin ${a}`, `begin ${b}`])
      yield* TestClock.adjust(250)
      expect(events).toEqual([`begin ${a}`, `begin ${b}`, `begin ${c}`])
      yield* TestClock.adjust("10 minutes")
      expect(running.pollUnsafe()).toBeUndefined()
      // An earlier attempt was not given up.
      yield* connected(a)
      expect(yield* Fiber.join(running)).toBe(a)
    }).pipe(Effect.scoped)
  )

  it.effect("the first connection wins, and the others are closed at once", () =>
    Effect.gen(function* () {
      const { connected, events, run } = attempts(a, b, c)
      const scope = yield* Scope.make()
      const running = yield* begin(Scope.provide(run, scope))
      yield* TestClock.adjust(500)
      yield* connected(b)
      expect(yield* Fiber.join(running)).toBe(b)
      expect(events.slice(3).toSorted()).toEqual([`close ${a}`, `close ${c}`])
      yield* Scope.close(scope, Exit.void)
      expect(events.slice(5)).toEqual([`close ${b}`])
    })
  )

  it.effect("of two that connect at the same moment, one is closed", () =>
    Effect.gen(function* () {
      const { connected, events, run } = attempts(a, b, c)
      const running = yield* begin(run)
      yield* TestClock.adjust(250)
      yield* connected(b)
      yield* connected(a)
      expect(yield* Fiber.join(running)).toBe(b)
      expect(events).toEqual([`begin ${a}`, `begin ${b}`, `close ${a}`])
    }).pipe(Effect.scoped)
  )

  it.effect("one that fails lets the next begin at once, and the delay counts from there", () =>
    Effect.gen(function* () {
      const { connected, events, refuse, run } = attempts(a, b, c)
      const running = yield* begin(run)
      yield* TestClock.adjust(100)
      yield* refuse(a)
      yield* TestClock.adjust(0)
      expect(events).toContain(`begin ${b}`)
      yield* TestClock.adjust(249)
      expect(events).not.toContain(`begin ${c}`)
      yield* TestClock.adjust(1)
      expect(events).toContain(`begin ${c}`)
      yield* connected(c)
      expect(yield* Fiber.join(running)).toBe(c)
    }).pipe(Effect.scoped)
  )

  it.effect("an earlier one that fails lets the next begin at once, too", () =>
    Effect.gen(function* () {
      const { events, refuse, run } = attempts(a, b, c)
      yield* begin(run)
      yield* TestClock.adjust(300)
      expect(events).not.toContain(`begin ${c}`)
      yield* refuse(a)
      yield* TestClock.adjust(0)
      expect(events).toContain(`begin ${c}`)
    }).pipe(Effect.scoped)
  )

  it.effect("if all fail, every error is there, in the order of the addresses", () =>
    Effect.gen(function* () {
      const { failed, refuse, run } = attempts(a, b, c)
      const running = yield* begin(Effect.flip(run))
      yield* TestClock.adjust(500)
      yield* refuse(c)
      yield* refuse(a)
      yield* TestClock.adjust("1 hour")
      expect(running.pollUnsafe()).toBeUndefined()
      expect(failed).toHaveLength(2)
      yield* refuse(b)
      const error = yield* Fiber.join(running)
      expect(error).toBeInstanceOf(AggregateError)
      expect((error as AggregateError).errors).toHaveLength(3)
      expect(error.message).toMatch(/1\.1\.1\.1:1: .*; 2\.2\.2\.2:1: .*; 3\.3\.3\.3:1: /)
    }).pipe(Effect.scoped)
  )

  it.effect("an interruption closes each of them, whenever it comes", () =>
    Effect.gen(function* () {
      for (const started of [1, 2, 3]) {
        const { events, run } = attempts(a, b, c)
        const running = yield* begin(run)
        yield* TestClock.adjust(250 * (started - 1))
        expect(events).toEqual([a, b, c].slice(0, started).map((text) => `begin ${text}`))
        yield* Fiber.interrupt(running)
        expect(events.slice(started).toSorted()).toEqual([a, b, c].slice(0, started).map((text) => `close ${text}`))
        yield* TestClock.adjust("1 hour")
        expect(events).toHaveLength(2 * started)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("a connection that is made at the moment of an interruption is closed", () =>
    Effect.gen(function* () {
      const { connected, events, run } = attempts(a, b)
      const running = yield* begin(run)
      yield* connected(a)
      yield* Fiber.interrupt(running)
      if (Exit.isFailure(yield* Fiber.await(running))) expect(events).toEqual([`begin ${a}`, `close ${a}`])
    }).pipe(Effect.scoped)
  )

  it.effect("a defect is not taken for a failed attempt", () =>
    Effect.gen(function* () {
      const { die, events, run } = attempts(a, b)
      const running = yield* begin(Effect.exit(run))
      yield* die(a)
      expect(yield* Fiber.join(running)).toEqual(Exit.die("unforeseen"))
      expect(events).toEqual([`begin ${a}`, `close ${a}`])
    }).pipe(Effect.scoped)
  )

  it.effect("of a single address is the only thing that happens: its error is as it was", () =>
    Effect.gen(function* () {
      const { events, refuse, run } = attempts(a)
      const running = yield* begin(Effect.flip(run))
      yield* TestClock.adjust("1 hour")
      yield* refuse(a)
      expect(PollerError.isPollerError(yield* Fiber.join(running))).toBe(true)
      expect(events).toEqual([`begin ${a}`])
    }).pipe(Effect.scoped)
  )
})

const host = "several.test"

/** Resolves the host to these addresses. */
const resolving = (...hosts: ReadonlyArray<string>) =>
  Layer.provide(AddressResolver.layer(), Dns.layerStatic({ hosts: { [host]: hosts } }))

/** Listens at the same port of each host, or leaves it free. */
const listeners = (plan: { readonly [host: string]: "accepts" | "swallows" | "refuses" }) =>
  Effect.gen(function* () {
    const hosts = Object.keys(plan)
    const first = yield* Tcp.listen({ address: hosts[0]!, port: 0 }, { backlog: 0 })
    const { port } = first.address
    const opened: Record<string, Tcp.TcpListener> = {}
    for (const [index, address] of hosts.entries()) {
      const listener = index === 0 ? first : yield* Tcp.listen({ address, port }, { backlog: 0 })
      opened[address] = listener
      // The kernel does not respond to a second connection that it has no room for.
      if (plan[address] === "swallows") yield* Tcp.connect(listener.address)
      if (plan[address] === "refuses") yield* listener.close
    }
    return { port, opened }
  }).pipe(Effect.retry({ while: ({ reason }) => reason._tag === "AddressInUse" }))

/** Returns the number of connections to a port that have not got a response yet: SYN_SENT. */
const underWay = (port: number): number => {
  const remote = new RegExp(
    `^ *\\d+: [0-9A-F]+:[0-9A-F]+ [0-9A-F]+:${port.toString(16).toUpperCase().padStart(4, "0")} 02 `,
    "gm"
  )
  return ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((file) => readFileSync(file, "utf8").match(remote) ?? []).length
}

const until = (holds: () => boolean) =>
  Effect.gen(function* () {
    while (!holds()) yield* turn
  })

const leavesNothing = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const before = [...Kernel.openDescriptors().keys()]
    yield* Effect.scoped(effect)
    expect([...Kernel.openDescriptors().keys()]).toEqual(before)
  })

const remoteText = (error: unknown) => {
  expect(PollerError.isPollerError(error)).toBe(true)
  const { reason } = error as PollerError.PollerError
  return [reason._tag, "address" in reason && reason.address]
}

describeLayers("PollerSocket with a host of several addresses", (layer) => {
  const test = (
    name: string,
    body: () => Effect.Effect<unknown, unknown, Poller.Poller | Registrar.Registrar | Scope.Scope>
  ) =>
    it.effect.skipIf(notLinux)(onLinux("all of 127.0.0.0/8", name), () =>
      Effect.provide(leavesNothing(Effect.suspend(body)), layer())
    )

  test("reaches the second if the first swallows packets, and lets go of the first", () =>
    Effect.gen(function* () {
      const { opened, port } = yield* listeners({ "127.0.0.2": "swallows", "127.0.0.3": "accepts" })
      const socket = yield* PollerSocket.make({ host, port })
      const reading = yield* begin(socket.reader)
      yield* until(() => underWay(port) === 1)
      const accepting = yield* begin(opened["127.0.0.3"]!.accept)
      yield* TestClock.adjust(249)
      yield* turn
      expect([reading.pollUnsafe(), accepting.pollUnsafe()]).toEqual([undefined, undefined])
      yield* TestClock.adjust(1)
      const { pull } = yield* Fiber.join(reading)
      yield* (yield* Fiber.join(accepting)).writeAll(new TextEncoder().encode("reached"))
      const [chunk] = yield* pull
      expect(Buffer.from(chunk).toString()).toBe("reached")
      expect(underWay(port)).toBe(0)
    }).pipe(Effect.provide(resolving("127.0.0.2", "127.0.0.3"))))

  test("reaches the second at once if the first refuses, of whichever family", () =>
    Effect.gen(function* () {
      const { opened, port } = yield* listeners({ "::1": "refuses", "127.0.0.1": "accepts" })
      const socket = yield* PollerSocket.make({ host, port })
      yield* socket.reader
      yield* opened["127.0.0.1"]!.accept
    }).pipe(Effect.provide(resolving("::1", "127.0.0.1"))))

  test("fails with the error of every address if each refuses", () =>
    Effect.gen(function* () {
      const { port } = yield* listeners({ "::1": "refuses", "127.0.0.1": "refuses", "127.0.0.2": "refuses" })
      const socket = yield* PollerSocket.make({ host, port })
      const { reason } = yield* Effect.flip(socket.reader)
      expect(reason).toMatchObject({ _tag: "SocketOpenError", kind: "Unknown" })
      expect(reason.cause).toBeInstanceOf(AggregateError)
      expect((reason.cause as AggregateError).errors.map(remoteText)).toEqual([
        ["ConnectionRefused", `[::1]:${port}`],
        ["ConnectionRefused", `127.0.0.1:${port}`],
        ["ConnectionRefused", `127.0.0.2:${port}`]
      ])
    }).pipe(Effect.provide(resolving("::1", "127.0.0.1", "127.0.0.2"))))

  test("fails with one PollerError if its only address refuses, or an option is invalid", () =>
    Effect.gen(function* () {
      const { port } = yield* listeners({ "127.0.0.2": "refuses" })
      const one = yield* PollerSocket.make({ host, port })
      const refusal = yield* Effect.provide(Effect.flip(one.reader), resolving("127.0.0.2"))
      expect(remoteText(refusal.reason.cause)).toEqual(["ConnectionRefused", `127.0.0.2:${port}`])
      const wrong = yield* PollerSocket.make({ host, port, keepAlive: { count: 0 } })
      const failure = yield* Effect.provide(Effect.flip(wrong.reader), resolving("127.0.0.2", "127.0.0.3"))
      expect(failure.reason.cause).toMatchObject({ reason: { _tag: "InvalidArgument" } })
    }))

  test("openTimeout covers all attempts, and its error has those that failed before", () =>
    Effect.gen(function* () {
      const { port } = yield* listeners({ "127.0.0.2": "swallows", "127.0.0.3": "refuses", "127.0.0.4": "swallows" })
      const socket = yield* PollerSocket.make({ host, port, openTimeout: "1 second" })
      const failing = yield* begin(Effect.flip(socket.reader))
      yield* until(() => underWay(port) === 1)
      yield* TestClock.adjust(250)
      yield* until(() => underWay(port) === 2)
      yield* TestClock.adjust(749)
      expect(failing.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust(1)
      const { reason } = yield* Fiber.join(failing)
      expect(reason).toMatchObject({ _tag: "SocketOpenError", kind: "Timeout" })
      expect((reason.cause as AggregateError).errors.map(remoteText)).toEqual([
        ["ConnectionRefused", `127.0.0.3:${port}`]
      ])
      expect(underWay(port)).toBe(0)
    }).pipe(Effect.provide(resolving("127.0.0.2", "127.0.0.3", "127.0.0.4"))))

  test("can be interrupted at any moment, and leaves nothing under way", () =>
    Effect.gen(function* () {
      const { port } = yield* listeners({ "127.0.0.2": "swallows", "127.0.0.3": "swallows", "127.0.0.4": "swallows" })
      for (const started of [1, 2, 3]) {
        const socket = yield* PollerSocket.make({ host, port })
        const reading = yield* begin(Effect.scoped(socket.reader))
        for (let seen = 1; seen <= started; seen++) {
          yield* until(() => underWay(port) === seen)
          if (seen < started) yield* TestClock.adjust(250)
        }
        yield* Fiber.interrupt(reading)
        expect(underWay(port)).toBe(0)
      }
    }).pipe(Effect.provide(resolving("127.0.0.2", "127.0.0.3", "127.0.0.4"))))
})
