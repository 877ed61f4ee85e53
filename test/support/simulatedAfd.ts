/**
 * Simulates Windows' device Afd and its I/O completion ports, as far as a selector uses them. A test
 * declares the readiness of its sockets. It takes the place of the C library, so all code above it is
 * what runs on Windows. None of its calls blocks.
 */
import { performance } from "node:perf_hooks"
import type { Libc } from "../../src/internal/libc/koffi.ts"
import type { AfdProfile } from "../../src/internal/libc/profiles/afdProfile.ts"
import { win32 } from "../../src/internal/libc/profiles/win32.ts"
import type { Functions } from "../../src/internal/libc/prototypes/index.ts"
import type { WindowsFunctions } from "../../src/internal/libc/prototypes/windows.ts"

const RECEIVE = 0x1
const EXPEDITED = 0x2
const SEND = 0x4
const DISCONNECT = 0x8
const ABORT = 0x10
const LOCAL_CLOSE = 0x20
const CONNECT_FAIL = 0x100

const STATUS_SUCCESS = 0
const STATUS_PENDING = 0x103
const STATUS_INVALID_HANDLE = 0xc000_0008 | 0
const STATUS_CANCELLED = 0xc000_0120 | 0
const STATUS_NOT_FOUND = 0xc000_0225 | 0
const STATUS_HANDLES_CLOSED = 0x8000_000a | 0

const ERROR_INVALID_HANDLE = 6
const WAIT_TIMEOUT = 258
const WSAENOTSOCK = 10038

const missing = (name: string) => () => {
  throw new Error(`the simulated system has no function ${name}`)
}

interface Packet {
  readonly key: number
  readonly overlapped: number
  readonly bytes: number
}

class Port {
  readonly kind = "port"
  readonly packets: Array<Packet> = []
  isBroken = false
}

class Device {
  readonly kind = "device"
  port: Port | undefined
  key = 0
}

/** A socket: its readiness follows from these. */
export class SimulatedSocket {
  readonly kind = "socket"
  /** The number of bytes to read. */
  pending = 0
  urgent = 0
  isWritable = true
  readEnd = false
  isReset = false
  /** Whether a connection was refused, on a system whose `WSAPoll` does not see that. */
  hasFailed = false

  get events(): number {
    return (
      (this.pending > 0 ? RECEIVE : 0) |
      (this.urgent > 0 ? EXPEDITED : 0) |
      (this.isWritable ? SEND : 0) |
      (this.readEnd ? DISCONNECT : 0) |
      (this.isReset ? ABORT : 0) |
      (this.hasFailed ? CONNECT_FAIL : 0)
    )
  }
}

interface Other {
  readonly kind: "file"
}

type Handle = Port | Device | SimulatedSocket | Other

/** A socket of a poll, and what is asked for. */
interface Target {
  readonly number: number
  readonly socket: SimulatedSocket
  readonly events: number
}

/** A poll that is under way. */
interface Poll {
  readonly device: Device
  readonly targets: ReadonlyArray<Target>
  readonly address: number
  readonly info: number
}

const isOf = (poll: Poll, socket: Handle): boolean => poll.targets.some((target) => target.socket === socket)

export class SimulatedAfd {
  readonly libc: Libc<AfdProfile>
  readonly #handles = new Map<number, Handle>()
  readonly #memory = new Map<number, ArrayBuffer>()
  readonly #addresses = new Map<bigint, Uint8Array>()
  #nextSegment = 0x1_2345_0000
  #lastError = 0
  #polls: Array<Poll> = []
  /** Each request of a poll, with what it asks for. */
  readonly requests: Array<{ readonly socket: number; readonly events: number }> = []
  cancellations = 0
  /** The milliseconds of each wait. */
  readonly waits: Array<number> = []
  /** The name of the device as it was opened. */
  opened = ""
  modes = -1
  /** Functions of sockets, which a test provides. */
  functions: Partial<Functions> = {}
  /** The errno that they leave. */
  errno = 0
  /** Simulates another thread between what the next wait takes and a look at it. */
  afterNextWait: () => void = () => {}

