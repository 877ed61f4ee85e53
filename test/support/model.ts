/**
 * A model of edge-triggered readiness, to compare the library with. It holds the pipes, sockets and
 * eventfds of a random sequence of operations, the registrations in the kernel, and the library's
 * records of them.
 *
 * The model follows epoll(7) and not the library. An event that a registration is interested in
 * makes the registration *ready*. Registering and reregistering do the same if the descriptor is
 * ready at that time. The kernel is asked later, and then reports the state that the descriptor has
 * at that moment, if there is anything to report.
 *
 * A poller may ask the kernel at any moment. Each registration therefore has a set of possible
 * states. If the test alone asks the kernel (`concurrent: false`), the set has one member.
 */
import { Effect, Exit } from "effect"
import { type Event, type Notification, type Poller, Registrar } from "effect-amy"
import { writeSync } from "node:fs"
import * as Kernel from "./kernel.ts"

/** Returns a generator of numbers from 0 to 1. The same seed gives the same numbers. */
export const random = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
}

// The readiness of a file, as poll(2) reports it.
const In = 1
const Out = 2
const Hup = 4
const RdHup = 8
const Err = 16
/** The cause of a wake-up that concerns every registration of the file. */
const Any = 0

type Kind = "eventfd" | "reader" | "writer" | "socket"

/** An open file description, which a descriptor and its duplicates share. */
class File {
  readonly kind: Kind
  peer: File | undefined
  references = 1
  /** The number of bytes to read. */
  pending = 0
  /** Whether there is no room to write. */
  full = false
  receiveShut = false
  sendShut = false
  error = false

  constructor(kind: Kind) {
    this.kind = kind
  }

  get closed(): boolean {
    return this.references === 0
  }

  get poll(): number {
    const out = this.full ? 0 : Out
    const pending = this.pending > 0 ? In : 0
    switch (this.kind) {
      case "eventfd":
        return pending | out
      case "reader":
        return pending | (this.peer!.closed ? Hup : 0)
      case "writer":
        return out | (this.peer!.closed ? Err : 0)
      case "socket":
        return (
          pending |
          out |
          (this.receiveShut ? In | RdHup : 0) |
          (this.receiveShut && this.sendShut ? Hup : 0) |
          (this.error ? Err : 0)
        )
    }
  }
}

const pairOf = (first: Kind, second: Kind): readonly [File, File] => {
  const files = [new File(first), new File(second)] as const
  files[0].peer = files[1]
  files[1].peer = files[0]
  return files
}

// The contents of a notification, as one number.
const Readable = 1
const Writable = 2
const ReadClosed = 4
const WriteClosed = 8
const Failed = 16

const decode = (bits: number): number =>
  ((bits & In) !== 0 ? Readable : 0) |
  ((bits & Out) !== 0 ? Writable : 0) |
  ((bits & Hup) !== 0 || (bits & (In | RdHup)) === (In | RdHup) ? ReadClosed : 0) |
  ((bits & Hup) !== 0 || (bits & (Out | Err)) === (Out | Err) || bits === Err ? WriteClosed : 0) |
  ((bits & Err) !== 0 ? Failed : 0)

const describeReport = (report: number): string => {
  if (report === 0) return "nothing"
  const event = (["Both", "Read", "Write", "Both"] as const)[report & (Readable | Writable)]
  const flags = [
    [ReadClosed, "readClosed"],
    [WriteClosed, "writeClosed"],
    [Failed, "error"]
  ] as const
  return [event, ...flags.filter(([flag]) => (report & flag) !== 0).map(([, name]) => name)].join("+")
}

const describeNotification = (notification: Notification.Notification): string =>
  [
    notification.event,
    ...(["readClosed", "writeClosed", "error", "priority"] as const).filter((flag) => notification[flag])
  ].join("+")

const ignore = (effect: Effect.Effect<unknown, unknown>) => void Effect.runSyncExit(effect)

interface State {
  /** Whether the registration is in the kernel's ready list. */
  readonly ready: boolean
  /** The readiness that was reported, and that the test has not taken yet. */
  readonly merged: number
  /** Whether the registration reports. A oneshot registration does not after its first report. */
  readonly armed: boolean
}

