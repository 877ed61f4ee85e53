/** Links and addresses as a stream, and requests: against the real kernel. */
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Scheduler, type Scope, Stream } from "effect"
import { NetAddress } from "effect/net"
import { Netlink, Poller, Registrar } from "effect-amy"
import { TestPoller } from "effect-amy/testing"
import { readdirSync, readFileSync } from "node:fs"
import type { Libc } from "../../src/internal/libc/koffi.ts"
import { supported } from "../../src/internal/system/netlinkChannel.ts"
import { encodeMessage } from "../../src/internal/system/netlinkMessage.ts"
import { describeLayers, type PollerLayer } from "../support/layers.ts"
import { times } from "../support/long.ts"
import { forge, type Links, links, ownNamespace, unlessUsable, usableKind } from "../support/netns.ts"
import { open, outcome } from "../support/opened.ts"
import { leavesNothing } from "../support/owned.ts"

const isLinux = process.platform === "linux"

const RTM_NEWLINK = 16
const RTM_GETLINK = 18
const ifinfomsg = new Uint8Array(16)

/** What the elements of a stream say is there, folded as a program does it. */
class Folded {
  readonly links = new Map<number, Netlink.Link>()
  readonly addresses = new Map<string, Netlink.Address>()
  readonly #forgets: boolean

  /** Either forgets everything at an overrun, or goes on with what it has. */
  constructor(forgets: boolean) {
    this.#forgets = forgets
  }

