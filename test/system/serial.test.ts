/** Serial lines, on pseudo-terminals: their bytes, their settings, and their end. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Option, type Scope, Stream } from "effect"
import { AsyncFd, Fd, Poller, type Registrar, Serial } from "effect-amy"
import { TestPoller } from "effect-amy/testing"
import { TestClock } from "effect/testing"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { terminalNumbers } from "../../src/internal/libc/profiles/system/terminal.ts"
import { viewOf, writeStruct } from "../../src/internal/system/layout.ts"
import { defaults, encode, refusedError } from "../../src/internal/system/lineSettings.ts"
import { termios2, termios2Bytes } from "../../src/internal/system/terminalCalls.ts"
import { nameWith } from "../support/libraries.ts"
import { describeLayers } from "../support/layers.ts"
import { isLong } from "../support/long.ts"
import { describeEveryLayer, until } from "../support/observe.ts"
import { outcomeOf, reasonOf } from "../support/outcome.ts"
import { directory, leavesNothing } from "../support/owned.ts"
import { isExclusive, modesOf, openTerminal, speedsOf, wordsOf } from "../support/terminal.ts"
import { encode as bytesOf, readText } from "../support/watched.ts"

const baudRate = 115_200

/** Opens a terminal, and a line at its other end. */
const openPair = (options: Partial<Serial.OpenOptions> = {}) =>
  Effect.gen(function* () {
    const { controller, path } = yield* openTerminal
    const line = yield* Serial.open(path, { baudRate, ...options })
    return { line, path, controller, device: yield* AsyncFd.make(controller) }
  })

const textFrom = (line: Serial.Serial) =>
  Effect.suspend(() => {
    const buffer = new Uint8Array(64)
    return Effect.map(line.read(buffer), (length) => new TextDecoder().decode(buffer.subarray(0, length)))
  })