const distinct = (states: ReadonlyArray<State>): ReadonlyArray<State> => [
  ...new Map(states.map((each) => [`${each.ready} ${each.merged} ${each.armed}`, each])).values()
]

class Watched {
  readonly id: number
  readonly fd: number
  file: File
  mask = 0
  oneshot = false
  /** Whether the kernel watches it. */
  live = true
  states: ReadonlyArray<State> = [{ ready: false, merged: 0, armed: true }]

  constructor(id: number, fd: number, file: File) {
    this.id = id
    this.fd = fd
    this.file = file
  }

  get ready(): number {
    return this.file.poll & this.mask
  }

  watch(event: Event.Event, oneshot: boolean): void {
    this.mask = Hup | Err | (event === "Write" ? 0 : In | RdHup) | (event === "Read" ? 0 : Out)
    this.oneshot = oneshot
    this.states = distinct(this.states.map((each) => ({ ...each, armed: true, ready: each.ready || this.ready !== 0 })))
  }

  wake(cause: number): void {
    if (cause !== Any && (cause & this.mask) === 0) return
    this.states = distinct(this.states.map((each) => (each.armed ? { ...each, ready: true } : each)))
  }

  /** Returns the possible states after the poller has asked the kernel. */
  asked(): ReadonlyArray<State> {
    return this.states.map((state) => {
      if (!state.ready) return state
      const reported = state.armed ? decode(this.ready) : 0
      return {
        ready: false,
        merged: state.merged | reported,
        armed: state.armed && !(this.oneshot && reported !== 0)
      }
    })
  }
}

/**
 * One step of a sequence. A slot holds a descriptor or nothing. A step that is impossible at its
 * time does nothing.
 */
export interface Operation {
  readonly name: (typeof names)[number]
  readonly slot: number
  readonly event: Event.Event
  readonly oneshot: boolean
  readonly kind: "eventfd" | "pipe" | "socketPair"
}

const slots = 10

const names = [
  "open",
  "dup",
  "register",
  "reregister",
  "reregister under another's id",
  "deregister",
  "write",
  "read one",
  "drain",
  "fill",
  "shut down",
  "close",
  "deregister and close",
  "replace",
  "turn",
  "wait"
] as const

const weights: { readonly [Name in (typeof names)[number]]: number } = {
  open: 8,
  dup: 3,
  register: 22,
  reregister: 10,
  "reregister under another's id": 1,
  deregister: 5,
  write: 24,
  "read one": 6,
  drain: 14,
  fill: 8,
  "shut down": 2,
  close: 4,
  "deregister and close": 3,
  replace: 4,
  turn: 4,
  wait: 22
}

const pick = <A>(next: () => number, from: ReadonlyArray<A>): A => from[Math.floor(next() * from.length)]!

/** Generates a sequence. It begins by opening descriptors, and ends with a wait. */
export const generate = (next: () => number, length: number, waits: "often" | "seldom"): ReadonlyArray<Operation> => {
  const bag = names.flatMap((name) =>
    Array.from({ length: name === "wait" && waits === "seldom" ? 2 : weights[name] }, () => name)
  )
  const operation = (name: Operation["name"]): Operation => ({
    name,
    slot: Math.floor(next() * slots),
    event: pick(next, ["Read", "Write", "Both"] as const),
    oneshot: next() < 0.25,
    kind: pick(next, ["eventfd", "pipe", "socketPair"] as const)
  })
  return [
    ...Array.from({ length: 4 }, () => operation("open")),
    ...Array.from({ length }, () => operation(pick(next, bag))),
    operation("wait")
  ]
}

const describeOperation = ({ event, kind, name, oneshot, slot }: Operation): string => {
  if (name === "wait" || name === "turn") return name
  if (name === "open" || name === "replace") return `${name} ${slot} ${kind}`
  if (name.startsWith("re") && name !== "read one") return `${name} ${slot} ${event}${oneshot ? " oneshot" : ""}`
  return `${name} ${slot}`
}

