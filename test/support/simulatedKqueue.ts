/**
 * Simulates a system with kqueue(2), as its manual pages describe it. A test declares the readiness
 * of its descriptors. The C functions over them are those that a selector calls, with `struct
 * kevent` as the system lays it out. It takes the place of the C library, so all code above it is
 * what runs on such a system. None of its calls blocks.
 */
import type { Libc } from "../../src/internal/libc/koffi.ts"
import type { KqueueProfile } from "../../src/internal/libc/profiles/kqueueProfile.ts"

const EV_ADD = 0x1
const EV_DELETE = 0x2
const EV_ENABLE = 0x4
const EV_DISABLE = 0x8
const EV_ONESHOT = 0x10
const EV_CLEAR = 0x20
const EV_RECEIPT = 0x40
const EV_DISPATCH = 0x80
const EV_ERROR = 0x4000
const EV_EOF = 0x8000
const NOTE_TRIGGER = 0x0100_0000

const EPERM = 1
const ENOENT = 2
const ESRCH = 3
const EBADF = 9
const EACCES = 13
const EINVAL = 22
const EAGAIN = 35
const ECONNRESET = 54

/** An open file. The filters derive its readiness from these properties. */
class File {
  readonly kind: "socket" | "pipe" | "kqueue" | "file"
  references = 0
  /** The number of bytes to read. */
  pending = 0
  urgent = 0
  isWritable = false
  readEnd = false
  writeEnd = false
  error = 0
  peer: File | undefined
  readonly notes = new Map<string, Knote>()
  /** The active knotes, in the order in which they became active. */
  readonly active = new Set<Knote>()
  isBroken = false
  onActive: () => void = () => {}

  constructor(kind: File["kind"]) {
    this.kind = kind
  }
}

/** A process. Another one may have its id once it has been reaped. */
interface Process {
  readonly isChild: boolean
  /** What wait(2) returns, once it has ended. */
  status: number | undefined
  /** The signals that it was sent. */
  readonly signals: Array<number>
}

interface Knote {
  readonly kq: File
  readonly ident: number
  readonly filter: number
  readonly file: File | undefined
  readonly process: Process | undefined
  flags: number
  fflags: number
  data: number
  low: number
  high: number
  isDisabled: boolean
  timer: NodeJS.Timeout | undefined
}

interface Kevent {
  readonly ident: number
  readonly filter: number
  readonly flags: number
  readonly fflags: number
  readonly data: number
  readonly low: number
  readonly high: number
}

export class SimulatedKqueue {
  readonly libc: Libc<KqueueProfile>
  readonly #profile: KqueueProfile
  readonly #files = new Map<number, File>()
  readonly #descriptorFlags = new Map<number, number>()
  readonly #processes = new Map<number, Process>()
  #errno = 0
  /** The changes of each call of kevent(2). */
  readonly calls: Array<ReadonlyArray<Kevent>> = []
  /** The number of calls that made changes and waited. */
  waitsWithChanges = 0
  /** The errno with which a new knote of a filter is refused. */
  readonly refusals = new Map<number, number>()
  /** Simulates another thread between the return of the next wait and a look at its report. */
  afterNextWait: () => void = () => {}
  /** The errno with which the next wait fails, or 0. */
  failNextWait = 0