  constructor() {
    const calls: WindowsFunctions = {
      CloseHandle: (handle) => (this.#close(handle) ? 1 : this.#fail(ERROR_INVALID_HANDLE)),
      CreateIoCompletionPort: (file, port, key) => this.#associate(file, port, key),
      DuplicateHandle: (_source, handle, _target, copy) => this.#duplicate(handle, copy),
      GetHandleInformation: (handle) => (this.#handles.has(handle) ? 1 : this.#fail(ERROR_INVALID_HANDLE)),
      GetLastError: () => this.#lastError,
      GetQueuedCompletionStatusEx: (port, entries, count, removed, millis) =>
        this.#wait(port, entries, count, removed, millis),
      PostQueuedCompletionStatus: (port, bytes, key, overlapped) => this.#post(port, { bytes, key, overlapped }),
      QueryPerformanceCounter: (count) => {
        count[0] = BigInt(Math.floor(performance.now() * 10_000)) + 77_000_000n
        return 1
      },
      QueryPerformanceFrequency: (frequency) => {
        frequency[0] = 10_000_000n
        return 1
      },
      SetFileCompletionNotificationModes: (_, modes) => {
        this.modes = modes
        return 1
      },
      VirtualAlloc: (_, size) => this.#allocate(size),
      VirtualFree: (address) => this.#free(address),
      NtCreateFile: (handle, _access, attributes) => this.#create(handle, attributes),
      NtDeviceIoControlFile: (file, _event, _routine, context, block, code, input, inputLength, output) =>
        this.#poll(file, context, block, code, input, inputLength, output),
      NtCancelIoFileEx: (file, request) => this.#cancel(file, request),
      RtlNtStatusToDosError: (status) => (status === STATUS_INVALID_HANDLE ? ERROR_INVALID_HANDLE : 87),
      WSAGetLastError: () => this.#lastError,
      WSAIoctl: (socket, _code, _input, _inputLength, output) => {
        if (this.#handles.get(socket)?.kind !== "socket") return this.#fail(WSAENOTSOCK) - 1
        output[0] = BigInt(socket)
        return 0
      },
      WSAPoll: (fds, count) => this.#look(fds, count)
    }
    const simulated: Omit<Libc<AfdProfile>, "koffi"> = {
      profile: win32,
      functions: new Proxy({} as Libc["functions"], {
        get: (_, name: keyof Functions) => this.functions[name] ?? (name === "gettid" ? () => 0 : missing(name))
      }),
      bindMore: <F>() => calls as F,
      errno: () => this.errno,
      closeHandle: calls.CloseHandle,
      addressOf: (bytes) => {
        const address = BigInt(this.#addresses.size + 1) * 0x1000n
        this.#addresses.set(address, bytes)
        return address
      },
      memoryAt: (address) => this.#memory.get(address)!,
      bindWatchReadable: () => {
        throw new Error("nothing watches a port")
      },
      isFile: () => false
    }
    this.libc = simulated as Libc<AfdProfile>
  }

  #fail(error: number): 0 {
    this.#lastError = error
    return 0
  }

  /** Opens the lowest free number, which is a multiple of 4. */
  #open(handle: Handle): number {
    let number = 4
    while (this.#handles.has(number)) number += 4
    this.#handles.set(number, handle)
    return number
  }

  /** The kinds of what is open. */
  get open(): ReadonlyArray<string> {
    return Array.from(this.#handles.values(), ({ kind }) => kind)
  }

  /** The number of segments of memory that were not given back. */
  get segments(): number {
    return this.#memory.size
  }

  get polls(): number {
    return this.#polls.length
  }

  /** Opens a connected socket with room to write and nothing to read. */
  socket(): number {
    return this.#open(new SimulatedSocket())
  }

  /** Opens what a handle stands for under another number, too. */
  duplicate(fd: number): number {
    return this.#open(this.#handles.get(fd)!)
  }

  /** Opens a handle that is no socket. */
  file(): number {
    return this.#open({ kind: "file" })
  }

  /** Changes a socket, and completes the polls that it is ready for. */
  change(fd: number, change: (socket: SimulatedSocket) => void): void {
    const socket = this.#handles.get(fd)
    if (socket?.kind !== "socket") throw new Error(`${fd} is no socket`)
    change(socket)
    for (const poll of this.#polls.filter((poll) => isOf(poll, socket))) this.#completeIfReady(poll)
  }

  /** Closes a handle. A poll of a socket is complete then. */
  close(fd: number): boolean {
    return this.#close(fd)
  }

  #close(fd: number): boolean {
    const handle = this.#handles.get(fd)
    if (handle === undefined) return false
    this.#handles.delete(fd)
    const isLast = !Array.from(this.#handles.values()).includes(handle)
    if (handle.kind === "socket" && isLast) {
      for (const poll of this.#polls.filter((poll) => isOf(poll, handle))) {
        this.#complete(poll, STATUS_SUCCESS, [[fd, LOCAL_CLOSE]])
      }
    }
    if (handle.kind === "device" && isLast) {
      for (const poll of this.#polls.filter((poll) => poll.device === handle)) {
        this.#complete(poll, STATUS_HANDLES_CLOSED, [])
      }
    }
    return true
  }

  #duplicate(handle: number, copy: BigInt64Array): number {
    const original = this.#handles.get(handle)
    if (original === undefined) return this.#fail(ERROR_INVALID_HANDLE)
    copy[0] = BigInt(this.#open(original))
    return 1
  }

  #create(handle: BigInt64Array, attributes: BigUint64Array): number {
    const bytesAt = (address: bigint) => {
      const bytes = this.#addresses.get(address)!
      return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    }
    if (attributes[0] !== 48n) return STATUS_INVALID_HANDLE
    const unicode = bytesAt(attributes[2]!)
    const length = unicode.getUint16(0, true)
    if (unicode.getUint16(2, true) !== length) return STATUS_INVALID_HANDLE
    const name = bytesAt(unicode.getBigUint64(8, true))
    this.opened = new TextDecoder("utf-16le").decode(new Uint8Array(name.buffer, name.byteOffset, length))
    handle[0] = BigInt(this.#open(new Device()))
    return STATUS_SUCCESS
  }

  #associate(file: number, port: number, key: number): number {
    if (file === -1) return this.#open(new Port())
    const device = this.#handles.get(file)
    const target = this.#handles.get(port)
    if (device?.kind !== "device" || target?.kind !== "port") return this.#fail(ERROR_INVALID_HANDLE)
    device.port = target
    device.key = key
    return port
  }

  #post(port: number, packet: Packet): number {
    const target = this.#handles.get(port)
    if (target?.kind !== "port") return this.#fail(ERROR_INVALID_HANDLE)
    target.packets.push(packet)
    return 1
  }

  /** The number of what a port has to report. */
  get packets(): number {
    let count = 0
    for (const handle of new Set(this.#handles.values())) if (handle.kind === "port") count += handle.packets.length
    return count
  }

  #wait(port: number, entries: Int32Array, count: number, removed: Uint32Array, millis: number): number {
    const target = this.#handles.get(port)
    this.waits.push(millis)
    if (target?.kind !== "port" || target.isBroken) return this.#fail(ERROR_INVALID_HANDLE)
    const taken = target.packets.splice(0, count)
    if (taken.length === 0) return this.#fail(WAIT_TIMEOUT)
    const view = new DataView(entries.buffer, entries.byteOffset)
    taken.forEach(({ bytes, key, overlapped }, index) => {
      view.setBigUint64(index * 32, BigInt(key), true)
      view.setBigUint64(index * 32 + 8, BigInt(overlapped), true)
      // What is here is not documented.
      view.setBigUint64(index * 32 + 16, 0xffff_ffff_ffff_ffffn, true)
      view.setUint32(index * 32 + 24, bytes, true)
      view.setUint32(index * 32 + 28, 0xffff_ffff, true)
    })
    removed[0] = taken.length
    const happens = this.afterNextWait
    this.afterNextWait = () => {}
    happens()
    return 1
  }

  /** Makes every wait from now on fail. */
  break(): void {
    for (const handle of this.#handles.values()) if (handle.kind === "port") handle.isBroken = true
  }

  #allocate(size: number): number {
    const address = this.#nextSegment
    this.#nextSegment += size
    this.#memory.set(address, new ArrayBuffer(size))
    return address
  }

  #free(address: number): number {
    const memory = this.#memory.get(address)
    if (memory === undefined) return 0
    this.#memory.delete(address)
    // Detaches it, so that to look at it again fails the test.
    memory.transfer()
    return 1
  }

  /** The memory from an address on. Writing to what was given back fails the test. */
  #view(address: number, length: number): DataView {
    for (const [base, memory] of this.#memory) {
      if (address >= base && address + length <= base + memory.byteLength) {
        return new DataView(memory, address - base, length)
      }
    }
    throw new Error(`the kernel writes to 0x${address.toString(16)}, which was given back`)
  }

  #poll(
    file: number,
    context: number,
    block: number,
    code: number,
    input: number,
    inputLength: number,
    output: number
  ): number {
    const device = this.#handles.get(file)
    const count = (inputLength - 16) / 16
    if (device?.kind !== "device" || code !== 0x12024 || context !== block || input !== output) {
      throw new Error("a request that Windows does not know")
    }
    const info = this.#view(input, inputLength)
    if (info.getBigInt64(0, true) !== 0x7fff_ffff_ffff_ffffn || info.getUint32(8, true) !== count) {
      throw new Error("a poll of another kind")
    }
    const targets: Array<Target> = []
    for (let index = 0; index < count; index++) {
      const number = Number(info.getBigInt64(16 + index * 16, true))
      const events = info.getUint32(24 + index * 16, true)
      this.requests.push({ socket: number, events })
      const socket = this.#handles.get(number)
      if (socket?.kind !== "socket") return STATUS_INVALID_HANDLE
      targets.push({ number, socket, events })
    }
    const poll: Poll = { device, targets, address: block, info: input }
    this.#polls.push(poll)
    const inSlot = this.#polls.filter((other) => other.address === block).length
    if (inSlot > 1) throw new Error("the kernel would write into one status block for two polls")
    return this.#completeIfReady(poll) ? STATUS_SUCCESS : STATUS_PENDING
  }

  #completeIfReady(poll: Poll): boolean {
    const found = poll.targets
      .map(({ events, number, socket }) => [number, events & socket.events] as const)
      .filter(([, events]) => events !== 0)
    if (found.length === 0) return false
    this.#complete(poll, STATUS_SUCCESS, found)
    return true
  }