export interface Services {
  readonly poller: Poller.Poller["Service"]
  readonly registrar: Registrar.Registrar["Service"]
}

/** A difference between the library and the model. */
class Difference extends Error {}

/**
 * A number of unread bytes that fills neither a page of a pipe nor a quarter of a socket's buffer.
 */
const fewBytes = 30

/** Runs one sequence on the kernel and on the model, side by side. */
class Run {
  readonly #services: Services
  readonly #concurrent: boolean
  readonly #slots: Array<number | undefined> = Array.from({ length: slots })
  readonly #files = new Map<number, File>()
  /** The registrations in the kernel, and former ones whose reports may not have been taken yet. */
  #watched: Array<Watched> = []
  /** The library's registration of each descriptor number. */
  readonly #known = new Map<number, Watched>()
  #nextId: number
  readonly #registrationsBefore: number

  constructor(services: Services, concurrent: boolean) {
    this.#services = services
    this.#concurrent = concurrent
    this.#registrationsBefore = Effect.runSync(services.poller.stats).registrations
    const probe = Kernel.eventfd()
    this.#nextId = Effect.runSync(services.registrar.register(probe, "Read")) + 1
    Effect.runSync(services.registrar.deregister(probe))
    Kernel.close(probe)
  }

  /**
   * Runs an operation. Yields "wait" where the driver has to wait, and "turn" for a turn of the
   * event loop.
   */
  *perform(operation: Operation): Generator<"wait" | "turn", void, ReadonlyArray<Notification.Notification>> {
    const { event, kind, name, oneshot, slot } = operation
    if (name === "wait") return this.#compare(yield "wait")
    if (name === "turn") {
      this.#mayBeAsked()
      return void (yield "turn")
    }
    if (name === "open") return this.#open(slot, kind)
    const fd = this.#slots[slot]
    if (fd === undefined) return
    const file = this.#files.get(fd)!
    this.#mayBeAsked()
    switch (name) {
      case "dup":
        return this.#duplicate(fd, file)
      case "register":
        return this.#register(fd, event, oneshot)
      case "reregister":
        return this.#reregister(event, fd, oneshot)
      case "reregister under another's id":
        return this.#reregisterWrongly(fd, event)
      case "deregister":
        return this.#deregister(fd)
      case "write":
        return this.#write(fd, file)
      case "read one":
        return this.#readOne(fd, file)
      case "drain":
        return this.#drain(fd, file)
      case "fill":
        return this.#fill(fd, file)
      case "shut down":
        return this.#shutDown(fd, file)
      case "close":
        this.#slots[slot] = undefined
        Kernel.close(fd)
        return this.#closed(fd)
      case "deregister and close":
        this.#deregister(fd)
        this.#slots[slot] = undefined
        Kernel.close(fd)
        return this.#closed(fd)
      case "replace":
        return this.#replace(fd, kind)
    }
  }

  /** Removes what the sequence has left in the library and in the process. */
  end(): void {
    const { registrar } = this.#services
    for (const fd of this.#slots) {
      if (fd === undefined) continue
      ignore(registrar.deregister(fd))
      Kernel.close(fd)
    }
    // The library still has registrations of numbers that were closed. They go when the numbers are
    // registered and deregistered again. New descriptors get the lowest free numbers, so this
    // reaches them and no other ones.
    const left = new Set(this.#known.keys())
    const fresh: Array<number> = []
    while (left.size > 0 && fresh.length < 100) {
      const fd = Kernel.eventfd()
      fresh.push(fd)
      if (!left.delete(fd)) continue
      ignore(registrar.register(fd, "Read"))
      ignore(registrar.deregister(fd))
    }
    for (const fd of fresh) Kernel.close(fd)
  }

  #mayBeAsked(): void {
    if (!this.#concurrent) return
    for (const each of this.#watched) {
      if (each.live) each.states = distinct([...each.states, ...each.asked()])
    }
  }

  #wake(file: File, cause: number): void {
    for (const each of this.#watched) if (each.live && each.file === file) each.wake(cause)
  }

  #live(fd: number): Watched | undefined {
    const file = this.#files.get(fd)
    return this.#watched.find((each) => each.live && each.fd === fd && each.file === file)
  }