  constructor(profile: KqueueProfile) {
    this.#profile = profile
    const functions: Partial<Libc["functions"]> = {
      kqueue: () => this.#open(new File("kqueue")),
      kevent: (kq, changes, nchanges, events, nevents) => this.#kevent(kq, changes, nchanges, events, nevents),
      close: (fd) => (this.close(fd) ? 0 : this.#fail(EBADF)),
      fcntl: (fd, command, _, argument) => this.#fcntl(fd, command, argument),
      pipe: (fds) => this.#pipe(fds, 0),
      pipe2: (fds, flags) => this.#pipe(fds, flags),
      poll: (fds) => this.#poll(fds),
      read: (fd, buffer, count) => this.#read(fd, buffer, count),
      write: (fd, _, count) => this.#write(fd, count)
    }
    const simulated: Omit<Libc<KqueueProfile>, "koffi" | "addressOf" | "memoryAt"> = {
      profile,
      functions: new Proxy(functions, {
        get: (all, name) => Reflect.get(all, name) ?? (() => this.#refuse(String(name)))
      }) as Libc["functions"],
      bindMore: <F>() => ({ kill: (pid: number, signal: number) => this.#kill(pid, signal) }) as F,
      errno: (value = this.#errno) => (this.#errno = value),
      bindWatchReadable: () => (fd, onReadable) => this.#watch(fd, onReadable),
      isFile: (fd) => this.#files.get(fd)?.kind === "file"
    }
    this.libc = simulated as Libc<KqueueProfile>
  }

  #refuse(name: string): never {
    throw new Error(`the simulated system has no function ${name}`)
  }

  #fail(errno: number): -1 {
    this.#errno = errno
    return -1
  }

  /** The open descriptors, with their flags. */
  get open(): ReadonlyMap<number, { readonly kind: string; readonly flags: number }> {
    return new Map(
      Array.from(this.#files, ([fd, { kind }]) => [fd, { kind, flags: this.#descriptorFlags.get(fd) ?? 0 }])
    )
  }

  /** The open files. Several numbers may name one. */
  get #distinct(): ReadonlySet<File> {
    return new Set(this.#files.values())
  }

  /** All knotes. */
  get knotes(): ReadonlyArray<{ readonly ident: number; readonly filter: number; readonly isDisabled: boolean }> {
    return [...this.#distinct].flatMap(({ notes }) =>
      Array.from(notes.values(), ({ filter, ident, isDisabled }) => ({ ident, filter, isDisabled }))
    )
  }

  /** Opens the lowest free number from 3 on, as a process does. */
  #open(file: File, flags = 0): number {
    let fd = 3
    while (this.#files.has(fd)) fd++
    file.references++
    this.#files.set(fd, file)
    this.#descriptorFlags.set(fd, flags)
    return fd
  }

  /** Closes a number and drops its knotes, even if the file has duplicates. */
  close(fd: number): boolean {
    const file = this.#files.get(fd)
    if (file === undefined) return false
    this.#files.delete(fd)
    for (const { notes } of this.#distinct) {
      for (const note of notes.values()) if (note.file !== undefined && note.ident === fd) this.#drop(note)
    }
    if (--file.references > 0) return true
    for (const note of file.notes.values()) this.#drop(note)
    if (file.peer !== undefined) this.#end(file.peer, 0)
    return true
  }

  /** Changes the file of a descriptor, and notifies the knotes of some filters. */
  change(fd: number, change: (file: File) => void, ...filters: ReadonlyArray<"READ" | "WRITE" | "EXCEPT">): void {
    const file = this.#files.get(fd)
    if (file === undefined) throw new Error(`${fd} is not open`)
    change(file)
    for (const filter of filters) this.#happened(file, this.#profile.kqueue[`EVFILT_${filter}`]!)
  }

  /** Starts a process under an id that no other has. */
  start(pid: number, isChild = true): Process {
    const process: Process = { isChild, status: undefined, signals: [] }
    this.#processes.set(pid, process)
    return process
  }

  /** Ends a process with the status that wait(2) returns. It keeps its id until it is reaped. */
  exit(pid: number, status: number): void {
    const process = this.#processes.get(pid)!
    process.status = status
    for (const { notes } of this.#distinct) {
      for (const note of notes.values()) if (note.process === process) this.#evaluate(note)
    }
  }

  reap(pid: number): void {
    this.#processes.delete(pid)
  }

  #kill(pid: number, signal: number): number {
    const process = this.#processes.get(pid)
    if (process === undefined) return this.#fail(ESRCH)
    if (!process.isChild) return this.#fail(EPERM)
    if (signal !== 0) process.signals.push(signal)
    return 0
  }

  /** Returns the process that a new knote watches, or why there can be none. */
  #processOf(pid: number, fflags: number): Process | number {
    const process = this.#processes.get(pid)
    if (process === undefined) return ESRCH
    // Only FreeBSD watches what has ended.
    if (process.status !== undefined && this.#profile.platform !== "freebsd") return ESRCH
    return (fflags & this.#profile.kqueue.NOTE_EXITSTATUS) !== 0 && !process.isChild ? EACCES : process
  }

  /** Opens a connected socket with room to write and nothing to read. */
  socket(): number {
    const file = new File("socket")
    file.isWritable = true
    return this.#open(file)
  }

  /** Opens a regular file. */
  file(): number {
    return this.#open(new File("file"))
  }

  /** Closes the peer of a socket, or resets the connection. */
  hangUp(fd: number, isReset = false): void {
    this.#end(this.#files.get(fd)!, isReset ? ECONNRESET : 0)
  }

  #end(file: File, error: number): void {
    file.readEnd = true
    file.writeEnd = true
    file.error = error
    this.#happened(file, this.#profile.kqueue.EVFILT_READ)
    this.#happened(file, this.#profile.kqueue.EVFILT_WRITE)
  }

  /** Makes every wait from now on fail. */
  break(): void {
    for (const file of this.#files.values()) {
      if (file.kind !== "kqueue") continue
      file.isBroken = true
      file.onActive()
    }
  }

  /** Returns what a knote has to report, as its filter sees it. */
  #look(note: Knote): { readonly ready: boolean; readonly flags: number; fflags: number } {
    const { data, file, filter, fflags, process } = note
    const { EVFILT_EXCEPT, EVFILT_PROC, EVFILT_READ, EVFILT_TIMER, EVFILT_WRITE } = this.#profile.kqueue
    if (filter === EVFILT_PROC) {
      const isTold = process!.status !== undefined && this.#tellsStatus(fflags)
      note.data = isTold ? process!.status! : 0
      return { ready: process!.status !== undefined, flags: EV_EOF, fflags }
    }
    const end = (atEnd: boolean) => (atEnd ? { flags: EV_EOF, fflags: file!.error } : { flags: 0, fflags: 0 })
    if (file?.kind === "kqueue") return { ready: filter === EVFILT_READ && this.#hasEvents(file), ...end(false) }
    if (filter === EVFILT_READ) return { ready: file!.pending > 0 || file!.readEnd, ...end(file!.readEnd) }
    if (filter === EVFILT_WRITE) return { ready: file!.isWritable || file!.writeEnd, ...end(file!.writeEnd) }
    if (filter === EVFILT_EXCEPT) return { ready: file!.urgent > 0, flags: 0, fflags: this.#profile.kqueue.NOTE_OOB }
    if (filter === EVFILT_TIMER) return { ready: data > 0, flags: 0, fflags: 0 }
    return { ready: (fflags & NOTE_TRIGGER) !== 0, flags: 0, fflags: fflags & ~NOTE_TRIGGER }
  }

  #tellsStatus(fflags: number): boolean {
    const { NOTE_EXITSTATUS } = this.#profile.kqueue
    return NOTE_EXITSTATUS === 0 || (fflags & NOTE_EXITSTATUS) !== 0
  }

  /** Whether a kqueue has something to report, which makes it readable. */
  #hasEvents(kq: File): boolean {
    return [...kq.active].some((note) => !note.isDisabled && this.#look(note).ready)
  }

  /** Looks at one descriptor, as poll(2) does. Its flags are those of System V. */
  #poll(fds: Int32Array): number {
    const file = this.#files.get(fds[0]!)
    let events = 0
    if (file === undefined) events = 0x20
    else if (file.kind === "file") events = 0x5 & fds[1]!
    else {
      const isReadable = file.kind === "kqueue" ? this.#hasEvents(file) : file.pending > 0 || file.readEnd
      if (isReadable) events |= 0x1 & fds[1]!
      if (file.isWritable || file.writeEnd) events |= 0x4 & fds[1]!
      if (file.error !== 0) events |= 0x8
      if (file.readEnd && file.writeEnd) events |= 0x10
    }
    fds[1] = (fds[1]! & 0xffff) | (events << 16)
    return events === 0 ? 0 : 1
  }

  /** Notifies every knote of a file and a filter. */
  #happened(file: File, filter: number): void {
    for (const { notes } of this.#distinct) {
      for (const note of notes.values()) {
        if (note.file === file && note.filter === filter) this.#evaluate(note)
      }
    }
  }

  #evaluate(note: Knote): void {
    if (!this.#look(note).ready) return
    note.kq.active.add(note)
    if (note.isDisabled) return
    note.kq.onActive()
    this.#happened(note.kq, this.#profile.kqueue.EVFILT_READ)
  }

  #drop(note: Knote): void {
    clearTimeout(note.timer)
    note.kq.active.delete(note)
    note.kq.notes.delete(`${note.filter}:${note.ident}`)
  }

