/** How closed and failed ends are reported: HUP, RDHUP and ERR as mio reads them. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Event, Registrar } from "effect-amy"
import { plain, type PlainNotification } from "../support/attachedThread.ts"
import * as Kernel from "../support/kernel.ts"
import { readyNow } from "../support/layers.ts"
import { describeEveryLayer, until } from "../support/observe.ts"

/** Two connected ends, of which the test may close any itself. */
class Ends {
  readonly #open: Set<number>
  readonly ours: number
  readonly theirs: number

  constructor([ours, theirs]: readonly [number, number]) {
    this.ours = ours
    this.theirs = theirs
    this.#open = new Set([ours, theirs])
  }

  close(fd: number, by: (fd: number) => void = Kernel.close): void {
    if (this.#open.delete(fd)) by(fd)
  }

  closeAll(): void {
    for (const fd of this.#open) this.close(fd)
  }
}

const ends = (make: () => readonly [number, number]) =>
  Effect.acquireRelease(
    Effect.sync(() => new Ends(make())),
    (ends) => Effect.sync(() => ends.closeAll())
  )

/** The reading end of a pipe is ours. */
const reader = ends(Kernel.pipe)
/** The writing end of a pipe is ours. */
const writer = ends(() => {
  const [read, write] = Kernel.pipe()
  return [write, read]
})
const socket = ends(Kernel.socketPair)
const tcp = ends(Kernel.tcpPair)

/** The one notification that is ready now, without its id. */
const report = Effect.map(readyNow, (all): Omit<PlainNotification, "id"> => {
  expect(all.length).toBe(1)
  const { id: _, ...rest } = plain(all[0]!)
  return rest
})

const said = (
  event: Event.Event,
  flags: Partial<Pick<PlainNotification, "readClosed" | "writeClosed" | "error">> = {}
) => ({ event, readClosed: false, writeClosed: false, error: false, priority: false, ...flags })

describeEveryLayer("promise 6: closed ends of a pipe", (layer) => {
  it.live("the writer is closed: readClosed, and an event that wakes whoever waits for reading", () =>
    Effect.gen(function* () {
      const { close, ours, theirs } = bind(yield* reader)
      yield* Registrar.register(ours, "Read")
      close(theirs)
      const notification = yield* report
      expect(notification.readClosed).toBe(true)
      expect(notification.error).toBe(false)
      // The kernel reports a bare HUP: neither readable nor writable.
      expect(notification.event).toBe("Both")
      expect(Kernel.read(ours)).toBe(0)
      expect(yield* readyNow).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("the writer is closed with data left: that can be read, and then comes the end", () =>
    Effect.gen(function* () {
      const { close, ours, theirs } = bind(yield* reader)
      yield* Registrar.register(ours, "Read")
      Kernel.write(theirs, 5)
      close(theirs)
      const notification = yield* report
      expect([notification.event, notification.readClosed]).toEqual(["Read", true])
      expect([Kernel.read(ours), Kernel.read(ours)]).toEqual([5, 0])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("the writer was closed before it was registered", () =>
    Effect.gen(function* () {
      const { close, ours, theirs } = bind(yield* reader)
      close(theirs)
      yield* Registrar.register(ours, "Read")
      expect((yield* report).readClosed).toBe(true)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("the reader is closed: error and writeClosed", () =>
    Effect.gen(function* () {
      const { close, ours, theirs } = bind(yield* writer)
      yield* Registrar.register(ours, "Write")
      expect(yield* report).toEqual(said("Write"))
      close(theirs)
      expect(yield* report).toEqual(said("Write", { error: true, writeClosed: true }))
      expect(yield* readyNow).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("the reader of a full pipe is closed: a bare error, which wakes everyone", () =>
    Effect.gen(function* () {
      const { close, ours, theirs } = bind(yield* writer)
      yield* Registrar.register(ours, "Write")
      expect(yield* report).toEqual(said("Write"))
      Kernel.fill(ours)
      close(theirs)
      expect(yield* report).toEqual(said("Both", { error: true, writeClosed: true }))
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

for (const [kind, make] of [
  ["a Unix socket", socket],
  ["a TCP socket", tcp]
] as const) {
  describeEveryLayer(`promise 6: closed ends of ${kind}`, (layer) => {
    it.live("the peer has shut down its writing side: readClosed only", () =>
      Effect.gen(function* () {
        const { ours, theirs } = bind(yield* make)
        yield* Registrar.register(ours, "Read")
        Kernel.shutdownWrite(theirs)
        const { id: _, ...rest } = yield* closedReport
        expect(rest).toEqual(said("Read", { readClosed: true }))
        expect(Kernel.read(ours)).toBe(0)
        expect(Kernel.write(ours, 1)).toBe(1)
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )

    it.live("and with interest in both, it can still be written to", () =>
      Effect.gen(function* () {
        const { ours, theirs } = bind(yield* make)
        Kernel.shutdownWrite(theirs)
        yield* untilReadable(ours)
        yield* Registrar.register(ours, "Both")
        expect(yield* report).toEqual(said("Both", { readClosed: true }))
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )

    it.live("both sides are shut down: both are closed", () =>
      Effect.gen(function* () {
        const { ours, theirs } = bind(yield* make)
        Kernel.shutdownWrite(theirs)
        Kernel.shutdownWrite(ours)
        yield* untilReadable(ours)
        yield* Registrar.register(ours, "Read")
        const notification = yield* report
        expect([notification.readClosed, notification.writeClosed]).toEqual([true, true])
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )

    it.live("whoever waits only for room to write is woken when both sides are closed", () =>
      Effect.gen(function* () {
        const { ours, theirs } = bind(yield* make)
        yield* Registrar.register(ours, "Write")
        expect(yield* report).toEqual(said("Write"))
        Kernel.fill(ours)
        // What was not taken in yet may have made room meanwhile.
        yield* readyNow
        Kernel.shutdownWrite(theirs)
        expect((yield* readyNow).filter((each) => each.readClosed || each.writeClosed)).toEqual([])
        Kernel.shutdownWrite(ours)
        Kernel.drain(theirs)
        const notification = yield* closedReport
        expect([notification.readClosed, notification.writeClosed]).toEqual([true, true])
        expect(Event.isWritable(notification.event)).toBe(true)
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )
  })
}

describeEveryLayer("promise 6: a peer that is gone", (layer) => {
  it.live("full close of a Unix socket: both are closed", () =>
    Effect.gen(function* () {
      const { close, ours, theirs } = bind(yield* socket)
      yield* Registrar.register(ours, "Both")
      expect(yield* report).toEqual(said("Write"))
      close(theirs)
      expect(yield* report).toEqual(said("Both", { readClosed: true, writeClosed: true }))
      expect(Kernel.read(ours)).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live(
    "of a full Unix socket, to whoever waits only for room to write: closed, and an error for what was lost",
    () =>
      Effect.gen(function* () {
        const { close, ours, theirs } = bind(yield* socket)
        yield* Registrar.register(ours, "Write")
        expect(yield* report).toEqual(said("Write"))
        Kernel.fill(ours)
        close(theirs)
        const notification = yield* report
        expect([notification.readClosed, notification.writeClosed, notification.error]).toEqual([true, true, true])
        expect(Event.isWritable(notification.event)).toBe(true)
      }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a reset of a TCP connection: both are closed, and an error", () =>
    Effect.gen(function* () {
      const { close, ours, theirs } = bind(yield* tcp)
      yield* Registrar.register(ours, "Read")
      close(theirs, Kernel.closeWithReset)
      const notification = yield* closedReport
      expect([notification.readClosed, notification.writeClosed, notification.error]).toEqual([true, true, true])
      expect(Event.isReadable(notification.event)).toBe(true)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a TCP connection that was refused, to whoever waits for it to be writable", () =>
    Effect.gen(function* () {
      const fd = yield* Effect.acquireRelease(Effect.sync(Kernel.connectInVain), (fd) =>
        Effect.sync(() => Kernel.close(fd))
      )
      yield* Registrar.register(fd, "Write")
      const notification = yield* closedReport
      expect([notification.writeClosed, notification.error]).toEqual([true, true])
      expect(Event.isWritable(notification.event)).toBe(true)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("to a oneshot registration too, which is then silent", () =>
    Effect.gen(function* () {
      const { close, ours, theirs } = bind(yield* socket)
      yield* Registrar.register(ours, "Read", { mode: "oneshot" })
      Kernel.shutdownWrite(theirs)
      expect(yield* report).toEqual(said("Read", { readClosed: true }))
      close(theirs)
      expect(yield* readyNow).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

const bind = (ends: Ends) => ({ ours: ends.ours, theirs: ends.theirs, close: ends.close.bind(ends) })

/** TCP tells its peer by way of the network, so a report may take more than one look. */
const closedReport = Effect.gen(function* () {
  let last: PlainNotification | undefined
  while (last === undefined || !(last.readClosed || last.writeClosed)) {
    for (const each of yield* readyNow) last = plain(each)
  }
  return last
})

/** Until the end of the peer's data has come: then a read takes nothing and does not block. */
const untilReadable = (fd: number) => until(() => Kernel.read(fd) === 0)