  #complete(poll: Poll, status: number, found: ReadonlyArray<readonly [number: number, events: number]>): void {
    this.#polls = this.#polls.filter((other) => other !== poll)
    const info = this.#view(poll.info, 16 + 16 * poll.targets.length)
    // Without success, what was asked for stays there.
    if (status === STATUS_SUCCESS) info.setUint32(8, found.length, true)
    found.forEach(([number, events], index) => {
      info.setBigInt64(16 + index * 16, BigInt(number), true)
      info.setUint32(24 + index * 16, events, true)
    })
    this.#view(poll.address, 16).setInt32(0, status, true)
    poll.device.port?.packets.push({ key: poll.device.key, overlapped: poll.address, bytes: 32 })
  }

  #cancel(file: number, address: number): number {
    this.cancellations++
    const poll = this.#polls.find((poll) => poll.address === address)
    if (poll === undefined || poll.device !== this.#handles.get(file)) return STATUS_NOT_FOUND
    this.#complete(poll, STATUS_CANCELLED, [])
    return STATUS_SUCCESS
  }

  /** Looks at sockets, as `WSAPoll` does. */
  #look(fds: Int32Array, count: number): number {
    const halves = new Int16Array(fds.buffer, fds.byteOffset)
    let ready = 0
    let open = 0
    for (let index = 0; index < count; index++) {
      const socket = this.#handles.get(fds[index * 4]!)
      const isOpen = socket?.kind === "socket"
      if (isOpen) open++
      const found = isOpen ? lookAt(socket, halves[index * 8 + 4]!) : NVAL
      halves[index * 8 + 5] = found
      if (found !== 0) ready++
    }
    if (open > 0) return ready
    this.#lastError = WSAENOTSOCK
    return -1
  }
}

const NVAL = 0x4

const lookAt = (socket: SimulatedSocket, wanted: number): number => {
  let found = 0
  if (socket.pending > 0 || socket.readEnd) found |= wanted & 0x100
  if (socket.urgent > 0) found |= wanted & 0x200
  if (socket.isWritable) found |= wanted & 0x10
  // The end of the peer's output is a hang-up, whatever is asked for.
  if (socket.readEnd) found |= 0x2
  if (socket.isReset) found |= 0x3
  return found
}