  /** Makes a change. Returns 0, or the errno. */
  #apply(kq: File, change: Kevent): number {
    const { EVFILT_EXCEPT, EVFILT_PROC, EVFILT_READ, EVFILT_TIMER, EVFILT_USER, EVFILT_WRITE } = this.#profile.kqueue
    const { data, fflags, filter, flags, high, ident, low } = change
    const hasFile = filter === EVFILT_READ || filter === EVFILT_WRITE || filter === EVFILT_EXCEPT
    if (!hasFile && filter !== EVFILT_TIMER && filter !== EVFILT_USER && filter !== EVFILT_PROC) return EINVAL
    const file = hasFile ? this.#files.get(ident) : undefined
    if (hasFile && file === undefined) return EBADF
    const key = `${filter}:${ident}`
    let note = kq.notes.get(key)
    if (note === undefined) {
      if ((flags & EV_ADD) === 0) return ENOENT
      if (this.refusals.has(filter)) return this.refusals.get(filter)!
      const process = filter === EVFILT_PROC ? this.#processOf(ident, fflags) : undefined
      if (typeof process === "number") return process
      const kept = flags & ~(EV_ADD | EV_ENABLE | EV_DISABLE | EV_RECEIPT)
      note = {
        kq,
        ident,
        filter,
        file,
        process,
        flags: kept,
        fflags,
        data: 0,
        low,
        high,
        isDisabled: false,
        timer: undefined
      }
      kq.notes.set(key, note)
      if (filter === EVFILT_TIMER) this.#startTimer(note, data)
    } else if ((flags & EV_DELETE) !== 0) {
      this.#drop(note)
      return 0
    } else {
      // Any change replaces the user data.
      note.low = low
      note.high = high
      if (filter === EVFILT_USER) note.fflags |= fflags & NOTE_TRIGGER
      if ((flags & EV_ADD) !== 0) note.isDisabled = false
    }
    if ((flags & EV_DISABLE) !== 0) note.isDisabled = true
    if ((flags & EV_ENABLE) !== 0) note.isDisabled = false
    this.#evaluate(note)
    return 0
  }

  #startTimer(note: Knote, millis: number): void {
    // A timer of no time never expires here: not every system takes it for the shortest.
    if (millis <= 0) return
    const expire = () => {
      note.data++
      this.#evaluate(note)
      if ((note.flags & EV_ONESHOT) === 0) note.timer = setTimeout(expire, millis)
    }
    note.timer = setTimeout(expire, millis)
  }

  #kevent(
    fd: number,
    changes: Int32Array | null,
    nchanges: number,
    events: Int32Array | null,
    nevents: number
  ): number {
    const kq = this.#files.get(fd)
    if (kq === undefined || kq.kind !== "kqueue") return this.#fail(EBADF)
    const { stride } = this.#profile.kqueue.layout
    const all = Array.from({ length: nchanges }, (_, index) => readKevent(changes!, index * stride))
    this.calls.push(all)
    if (nchanges > 0 && nevents > 0) this.waitsWithChanges++
    let count = 0
    for (const change of all) {
      const reason = this.#apply(kq, change)
      if (reason === 0 && (change.flags & EV_RECEIPT) === 0) continue
      if (count === nevents) return this.#fail(reason)
      writeKevent(events!, count++ * stride, stride, { ...change, flags: change.flags | EV_ERROR, data: reason })
    }
    if (count > 0 || nevents === 0) return count
    if (kq.isBroken) return this.#fail(EBADF)
    if (this.failNextWait !== 0) {
      const reason = this.failNextWait
      this.failNextWait = 0
      return this.#fail(reason)
    }
    count = this.#collect(kq, events!, nevents)
    const happens = this.afterNextWait
    this.afterNextWait = () => {}
    happens()
    return count
  }

  #collect(kq: File, events: Int32Array, nevents: number): number {
    const { stride } = this.#profile.kqueue.layout
    let count = 0
    for (const note of Array.from(kq.active)) {
      if (count === nevents) break
      if (note.isDisabled) continue
      const seen = this.#look(note)
      if (!seen.ready) {
        // It is no longer ready, so it is not reported.
        kq.active.delete(note)
        continue
      }
      writeKevent(events, count++ * stride, stride, { ...note, flags: note.flags | seen.flags, fflags: seen.fflags })
      if ((note.flags & EV_ONESHOT) !== 0) {
        this.#drop(note)
        continue
      }
      if ((note.flags & EV_CLEAR) !== 0) {
        note.fflags &= ~NOTE_TRIGGER
        note.data = 0
      }
      if ((note.flags & EV_DISPATCH) !== 0) note.isDisabled = true
      if ((note.flags & (EV_CLEAR | EV_DISPATCH)) !== 0) kq.active.delete(note)
    }
    return count
  }

  /** Calls back in a turn of its own, and again for as long as something is active. */
  #watch(fd: number, onReadable: () => boolean): { readonly close: () => void } {
    const kq = this.#files.get(fd)!
    let isOpen = true
    let isScheduled = false
    const schedule = () => {
      if (isScheduled || !isOpen) return
      isScheduled = true
      setImmediate(() => {
        isScheduled = false
        if (!isOpen) return
        while (onReadable());
        if ([...kq.active].some(({ isDisabled }) => !isDisabled)) schedule()
      })
    }
    kq.onActive = schedule
    if (kq.active.size > 0) schedule()
    return {
      close: () => {
        isOpen = false
      }
    }
  }

  #fcntl(fd: number, command: number, argument: number): number {
    const { F_DUPFD_CLOEXEC, F_GETFL, F_SETFD, F_SETFL, O_CLOEXEC } = this.#profile.fcntl
    const file = this.#files.get(fd)
    if (file === undefined) return this.#fail(EBADF)
    if (command === F_DUPFD_CLOEXEC) return this.#open(file, O_CLOEXEC)
    const flags = this.#descriptorFlags.get(fd)!
    if (command === F_GETFL) return flags & ~O_CLOEXEC
    if (command === F_SETFD) this.#descriptorFlags.set(fd, flags | (argument === 1 ? O_CLOEXEC : 0))
    else if (command === F_SETFL) this.#descriptorFlags.set(fd, flags | argument)
    else return this.#fail(EINVAL)
    return 0
  }

  #pipe(fds: Int32Array, flags: number): number {
    const reader = new File("pipe")
    const writer = new File("pipe")
    writer.isWritable = true
    reader.peer = writer
    writer.peer = reader
    fds[0] = this.#open(reader, flags)
    fds[1] = this.#open(writer, flags)
    return 0
  }

  #read(fd: number, buffer: Uint8Array, count: number): number {
    const file = this.#files.get(fd)
    if (file === undefined) return this.#fail(EBADF)
    if (file.pending === 0) return file.readEnd ? 0 : this.#fail(EAGAIN)
    const taken = Math.min(file.pending, count, buffer.length)
    file.pending -= taken
    return taken
  }

  #write(fd: number, count: number): number {
    const receiver = this.#files.get(fd)?.peer
    if (receiver === undefined) return this.#fail(EBADF)
    if (receiver.pending + count > pipeSize) return this.#fail(EAGAIN)
    receiver.pending += count
    this.#happened(receiver, this.#profile.kqueue.EVFILT_READ)
    return count
  }
}

/** Small, so that a test fills a pipe soon. */
const pipeSize = 2048

const readKevent = (words: Int32Array, at: number): Kevent => ({
  ident: words[at]!,
  filter: (words[at + 2]! << 16) >> 16,
  flags: words[at + 2]! >>> 16,
  fflags: words[at + 3]!,
  data: words[at + 4]!,
  low: words[at + 6]!,
  high: words[at + 7]!
})

const writeKevent = (words: Int32Array, at: number, stride: number, event: Kevent): void => {
  // A kernel overwrites the whole entry. The words at the end of the long layout are its own.
  words.fill(0, at, at + 8)
  words.fill(-1, at + 8, at + stride)
  words[at] = event.ident
  words[at + 2] = (event.filter & 0xffff) | (event.flags << 16)
  words[at + 3] = event.fflags
  words[at + 4] = event.data
  words[at + 6] = event.low
  words[at + 7] = event.high
}
