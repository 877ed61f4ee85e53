/** Reports of closed and failed ends: HUP, RDHUP and ERR have the meaning that mio gives them. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Event, Registrar } from "effect-amy"
import { plain, type PlainNotification } from "../support/attachedThread.ts"
import * as Kernel from "../support/kernel.ts"
import { readyNow } from "../support/layers.ts"
import { describeEveryLayer, until } from "../support/observe.ts"

/** Two connected ends. The test may close either of them. */
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

/** Makes a pipe and registers its reading end. */
const reader = ends(Kernel.pipe)
/** Makes a pipe and registers its writing end. */
const writer = ends(() => {
  const [read, write] = Kernel.pipe()
  return [write, read]
})
const socket = ends(Kernel.socketPair)
const tcp = ends(Kernel.tcpPair)

/** Returns the only notification that is ready now, without its id. */
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
  it.live("a closed writer is reported as readClosed, with an event that includes reading", () =>
    Effect.gen(function* () {
      const { close, ours, theirs } = bind(yield* reader)
      yield* Registrar.register(ours, "Read")
      close(theirs)
      const notification = yield* report
      expect(notification.readClosed).toBe(true)
      expect(notification.error).toBe(false)
      // The kernel reports HUP alone, which is neither readable nor writable.
      expect(notification.event).toBe("Both")
      expect(Kernel.read(ours)).toBe(0)
      expect(yield* readyNow).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("data that a closed writer has left can be read before the end", () =>
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

  it.live("a writer that closed before the registration is reported", () =>
    Effect.gen(function* () {
      const { close, ours, theirs } = bind(yield* reader)
      close(theirs)
      yield* Registrar.register(ours, "Read")
      expect((yield* report).readClosed).toBe(true)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a closed reader is reported as error and writeClosed", () =>
    Effect.gen(function* () {
      const { close, ours, theirs } = bind(yield* writer)
      yield* Registrar.register(ours, "Write")
      expect(yield* report).toEqual(said("Write"))
      close(theirs)
      expect(yield* report).toEqual(said("Write", { error: true, writeClosed: true }))
      expect(yield* readyNow).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live('a closed reader of a full pipe is reported with the event "Both"', () =>
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
    it.live("the end of the peer's output is reported as readClosed alone", () =>
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

    it.live("after the end of the peer's output there is still room to write", () =>
      Effect.gen(function* () {
        const { ours, theirs } = bind(yield* make)
        Kernel.shutdownWrite(theirs)
        yield* untilReadable(ours)
        yield* Registrar.register(ours, "Both")
        expect(yield* report).toEqual(said("Both", { readClosed: true }))
      }).pipe(Effect.scoped, Effect.provide(layer()))
    )

    it.live("the end of both directions is reported as readClosed and writeClosed", () =>
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

    it.live("the end of both directions is reported to a registration for writing", () =>
      Effect.gen(function* () {
        const { ours, theirs } = bind(yield* make)
        yield* Registrar.register(ours, "Write")
        expect(yield* report).toEqual(said("Write"))
        Kernel.fill(ours)
        // An earlier report of room may be among them.
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
  it.live("a closed Unix socket is reported as readClosed and writeClosed", () =>
    Effect.gen(function* () {
      const { close, ours, theirs } = bind(yield* socket)
      yield* Registrar.register(ours, "Both")
      expect(yield* report).toEqual(said("Write"))
      close(theirs)
      expect(yield* report).toEqual(said("Both", { readClosed: true, writeClosed: true }))
      expect(Kernel.read(ours)).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a full Unix socket whose peer closes is reported as closed, with an error for the lost bytes", () =>
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

  it.live("a reset TCP connection is reported as closed, with an error", () =>
    Effect.gen(function* () {
      const { close, ours, theirs } = bind(yield* tcp)
      yield* Registrar.register(ours, "Read")
      close(theirs, Kernel.closeWithReset)
      const notification = yield* closedReport
      expect([notification.readClosed, notification.writeClosed, notification.error]).toEqual([true, true, true])
      expect(Event.isReadable(notification.event)).toBe(true)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("a refused TCP connection is reported to a registration for writing", () =>
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

  it.live("an end is reported once to a oneshot registration", () =>
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

/**
 * Waits for a report. TCP's ends travel through the network stack, so one look may be too early.
 */
const closedReport = Effect.gen(function* () {
  let last: PlainNotification | undefined
  while (last === undefined || !(last.readClosed || last.writeClosed)) {
    for (const each of yield* readyNow) last = plain(each)
  }
  return last
})

/** Returns once the peer's end has arrived: then a read returns 0. */
const untilReadable = (fd: number) => until(() => Kernel.read(fd) === 0)