  #isKnown(watched: Watched): boolean {
    return this.#known.get(watched.fd) === watched
  }

  #compare(reported: ReadonlyArray<Notification.Notification>): void {
    const actual = new Map<number, string>()
    for (const notification of reported) {
      const { id } = notification
      if (actual.has(id)) throw new Difference(`${id} is reported twice by one wait`)
      actual.set(id, describeNotification(notification))
      if (![...this.#known.values()].some((known) => known.id === id)) {
        throw new Difference(
          `${id} is reported (${describeNotification(notification)}), but it is no longer registered`
        )
      }
    }
    for (const each of this.#watched) {
      if (each.live) each.states = each.asked()
      if (!this.#isKnown(each)) continue
      const said = actual.get(each.id) ?? "nothing"
      const possible = each.states.filter(({ merged }) => describeReport(merged) === said)
      if (possible.length === 0) {
        const allowed = [...new Set(each.states.map(({ merged }) => describeReport(merged)))].join(" or ")
        throw new Difference(`${each.id} (${each.file.kind}) is reported as ${said}, expected ${allowed}`)
      }
      each.states = distinct(possible.map(({ armed, ready }) => ({ ready, merged: 0, armed })))
    }
    // A registration that neither the kernel nor the library has can no longer be reported.
    this.#watched = this.#watched.filter((each) => each.live || this.#isKnown(each))
    const registrations = Effect.runSync(this.#services.poller.stats).registrations - this.#registrationsBefore
    if (registrations !== this.#known.size) {
      throw new Difference(`stats count ${registrations} registrations, expected ${this.#known.size}`)
    }
  }

  #expect(
    what: string,
    exit: Exit.Exit<unknown, { readonly reason: { readonly _tag: string } }>,
    reason: string
  ): void {
    const actual = Exit.isSuccess(exit)
      ? "success"
      : exit.cause.reasons.map((each) => (each._tag === "Fail" ? each.error.reason._tag : each._tag)).join()
    if (actual !== reason) throw new Difference(`${what} ends with ${actual}, expected ${reason}`)
  }

  #put(slot: number, fd: number, file: File): void {
    this.#slots[slot] = fd
    this.#files.set(fd, file)
  }

  #open(slot: number, kind: Operation["kind"]): void {
    if (this.#slots[slot] !== undefined) return
    if (kind === "eventfd") return this.#put(slot, Kernel.eventfd(), new File("eventfd"))
    const other = this.#slots.findIndex((fd, index) => fd === undefined && index !== slot)
    if (other === -1) return
    const fds = kind === "pipe" ? Kernel.pipe() : Kernel.socketPair()
    const files = kind === "pipe" ? pairOf("reader", "writer") : pairOf("socket", "socket")
    this.#put(slot, fds[0], files[0])
    this.#put(other, fds[1], files[1])
  }

  #duplicate(fd: number, file: File): void {
    const free = this.#slots.indexOf(undefined)
    if (free === -1) return
    file.references++
    this.#put(free, Kernel.dup(fd), file)
  }

  #register(fd: number, event: Event.Event, oneshot: boolean): void {
    const exit = Effect.runSyncExit(
      this.#services.registrar.register(fd, event, oneshot ? { mode: "oneshot" } : undefined)
    )
    if (this.#live(fd) !== undefined) return this.#expect(`register(${fd})`, exit, "AlreadyRegistered")
    this.#expect(`register(${fd})`, exit, "success")
    const id = this.#nextId++
    if (Exit.isSuccess(exit) && exit.value !== id) throw new Difference(`the id is ${exit.value}, expected ${id}`)
    const watched = new Watched(id, fd, this.#files.get(fd)!)
    watched.watch(event, oneshot)
    // An earlier registration of this number belonged to a descriptor that was closed.
    this.#known.set(fd, watched)
    this.#watched.push(watched)
  }

  #reregister(event: Event.Event, fd: number, oneshot: boolean): void {
    const known = this.#known.get(fd)
    const exit = Effect.runSyncExit(
      this.#services.registrar.reregister(
        fd,
        Registrar.RegistrationId(known?.id ?? 0),
        event,
        oneshot ? { mode: "oneshot" } : undefined
      )
    )
    const live = this.#live(fd)
    if (known === undefined || live === undefined) return this.#expect(`reregister(${fd})`, exit, "NotRegistered")
    this.#expect(`reregister(${fd})`, exit, "success")
    if (live !== known) {
      // A duplicate has taken the number of a descriptor that was closed, and that the kernel has
      // watched all the time.
      live.live = false
      known.live = true
      known.file = live.file
      known.states = known.states.flatMap(({ merged }) =>
        live.states.map(({ ready }) => ({ ready, merged, armed: true }))
      )
    }
    known.watch(event, oneshot)
  }

  #reregisterWrongly(fd: number, event: Event.Event): void {
    const other = [...this.#known.values()].find((each) => each.fd !== fd)
    if (other === undefined) return
    const exit = Effect.runSyncExit(this.#services.registrar.reregister(fd, Registrar.RegistrationId(other.id), event))
    this.#expect(`reregister(${fd}) under the id of ${other.fd}`, exit, "NotRegistered")
  }

  #deregister(fd: number): void {
    const exit = Effect.runSyncExit(this.#services.registrar.deregister(fd))
    const live = this.#live(fd)
    if (live === undefined) return this.#expect(`deregister(${fd})`, exit, "NotRegistered")
    this.#expect(`deregister(${fd})`, exit, "success")
    live.live = false
    this.#known.delete(fd)
  }

  #canWrite(file: File): boolean {
    if (file.full) return false
    if (file.kind === "eventfd") return true
    return file.kind !== "reader" && !file.sendShut && !file.peer!.closed
  }

  #write(fd: number, file: File): void {
    const receiver = file.peer ?? file
    if (!this.#canWrite(file) || receiver.pending >= fewBytes) return
    if (file.kind === "eventfd") Kernel.signal(fd)
    else Kernel.write(fd)
    receiver.pending++
    this.#wake(receiver, In)
  }

  #fill(fd: number, file: File): void {
    if (!this.#canWrite(file)) return
    const receiver = file.peer ?? file
    if (file.kind === "eventfd") {
      writeSync(fd, new BigUint64Array([0xffff_ffff_ffff_fffen - BigInt(file.pending)]))
      receiver.pending = Infinity
    } else {
      receiver.pending += Kernel.fill(fd)
    }
    file.full = true
    this.#wake(receiver, In)
  }

  #readOne(fd: number, file: File): void {
    if (file.kind === "eventfd") return this.#drain(fd, file)
    const sender = file.peer!
    if (file.kind === "writer" || file.pending === 0 || file.pending > fewBytes) return
    Kernel.read(fd, 1)
    file.pending--
    // Each message that is read completely wakes its sender, even if the sender had room before.
    if (file.kind === "socket") this.#wake(sender, Out)
  }

  #drain(fd: number, file: File): void {
    if (file.kind === "writer") return
    try {
      Kernel.drain(fd)
    } catch {
      // The peer closed with unread bytes, which is reported once, as an error.
      Kernel.drain(fd)
    }
    if (file.pending > 0) {
      const sender = file.peer ?? file
      const wasFull = sender.full
      file.pending = 0
      sender.full = false
      // A pipe wakes its writer only if it was full.
      if (wasFull || file.kind !== "reader") this.#wake(sender, Out)
    }
    this.#mayBeAsked()
    file.error = false
  }

  #shutDown(fd: number, file: File): void {
    if (file.kind !== "socket" || file.sendShut) return
    Kernel.shutdownWrite(fd)
    const peer = file.peer!
    file.sendShut = true
    this.#wake(file, Any)
    this.#mayBeAsked()
    peer.receiveShut = true
    this.#wake(peer, Any)
  }

  #replace(fd: number, kind: Operation["kind"]): void {
    const [fresh, other] =
      kind === "eventfd" ? [Kernel.eventfd()] : kind === "pipe" ? Kernel.pipe() : Kernel.socketPair()
    const [file, peer] =
      kind === "eventfd"
        ? [new File("eventfd")]
        : kind === "pipe"
          ? pairOf("reader", "writer")
          : pairOf("socket", "socket")
    Kernel.dup2(fresh, fd)
    Kernel.close(fresh)
    this.#closed(fd)
    this.#files.set(fd, file)
    if (other === undefined || peer === undefined) return
    const free = this.#slots.indexOf(undefined)
    if (free !== -1) return this.#put(free, other, peer)
    Kernel.close(other)
    this.#files.set(other, peer)
    this.#closed(other)
  }

  #closed(fd: number): void {
    const file = this.#files.get(fd)!
    this.#files.delete(fd)
    file.references--
    // The kernel watches the open file, not its number.
    if (!file.closed) return
    for (const each of this.#watched) {
      if (each.file !== file || !each.live) continue
      each.live = false
      each.states = distinct(each.states.map(({ armed, merged }) => ({ ready: false, merged, armed })))
    }
    const { peer } = file
    if (peer === undefined || peer.closed) return
    if (file.kind !== "socket") return this.#wake(peer, Any)
    peer.receiveShut = true
    peer.sendShut = true
    peer.error ||= file.pending > 0
    this.#wake(peer, Any)
    if (file.pending === 0) return
    this.#mayBeAsked()
    peer.full = false
    this.#wake(peer, Out)
  }
}