  readonly add = (change: Netlink.Change): void => {
    switch (change._tag) {
      case "LinkAdded":
      case "LinkChanged":
        return void this.links.set(change.index, change)
      case "LinkRemoved":
        return void this.links.delete(change.index)
      case "AddressAdded":
      case "AddressChanged":
        return void this.addresses.set(this.#key(change), change)
      case "AddressRemoved":
        return void this.addresses.delete(this.#key(change))
      case "Overrun":
        if (!this.#forgets) return
        this.links.clear()
        return void this.addresses.clear()
    }
  }

  #key({ address, index, prefixLength }: Netlink.Address): string {
    return `${index} ${NetAddress.formatIp(address)}/${prefixLength}`
  }

  /** The names, with what is compared of each link: IPv6 addresses come late, by themselves. */
  get picture(): unknown {
    const ipv4 = Array.from(this.addresses.entries()).filter(([, { address }]) => NetAddress.isIpv4Address(address))
    return Array.from(this.links.values(), ({ index, mtu, name, up }) => ({
      name,
      up,
      mtu,
      addresses: ipv4
        .filter(([, address]) => address.index === index)
        .map(([key]) => key.split(" ")[1]!)
        .toSorted()
    })).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }
}

const isCurrent = ({ _tag }: Netlink.Change) => _tag === "Current"

/** Follows changes until a link of this name is there. Returns them when joined. */
const follow = (until: string, options: Netlink.ChangesOptions = {}, onCurrent: Effect.Effect<void> = Effect.void) =>
  Effect.gen(function* () {
    const began = yield* Deferred.make<void>()
    const seen: Array<Netlink.Change> = []
    let isThere = false
    const follows = Netlink.changesWith(options).pipe(
      Stream.tap((change) => {
        seen.push(change)
        return isCurrent(change) ? Effect.andThen(Deferred.succeed(began, undefined), onCurrent) : Effect.void
      }),
      Stream.takeUntil((change) => {
        if (change._tag === "LinkAdded" && change.name === until) {
          isThere = true
          return !change.present
        }
        // In a dump, the addresses come after the links.
        return isThere && isCurrent(change)
      }),
      Stream.runDrain
    )
    const fiber = yield* Effect.forkScoped(follows)
    yield* Effect.raceFirst(Deferred.await(began), Fiber.join(fiber))
    return Effect.as(Fiber.join(fiber), seen)
  })

/** The elements after the first `Current`, without those of IPv6, which come by themselves. */
const afterwards = (changes: ReadonlyArray<Netlink.Change>) =>
  changes
    .slice(changes.findIndex(isCurrent) + 1)
    .filter((change) => !("prefixLength" in change) || NetAddress.isIpv4Address(change.address))

const run = <A, E>(layer: () => PollerLayer, effect: Effect.Effect<A, E, Registrar.Registrar | Scope.Scope>) =>
  effect.pipe(Effect.scoped, Effect.provide(layer()))

/** Runs an effect with a layer of its own, and expects that no descriptor is left. */
const runClean = <A, E>(layer: () => PollerLayer, effect: Effect.Effect<A, E, Registrar.Registrar | Scope.Scope>) =>
  leavesNothing(run(layer, effect))

describe.skipIf(!isLinux)("changes of links", () => {
  describeLayers("changes", (layer) => {
    it.live("begin with the links and the addresses that are there", () =>
      run(
        layer,
        Effect.gen(function* () {
          const changes = yield* Stream.runCollect(Stream.takeUntil(Netlink.changes, isCurrent))
          const found = changes.flatMap((change) => (change._tag === "LinkAdded" ? [change] : []))
          expect(found.map(({ name }) => name).toSorted()).toEqual(
            readdirSync("/sys/class/net").filter(isLink).toSorted()
          )
          for (const { index, mtu, name, present } of found) {
            const said = (file: string) => Number(readFileSync(`/sys/class/net/${name}/${file}`, "utf8"))
            expect([present, index, mtu]).toEqual([true, said("ifindex"), said("mtu")])
          }
          expect(found[0]).toMatchObject({ name: "lo", type: 772, address: "00:00:00:00:00:00", kind: undefined })
        })
      )
    )

    it.live("end with the poller, and an interrupted stream leaves nothing", () =>
      leavesNothing(
        Effect.gen(function* () {
          const opened = yield* open(layer())
          const provide = Effect.provideService(Registrar.Registrar, opened.registrar)
          const start = (effect: Effect.Effect<unknown, never, Registrar.Registrar>) =>
            Effect.forkScoped(provide(effect), { startImmediately: true })
          const began = yield* Deferred.make<void>()
          const follows = Stream.runForEach(Netlink.changes, (change) =>
            isCurrent(change) ? Deferred.succeed(began, undefined) : Effect.void
          )
          const first = yield* start(outcome(follows))
          yield* Deferred.await(began)
          yield* Fiber.interrupt(first)
          const ends = [yield* start(outcome(follows)), yield* start(outcome(Stream.runDrain(Netlink.links)))]
          yield* Effect.yieldNow
          yield* opened.close
          for (const fiber of ends) expect(yield* Fiber.join(fiber)).toBe("Closed")
        })
      )
    )
  })

  it.live("work on layerBlocking", () =>
    run(
      () => Poller.layerBlocking({ allowMainThread: true }),
      Effect.map(Stream.runCollect(Stream.takeUntil(Netlink.links, isCurrent)), (all) =>
        expect(all[0]).toMatchObject({ _tag: "LinkAdded", name: "lo" })
      )
    )
  )

  it.live("refuse options that are invalid", () =>
    runClean(
      Poller.layerEventLoop,
      Effect.gen(function* () {
        const invalid: ReadonlyArray<unknown> = [
          { links: false, addresses: false },
          { links: "yes" },
          { addresses: 1 },
          { receiveBufferSize: 0 },
          { receiveBufferSize: 1.5 }
        ]
        for (const options of invalid) {
          expect(yield* outcome(Stream.runDrain(Netlink.changesWith(options as never)))).toBe("InvalidArgument")
        }
      })
    )
  )

  it.live("do not work on a TestPoller, nor on another system", () =>
    Effect.gen(function* () {
      const ended = outcome(Stream.runDrain(Netlink.changes))
      expect(yield* Effect.provide(ended, TestPoller.layer)).toBe("InvalidArgument")
      const error = yield* Effect.flip(supported({ profile: { platform: "darwin" } } as Libc))
      expect(error.reason._tag).toBe("UnsupportedPlatform")
      expect(error.message).toMatch(/route\(4\).*os\.networkInterfaces/)
    })
  )
})

describe.skipIf(usableKind === undefined)(`links and addresses of the test's own${unlessUsable}`, () => {
  describeLayers("changes", (layer) => {
    it.live("a link is added, changed and removed, with its addresses", () =>
      run(
        layer,
        Effect.gen(function* () {
          yield* ownNamespace
          const made = yield* links()
          const there = yield* made.add("there")
          const seen = yield* follow("end")
          const index = yield* made.add("one")
          yield* made.setMtu(index, 1300)
          yield* made.addAddress(index, [10, 1, 2, 3], 20)
          yield* made.rename(index, "two")
          yield* made.setMtu(index, 1300)
          yield* made.removeAddress(index, [10, 1, 2, 3], 20)
          yield* made.remove(index)
          yield* made.remove(there)
          yield* made.add("end")
          const changes = yield* seen
          expect(changes.find(({ _tag }) => _tag === "LinkAdded")).toMatchObject({
            name: "lo",
            present: true,
            up: false
          })
          expect(changes[1]).toMatchObject({ _tag: "LinkAdded", name: "there", kind: usableKind, index: there })
          expect(afterwards(changes).slice(0, -1)).toMatchObject([
            { _tag: "LinkAdded", present: false, index, name: "one", up: false, running: false, mtu: 1500 },
            { _tag: "LinkChanged", index, name: "one", mtu: 1300 },
            { _tag: "AddressAdded", present: false, index, prefixLength: 20, scope: "universe", label: "one" },
            { _tag: "LinkChanged", index, name: "two", mtu: 1300 },
            { _tag: "AddressChanged", index, prefixLength: 20, label: "two" },
            { _tag: "AddressRemoved", index, prefixLength: 20 },
            { _tag: "LinkRemoved", index, name: "two" },
            { _tag: "LinkRemoved", index: there, name: "there" }
          ])
          const [address] = changes.flatMap((change) => (change._tag === "AddressAdded" ? [change.address] : []))
          expect(NetAddress.formatIp(address!)).toBe("10.1.2.3")
        })
      )
    )

    it.live("many changes arrive in order, at two streams", () =>
      run(
        layer,
        Effect.gen(function* () {
          yield* ownNamespace
          const made = yield* links()
          const index = yield* made.add("one")
          const both = [yield* follow("end"), yield* follow("end")]
          const mtus = Array.from({ length: times(200, 2000) }, (_, i) => 1000 + (i % 400))
          for (const mtu of mtus) {
            yield* made.setMtu(index, mtu)
            // Otherwise nothing is read before the buffer is full.
            if (mtu % 50 === 0) yield* Effect.yieldNow
          }
          yield* made.add("end")
          for (const seen of both) {
            const changes = yield* seen
            expect(changes.filter(({ _tag }) => _tag === "Overrun")).toEqual([])
            expect(changes.flatMap((change) => (change._tag === "LinkChanged" ? [change.mtu] : []))).toEqual(mtus)
          }
        })
      )
    )

    it.live("an overrun is reported, and the picture is right after it", () =>
      run(
        layer,
        Effect.gen(function* () {
          yield* ownNamespace
          const made = yield* links()
          const gone = yield* made.add("gone")
          yield* made.addAddress(gone, [10, 9, 9, 9])
          const kept = yield* made.add("kept")
          const gate = yield* Deferred.make<void>()
          const again = yield* Deferred.make<void>()
          let currents = 0
          const onCurrent = Effect.suspend(() => {
            currents++
            return currents === 1 ? Deferred.await(gate) : Effect.asVoid(Deferred.succeed(again, undefined))
          })
          const seen = yield* follow("end", { receiveBufferSize: 1 }, onCurrent)
          for (let i = 0; i < 50; i++) yield* made.setMtu(kept, 1000 + i)
          yield* made.remove(gone)
          yield* made.add("new")
          yield* Deferred.succeed(gate, undefined)
          yield* Deferred.await(again)
          yield* made.add("end")
          const changes = yield* seen
          const rest = changes.slice(changes.findIndex(isCurrent) + 1)
          expect(rest[0]).toEqual({ _tag: "Overrun" })
          expect(rest.slice(1, 3)).toMatchObject([
            { _tag: "AddressRemoved", index: gone },
            { _tag: "LinkRemoved", name: "gone" }
          ])
          for (const forgets of [true, false]) {
            const folded = new Folded(forgets)
            changes.forEach(folded.add)
            expect(folded.picture).toEqual([
              { name: "end", up: false, mtu: 1500, addresses: [] },
              { name: "kept", up: false, mtu: 1049, addresses: [] },
              { name: "lo", up: false, mtu: 65536, addresses: [] },
              { name: "new", up: false, mtu: 1500, addresses: [] }
            ])
          }
        })
      )
    )

    it.live("what is folded equals a model after random operations", () =>
      run(
        layer,
        Effect.forEach(
          Array.from({ length: times(4, 40) }, (_, seed) => seed),
          (seed) => Effect.scoped(randomRun(seed))
        )
      )
    )

    it.live("a program that pretends to be the kernel is not believed", () =>
      run(
        layer,
        Effect.gen(function* () {
          yield* ownNamespace
          const made = yield* links()
          const liar = yield* Netlink.open(Netlink.NETLINK_ROUTE)
          const listener = yield* Netlink.open(Netlink.NETLINK_ROUTE, { groups: [1] })
          const forged = encodeMessage(RTM_NEWLINK, 0, 0, ifinfomsg)
          expect(forge(liar, listener.pid, forged)).toBe(forged.length)
          yield* made.add("true")
          const [message] = yield* Stream.runCollect(Stream.take(listener.messages, 1))
          expect(message!.payload.length).toBeGreaterThan(ifinfomsg.length)
        })
      )
    )

    it.live("a dump that was interrupted does not harm the next", () =>
      run(
        layer,
        Effect.gen(function* () {
          yield* ownNamespace
          const made = yield* links()
          // More than one datagram of 32 KiB.
          for (let i = 0; i < 60; i++) yield* made.add(`link${i}`)
          const socket = yield* Netlink.open(Netlink.NETLINK_ROUTE)
          const dump = socket.request(RTM_GETLINK, Netlink.NLM_F_DUMP, ifinfomsg)
          // A fiber that yields early is interrupted in the middle: at another place each time.
          for (let operations = 4; operations < 60; operations += 2) {
            const yielding = Effect.provideService(dump, Scheduler.MaxOpsBeforeYield, operations)
            yield* Fiber.interrupt(yield* Effect.forkChild(yielding, { startImmediately: true }))
            expect((yield* dump).length).toBe(61)
          }
          const many = yield* Effect.all([dump, dump, dump], { concurrency: "unbounded" })
          expect(many.map(({ length }) => length)).toEqual([61, 61, 61])
          yield* socket.send({
            type: RTM_GETLINK,
            flags: 5,
            payload: Uint8Array.from([0, 0, 0, 0, 1, ...new Uint8Array(11)])
          })
          const rest = yield* Stream.runCollect(Stream.take(socket.messages, 2))
          expect(rest.map(({ type }) => type)).toEqual([RTM_NEWLINK, 2])
        })
      )
    )
  })

  it.live.runIf(usableKind === "bridge")("a port that leaves its bridge has not gone", () =>
    run(
      Poller.layerEventLoop,
      Effect.gen(function* () {
        yield* ownNamespace
        const made = yield* links()
        const port = yield* links("veth")
        const bridge = yield* made.add("bridge")
        const index = yield* port.add("port")
        const seen = yield* follow("end")
        yield* made.setMaster(index, bridge)
        yield* made.setMaster(index, 0)
        yield* made.add("end")
        const changes = afterwards(yield* seen)
        const ofPort = changes.filter((change) => "index" in change && change.index === index)
        expect(changes.filter(({ _tag }) => _tag === "LinkRemoved")).toEqual([])
        expect(ofPort.map((change) => "master" in change && change.master)).toContain(bridge)
        expect(ofPort.at(-1)).toMatchObject({ _tag: "LinkChanged", master: undefined, kind: "veth" })
      })
    )
  )

  it.live("a socket whose messages were dropped says so, and goes on", () =>
    run(
      Poller.layerEventLoop,
      Effect.gen(function* () {
        yield* ownNamespace
        const made = yield* links()
        const index = yield* made.add("one")
        const socket = yield* Netlink.open(Netlink.NETLINK_ROUTE, { groups: [1], receiveBufferSize: 1 })
        for (let i = 0; i < 50; i++) yield* made.setMtu(index, 1000 + i)
        const error = yield* Effect.flip(Stream.runDrain(socket.messages))
        expect(error.reason).toMatchObject({ _tag: "LimitReached", code: "ENOBUFS" })
        expect((yield* socket.request(RTM_GETLINK, Netlink.NLM_F_DUMP, ifinfomsg)).length).toBe(2)
        const next = yield* Effect.forkChild(Stream.runHead(Stream.drop(socket.messages, 0)))
        yield* made.setMtu(index, 1400)
        expect((yield* Fiber.join(next))._tag).toBe("Some")
      })
    )
  )
})

const isLink = (name: string) => name !== "bonding_masters"

/** Returns numbers from 0 to 1, the same for the same seed. */
const numbers = (seed: number) => {
  let state = seed * 7919 + 1
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 0x1_0000_0000
  }
}

interface Modelled {
  readonly index: number
  name: string
  up: boolean
  mtu: number
  readonly addresses: Set<number>
}

/** Does the same to the kernel and to a model, while a stream follows. */
const randomRun = (seed: number) =>
  Effect.gen(function* () {
    yield* ownNamespace
    const made: Links = yield* links()
    const random = numbers(seed)
    const below = (limit: number) => Math.floor(random() * limit)
    const model: Array<Modelled> = []
    let count = 0
    const step = Effect.gen(function* () {
      const choice = below(10)
      const link = model[below(model.length)]
      if (link === undefined || (choice < 2 && model.length < 6)) {
        const name = `m${count++}`
        const index = yield* made.add(name)
        model.push({ index, name, up: false, mtu: 1500, addresses: new Set() })
      } else if (choice === 2) {
        yield* made.remove(link.index)
        model.splice(model.indexOf(link), 1)
      } else if (choice < 5) {
        link.up = !link.up
        yield* made.setUp(link.index, link.up)
      } else if (choice === 5) {
        link.mtu = 1000 + below(500)
        yield* made.setMtu(link.index, link.mtu)
      } else if (choice === 6) {
        if (link.up) return
        link.name = `m${count++}`
        yield* made.rename(link.index, link.name)
      } else {
        const last = 1 + below(4)
        const octets = [10, 0, link.index % 256, last]
        yield* link.addresses.has(last)
          ? made.removeAddress(link.index, octets, 32)
          : made.addAddress(link.index, octets, 32)
        if (!link.addresses.delete(last)) link.addresses.add(last)
      }
      if (random() < 0.3) yield* Effect.yieldNow
    })
    for (let i = below(10); i > 0; i--) yield* step
    // A small buffer overruns now and then.
    const seen = yield* follow("end", seed % 2 === 0 ? {} : { receiveBufferSize: 20_000 })
    for (let i = 0; i < 60; i++) yield* step
    const end = yield* made.add("end")
    const changes = yield* seen
    const folded = new Folded(seed % 3 === 0)
    changes.forEach(folded.add)
    folded.links.delete(end)
    expect(folded.picture, `seed ${seed}`).toEqual(
      [...model, { index: 1, name: "lo", up: false, mtu: 65_536, addresses: new Set<number>() }]
        .map(({ addresses, index, mtu, name, up }) => ({
          name,
          up,
          mtu,
          addresses: [...addresses].map((last) => `10.0.${index % 256}.${last}/32`).toSorted()
        }))
        .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    )
  })

describe.skipIf(!isLinux)("a netlink socket", () => {
  describeLayers("a netlink socket", (layer) => {
    it.live("makes requests, also many at once, and each gets its own reply", () =>
      runClean(
        layer,
        Effect.gen(function* () {
          const socket = yield* Netlink.open(Netlink.NETLINK_ROUTE)
          expect(socket.pid).toBeGreaterThan(0)
          const lo = Uint8Array.from([0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
          const one = socket.request(RTM_GETLINK, 0, lo)
          const all = socket.request(RTM_GETLINK, Netlink.NLM_F_DUMP, ifinfomsg)
          const replies = yield* Effect.all([one, all, one, all, one], { concurrency: "unbounded" })
          const count = readdirSync("/sys/class/net").filter(isLink).length
          expect(replies.map(({ length }) => length)).toEqual([1, count, 1, count, 1])
          expect(replies[0]![0]).toMatchObject({ type: RTM_NEWLINK, pid: socket.pid })
        })
      )
    )

    it.live("fails with the error of the kernel", () =>
      run(
        layer,
        Effect.gen(function* () {
          const socket = yield* Netlink.open(Netlink.NETLINK_ROUTE)
          const absent = Uint8Array.from([0, 0, 0, 0, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0, 0, 0, 0])
          const error = yield* Effect.flip(socket.request(RTM_GETLINK, 0, absent))
          expect(error.reason).toMatchObject({ _tag: "SystemError", code: "ENODEV", syscall: "netlink", fd: socket.fd })
          expect(yield* outcome(socket.request(RTM_GETLINK, 0, ifinfomsg))).toBe("InvalidArgument")
        })
      )
    )

    it.live("ends requests and messages when it is closed", () =>
      runClean(
        layer,
        Effect.gen(function* () {
          const socket = yield* Netlink.open(Netlink.NETLINK_ROUTE)
          const waiting = yield* Effect.forkChild(outcome(Stream.runDrain(socket.messages)), {
            startImmediately: true
          })
          yield* Effect.yieldNow
          yield* socket.close
          expect(yield* Fiber.join(waiting)).toBe("Closed")
          expect([socket.fd, String(socket)]).toEqual([-1, "NetlinkSocket(closed)"])
          expect(yield* outcome(socket.request(RTM_GETLINK, Netlink.NLM_F_DUMP, ifinfomsg))).toBe("Closed")
          expect(yield* outcome(socket.send({ type: RTM_GETLINK }))).toBe("Closed")
          expect(yield* outcome(Stream.runDrain(socket.messages))).toBe("Closed")
          expect(yield* outcome(socket.close)).toBe("Closed")
        })
      )
    )
  })

  it.live("receives a message that is longer than its buffer whole", () =>
    run(
      Poller.layerEventLoop,
      Effect.gen(function* () {
        const socket = yield* Netlink.open(Netlink.NETLINK_ROUTE)
        const payload = Uint8Array.from({ length: 100_000 }, (_, i) => i % 251)
        // The kernel returns a message that it refuses.
        const sequence = yield* socket.send({ type: 0xfff0, payload })
        const [message] = yield* Stream.runCollect(Stream.take(socket.messages, 1))
        expect(message).toMatchObject({ type: 2, sequence, pid: socket.pid })
        expect(Buffer.compare(message!.payload.subarray(20), payload)).toBe(0)
      })
    )
  )

  it.live("refuses what is invalid", () =>
    runClean(
      Poller.layerEventLoop,
      Effect.gen(function* () {
        for (const protocol of [-1, 0.5, "route", undefined]) {
          expect(yield* outcome(Netlink.open(protocol as never))).toBe("InvalidArgument")
        }
        for (const groups of [[0], [1.5], [undefined], "1", [0x7fff_ffff]]) {
          expect(yield* outcome(Netlink.open(0, { groups: groups as never }))).toBe("InvalidArgument")
        }
        expect(yield* outcome(Netlink.open(0, { receiveBufferSize: -1 }))).toBe("InvalidArgument")
        const error = yield* Effect.flip(Netlink.open(31))
        expect(error.reason).toMatchObject({ _tag: "SystemError", code: "EPROTONOSUPPORT" })
        const socket = yield* Netlink.open(0)
        expect(yield* outcome(socket.request(-1))).toBe("InvalidArgument")
        expect(yield* outcome(socket.request(18, 0x1_0000))).toBe("InvalidArgument")
        expect(yield* outcome(socket.request(18, 0, "payload" as never))).toBe("InvalidArgument")
        expect(yield* outcome(socket.send({ type: 0.5 }))).toBe("InvalidArgument")
        expect(Netlink.isNetlinkSocket(socket)).toBe(true)
        expect(Netlink.isNetlinkSocket({ ...socket })).toBe(false)
      })
    )
  )
})