describeEveryLayer("a serial line", (layer) => {
  it.live("passes on all bytes as they are, in both directions, and echoes nothing", () =>
    Effect.gen(function* () {
      const { device, line } = yield* openPair()
      const all = Uint8Array.from({ length: 256 }, (_, i) => i)
      const found = new Uint8Array(256)
      yield* device.writeAll(all)
      for (let at = 0; at < 256;) at += yield* line.read(found, at)
      expect(found).toEqual(all)
      found.fill(0)
      yield* line.writeAll(all)
      for (let at = 0; at < 256;) at += yield* device.read(found, at)
      expect(found).toEqual(all)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("is restored, and left to others, when the scope closes", () =>
    Effect.gen(function* () {
      const { controller, path } = yield* openTerminal
      execFileSync("stty", ["-F", path, "cooked", "1200", "-echo", "cstopb", "min", "7"])
      const before = modesOf(path)
      for (const settings of [{ flowControl: "hardware" }, { stopBits: 2, flowControl: "software" }] as const) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const line = yield* Serial.open(path, { baudRate, ...settings })
            expect(modesOf(path)).not.toBe(before)
            yield* line.set({ baudRate: 9600 })
          })
        )
        expect(modesOf(path)).toBe(before)
      }
      expect(controller.fd).toBeGreaterThan(0)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("fails with Closed once the other end is gone, also fibers that wait", () =>
    Effect.gen(function* () {
      const { controller, line } = yield* openPair()
      const reading = yield* Effect.forkChild(outcomeOf(textFrom(line)), { startImmediately: true })
      const streaming = yield* Effect.forkChild(outcomeOf(Stream.runDrain(line.stream)), { startImmediately: true })
      yield* controller.close
      expect([yield* Fiber.join(reading), yield* Fiber.join(streaming)]).toEqual(["Closed", "Closed"])
      const { message } = yield* Effect.flip(textFrom(line))
      expect(message).toContain("the serial line is gone")
      for (const call of [line.writeAll(bytesOf("a")), line.drain, line.flush(), line.set({ baudRate: 9600 })]) {
        expect(yield* outcomeOf(call)).toBe("Closed")
      }
    }).pipe(Effect.scoped, Effect.provide(layer()), leavesNothing)
  )
})

describeLayers("a serial line's stream", (layer) => {
  it.live("can be consumed in parts, and its sink writes what it is given", () =>
    Effect.gen(function* () {
      const { device, line } = yield* openPair()
      yield* device.writeAll(bytesOf("one"))
      expect(Option.getOrThrow(yield* Stream.runHead(line.stream))).toEqual(bytesOf("one"))
      yield* device.writeAll(bytesOf("two"))
      expect(Option.getOrThrow(yield* Stream.runHead(line.stream))).toEqual(bytesOf("two"))
      yield* Stream.run(Stream.make(bytesOf("a"), bytesOf("b")), line.sink)
      yield* line.drain
      expect(yield* readText(device)).toBe("ab")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("carries half a megabyte each way at once", () =>
    Effect.gen(function* () {
      const { device, line } = yield* openPair()
      const sent = Uint8Array.from({ length: 500_000 }, (_, i) => i * 7 + (i >> 8))
      const collect = (read: (buffer: Uint8Array, offset: number) => Effect.Effect<number, unknown>) =>
        Effect.gen(function* () {
          const found = Buffer.alloc(sent.length)
          for (let at = 0; at < sent.length;) at += yield* read(found, at)
          return found.equals(sent)
        })
      const results = yield* Effect.all(
        [
          collect((buffer, at) => line.read(buffer, at)),
          collect((buffer, at) => device.read(buffer, at)),
          line.writeAll(sent),
          device.writeAll(sent)
        ],
        { concurrency: "unbounded" }
      )
      expect(results.slice(0, 2)).toEqual([true, true])
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("leaves nothing behind when it is interrupted", () =>
    Effect.gen(function* () {
      const { path } = yield* openTerminal
      const before = modesOf(path)
      const fiber = yield* Effect.forkChild(
        Effect.scoped(Effect.flatMap(Serial.open(path, { baudRate }), ({ stream }) => Stream.runDrain(stream))),
        { startImmediately: true }
      )
      expect(modesOf(path)).not.toBe(before)
      yield* Fiber.interrupt(fiber)
      expect(modesOf(path)).toBe(before)
    }).pipe(Effect.scoped, Effect.provide(layer()), leavesNothing)
  )
})

describe("Serial", () => {
  const layer = Poller.layerEventLoop()
  const scoped = <A, E>(effect: Effect.Effect<A, E, Poller.Poller | Registrar.Registrar | Scope.Scope>) =>
    effect.pipe(Effect.scoped, Effect.provide(layer), leavesNothing)

  it.live("gives a line its settings, at any speed", () =>
    Effect.gen(function* () {
      const { line, path } = yield* openPair({ stopBits: 2, flowControl: "hardware" })
      const first = wordsOf(path)
      for (const word of [
        "115200",
        "cs8",
        "cstopb",
        "crtscts",
        "-icanon",
        "-echo",
        "-opost",
        "-isig",
        "-ixon",
        "clocal"
      ]) {
        expect(first, word).toContain(word)
      }
      expect(String(line)).toBe(`Serial(${path}, 115200 baud)`)
      yield* line.set({ baudRate: 250_001, flowControl: "software", stopBits: 1 })
      const second = wordsOf(path)
      expect(speedsOf(line.fd)).toEqual([250_001, 250_001])
      for (const word of ["-cstopb", "-crtscts", "ixon", "ixoff"]) expect(second, word).toContain(word)
      yield* line.set({})
      expect(speedsOf(line.fd)).toEqual([250_001, 250_001])
      yield* line.set({ baudRate: 12_345_678 })
      expect(speedsOf(line.fd)).toEqual([12_345_678, 12_345_678])
      for (const usual of [50, 300, 9600, 38_400, 57_600, 921_600, 4_000_000]) {
        yield* line.set({ baudRate: usual })
        expect(speedsOf(line.fd)).toEqual([usual, usual])
        expect(wordsOf(path), String(usual)).toContain(String(usual))
      }
      expect(wordsOf(path)).toContain("ixoff")
    }).pipe(scoped)
  )

  it.live("refuses settings that are invalid, or that the device cannot do, and changes nothing", () =>
    Effect.gen(function* () {
      const { line, path } = yield* openPair()
      const before = modesOf(path)
      // A pseudo-terminal has eight bits and no parity.
      for (const settings of [
        { dataBits: 7 },
        { parity: "even" },
        { dataBits: 9 as 8 },
        { stopBits: 3 as 2 },
        { parity: "none " as "none" },
        { flowControl: true as unknown as "none" },
        { baudRate: 0 },
        { baudRate: 1.5 },
        { baudRate: 2 ** 32 },
        { baudRate: Symbol("fast") as unknown as number }
      ] as const) {
        expect(yield* reasonOf(line.set({ stopBits: 2, ...settings }))).toBe("InvalidArgument")
        expect(modesOf(path)).toBe(before)
      }
      expect(yield* reasonOf(line.flush("all" as "both"))).toBe("InvalidArgument")
      expect(yield* reasonOf(line.sendBreak(-1))).toBe("InvalidArgument")
      expect(yield* reasonOf(line.sendBreak(Infinity))).toBe("InvalidArgument")
      const { path: other } = yield* openTerminal
      const untouched = modesOf(other)
      expect(yield* reasonOf(Serial.open(other, { baudRate, dataBits: 7 }))).toBe("InvalidArgument")
      expect(yield* reasonOf(Serial.open(other, {} as Serial.OpenOptions))).toBe("InvalidArgument")
      expect(yield* reasonOf(Serial.open(other, { baudRate, exclusive: "no" as never }))).toBe("InvalidArgument")
      expect(yield* reasonOf(line.setModem({ dtr: "off" as never }))).toBe("InvalidArgument")
      expect(yield* reasonOf(line.setModem({ rts: 0 as never }))).toBe("InvalidArgument")
      expect(modesOf(other)).toBe(untouched)
    }).pipe(scoped)
  )

  it.live("opens nothing but lines, and none that is in use", () =>
    Effect.gen(function* () {
      const { path } = yield* openPair()
      const second = yield* Effect.flip(Serial.open(path, { baudRate: 9600 }))
      expect(second.reason).toMatchObject({ _tag: "PermissionDenied", syscall: "flock" })
      expect(second.message).toContain("another program uses this line exclusively")
      expect(wordsOf(path)).toContain("115200")
      expect(yield* outcomeOf(Serial.open(path, { baudRate, exclusive: false }))).toBe("ok")
      expect(yield* reasonOf(Serial.open("/dev/null", { baudRate }))).toBe("InvalidArgument")
      expect(yield* reasonOf(Serial.open("/etc/passwd", { baudRate }))).toBe("InvalidArgument")
      expect(yield* reasonOf(Serial.open("/dev/effect-amy", { baudRate }))).toBe("NotFound")
      expect(yield* reasonOf(Serial.open("\0", { baudRate }))).toBe("InvalidArgument")
    }).pipe(scoped)
  )

  it.live("may be shared, and may be opened again once it is closed", () =>
    Effect.gen(function* () {
      const { path } = yield* openTerminal
      const open = Serial.open(path, { baudRate, exclusive: false })
      expect(yield* outcomeOf(Effect.scoped(Effect.andThen(open, open)))).toBe("ok")
      expect(yield* outcomeOf(Effect.scoped(Serial.open(path, { baudRate })))).toBe("ok")
      expect(yield* outcomeOf(Effect.scoped(Serial.open(path, { baudRate })))).toBe("ok")
    }).pipe(scoped)
  )

  it.live("lets no other program open the line until its scope closes", () =>
    Effect.gen(function* () {
      const { path } = yield* openTerminal
      const other = yield* Fd.open(path, "both")
      for (const exclusive of [true, false, undefined]) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* Serial.open(path, { baudRate, exclusive })
            expect(isExclusive(other.fd)).toBe(exclusive ?? true)
          })
        )
        expect(isExclusive(other.fd)).toBe(false)
      }
    }).pipe(scoped)
  )

  it.live("sends what was written before its scope closed", () =>
    Effect.gen(function* () {
      const { controller, path } = yield* openTerminal
      const device = yield* AsyncFd.make(controller)
      const sent = Uint8Array.from({ length: 7000 }, (_, i) => i >> 3)
      yield* Effect.scoped(Effect.flatMap(Serial.open(path, { baudRate }), (line) => line.writeAll(sent)))
      const found = new Uint8Array(sent.length)
      for (let at = 0; at < sent.length;) at += yield* device.read(found, at)
      expect(found).toEqual(sent)
    }).pipe(scoped)
  )

  it.live("throws away what has arrived", () =>
    Effect.gen(function* () {
      const { device, line } = yield* openPair()
      yield* device.writeAll(bytesOf("old"))
      yield* Effect.promise(() => new Promise(setImmediate))
      yield* line.flush("input")
      yield* device.writeAll(bytesOf("new"))
      expect(yield* textFrom(line)).toContain("new")
    }).pipe(scoped)
  )

  it.effect("holds a break by the program's time", () =>
    Effect.gen(function* () {
      const { line } = yield* openPair()
      const breaking = yield* Effect.forkChild(line.sendBreak("1 hour"), { startImmediately: true })
      yield* TestClock.adjust("59 minutes")
      expect(breaking.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(breaking)
    }).pipe(scoped)
  )

  it.live("says that a line has no modem lines", () =>
    Effect.gen(function* () {
      const { line } = yield* openPair()
      expect(yield* reasonOf(line.modem)).toBe("UnsupportedPlatform")
      expect(yield* reasonOf(line.setModem({ dtr: true }))).toBe("UnsupportedPlatform")
      yield* line.setModem({})
    }).pipe(scoped)
  )

  it.live("is refused on TestPoller, which has no lines", () =>
    Effect.gen(function* () {
      expect(yield* reasonOf(Effect.scoped(Serial.open("/dev/ttyS0", { baudRate })))).toBe("InvalidArgument")
    }).pipe(Effect.provide(TestPoller.layer))
  )

  it.live("gives an object that is closed with its scope", () =>
    Effect.gen(function* () {
      const line = yield* Effect.scoped(Effect.map(openPair(), ({ line }) => line))
      expect([line.fd, String(line), Serial.isSerial(line)]).toEqual([-1, "Serial(closed)", true])
      for (const call of [Effect.asVoid(textFrom(line)), line.drain, line.set({}), line.sendBreak(0)]) {
        expect(yield* outcomeOf(call)).toBe("Closed")
      }
    }).pipe(scoped)
  )
})

/** socat makes two terminals, and links to them. */
const hasSocat = (process.env["PATH"] ?? "").split(":").some((place) => existsSync(join(place, "socat")))

describe.runIf(hasSocat)(`${nameWith("two serial lines that socat joins", hasSocat, "socat")}`, () => {
  const socat = Effect.gen(function* () {
    const place = yield* directory
    const paths = [join(place, "one"), join(place, "two")] as const
    yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(
          "socat",
          paths.map((path) => `pty,raw,echo=0,link=${path}`),
          { stdio: "ignore" }
        )
      ),
      (child: ChildProcess) =>
        Effect.promise(async () => {
          if (child.exitCode !== null || child.signalCode !== null) return
          const ended = once(child, "exit")
          child.kill("SIGKILL")
          await ended
        })
    ).pipe(Effect.tap(() => until(() => paths.every((path) => existsSync(path)))))
    return paths
  })

  it.live.each(isLong ? [1, 100] : [10])("exchange %d messages", (count) =>
    Effect.gen(function* () {
      const [near, far] = yield* socat
      const one = yield* Serial.open(near, { baudRate })
      const two = yield* Serial.open(far, { baudRate: 9600 })
      yield* Effect.forkScoped(Stream.run(two.stream, two.sink))
      for (let i = 0; i < count; i++) {
        const message = `message ${i}\n`
        yield* one.writeAll(bytesOf(message))
        let found = ""
        while (found.length < message.length) found += yield* textFrom(one)
        expect(found).toBe(message)
      }
    }).pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))
  )
})

describe("the modes of a line", () => {
  const numbers = terminalNumbers("linux", "x64")!

  it("are a struct termios2", () => {
    const bytes = new Uint8Array(termios2Bytes)
    writeStruct(termios2, viewOf(bytes), 0, {
      c_iflag: 1,
      c_oflag: 2,
      c_cflag: 3,
      c_lflag: 4,
      c_line: 5,
      vtime: 6,
      vmin: 7,
      c_ispeed: 8,
      c_ospeed: 9
    })
    const words = new Uint32Array(bytes.buffer)
    expect([...words.subarray(0, 4), words[9], words[10]]).toEqual([1, 2, 3, 4, 8, 9])
    // c_line, and then c_cc, in which VTIME is the 5th and VMIN the 6th.
    expect([bytes[16], bytes[17 + 5], bytes[17 + 6], words.length]).toEqual([5, 6, 7, 11])
  })

  it("have the bits of all settings, and keep what is no setting", () => {
    const before = new Uint8Array(termios2Bytes).fill(0xff)
    const settings = { ...defaults, baudRate: 300_000 }
    const bitsOf = (more: Partial<Serial.SetOptions>) =>
      new Uint32Array(encode(numbers, before, { ...settings, ...more } as typeof settings).buffer)
    const plain = bitsOf({})
    // BOTHER for both directions, CLOCAL, CREAD and CS8. HUPCL and what has no name were there before.
    expect(plain[2]! & 0x1000_100f).toBe(0x1000_1000)
    expect(plain[2]! & 0x0000_0ff0).toBe(0x0000_0cb0)
    expect([plain[0], plain[1], plain[3], plain[9], plain[10]]).toEqual([0, 0, 0, 300_000, 300_000])
    const control = (more: Partial<Serial.SetOptions>) => (bitsOf(more)[2]! ^ plain[2]!) >>> 0
    expect(control({ dataBits: 5 })).toBe(0x30)
    expect(control({ dataBits: 7 })).toBe(0x10)
    expect(control({ stopBits: 2 })).toBe(0x40)
    expect(control({ parity: "even" })).toBe(0x100)
    expect(control({ parity: "odd" })).toBe(0x300)
    expect(control({ parity: "space" })).toBe(0x4000_0100)
    expect(control({ parity: "mark" })).toBe(0x4000_0300)
    expect(control({ flowControl: "hardware" })).toBe(0x8000_0000)
    expect(bitsOf({ flowControl: "software" })[0]).toBe(0x1400)
    expect(bitsOf({ parity: "odd" })[0]).toBe(0x10)
  })

  it("that a device has not taken are named", () => {
    const settings = { ...defaults, baudRate: 300_000, parity: "mark", dataBits: 7 } as const
    const taken = encode(numbers, new Uint8Array(termios2Bytes), settings)
    expect(refusedError(numbers, taken, settings, "/dev/x")).toBeUndefined()
    const other = encode(numbers, taken, { ...defaults, baudRate: 230_400, flowControl: "hardware", stopBits: 2 })
    expect(refusedError(numbers, other, settings, "/dev/x")?.message).toBe(
      '/dev/x cannot do 300000 baud (the nearest is 230400), 7 data bits, 1 stop bits, the parity "mark", this flow control: pass what the device supports'
    )
  })
})