export interface Failure {
  readonly message: string
  /** The number of operations that ran, including the one that failed. */
  readonly after: number
}

function* steps(
  run: Run,
  operations: ReadonlyArray<Operation>
): Generator<"wait" | "turn", Failure | undefined, ReadonlyArray<Notification.Notification>> {
  for (const [index, operation] of operations.entries()) {
    try {
      yield* run.perform(operation)
    } catch (error) {
      if (!(error instanceof Difference)) throw error
      return { message: error.message, after: index + 1 }
    }
  }
  return undefined
}

/** Runs a sequence within one turn of the event loop, so that the test alone asks the kernel. */
export const runAlone = (services: Services, operations: ReadonlyArray<Operation>): Failure | undefined => {
  const run = new Run(services, false)
  try {
    const sequence = steps(run, operations)
    let step = sequence.next()
    while (step.done !== true) {
      step = sequence.next(step.value === "wait" ? Effect.runSync(services.poller.wait(0)) : [])
    }
    return step.value
  } finally {
    run.end()
  }
}

/** Runs a sequence while a thread, or the event loop, may ask the kernel at any time. */
export const runBeside = async (
  services: Services,
  operations: ReadonlyArray<Operation>
): Promise<Failure | undefined> => {
  const run = new Run(services, true)
  try {
    const sequence = steps(run, operations)
    let step = sequence.next()
    while (step.done !== true) {
      if (step.value === "wait") {
        step = sequence.next(await Effect.runPromise(services.poller.wait(0)))
      } else {
        await new Promise((resolve) => setImmediate(resolve))
        step = sequence.next([])
      }
    }
    return step.value
  } finally {
    run.end()
  }
}

/** Removes operations from a sequence that fails, one at a time, as long as it still fails. */
export const shrink = async (
  operations: ReadonlyArray<Operation>,
  fails: (operations: ReadonlyArray<Operation>) => Promise<Failure | undefined>
): Promise<{ readonly operations: ReadonlyArray<Operation>; readonly message: string | undefined }> => {
  let shortest = operations
  let message: string | undefined
  let attempts = 150
  for (let index = shortest.length - 1; index >= 0 && attempts > 0; index--) {
    attempts--
    const candidate = shortest.toSpliced(index, 1)
    const failure = await fails(candidate)
    if (failure === undefined) continue
    shortest = candidate.slice(0, failure.after)
    message = failure.message
    index = Math.min(index, shortest.length)
  }
  return { operations: shortest, message }
}

export const describeSequence = (operations: ReadonlyArray<Operation>): string =>
  operations.map(describeOperation).join("; ")
