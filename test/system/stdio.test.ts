/**
 * Standard input, output and error of every kind, in processes of their own. Each reports the flags
 * of the open files that it shares, and what it has left open.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Fd, Poller, Stdio } from "effect-amy"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { watch } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { noWaitCalls, RWF_NOWAIT } from "../../src/internal/libc/prototypes/system/noWait.ts"
import * as Kernel from "../support/kernel.ts"
import { isLong } from "../support/long.ts"
import { directory } from "../support/owned.ts"
import { programUrl } from "../support/programUrl.ts"
import { onTestPoller } from "../support/worlds.ts"

const program = fileURLToPath(programUrl("programs/stdio"))
const NONBLOCK = 0x800
/** Without the files of /proc, no file can be opened a second time. */
const permission = `--permission --no-warnings --allow-fs-read=${fileURLToPath(new URL("../..", import.meta.url))} --allow-fs-write=* --allow-addons --allow-worker`
const hasScript = spawnSync("script", ["--version"]).status === 0

interface Report {
  readonly flags: ReadonlyArray<ReadonlyArray<number>>
  readonly left: number
  readonly exit: string
  readonly failure?: string
  readonly total?: number
  readonly terminals?: ReadonlyArray<boolean>
}

const readReport = (path: string): Report => {
  const lines = readFileSync(path, "utf8").trimEnd().split("\n")
  const values = lines.map((line) => JSON.parse(line) as { readonly flags?: ReadonlyArray<number> })
  const flags = values.flatMap((value) => (value.flags === undefined ? [] : [value.flags]))
  return { ...Object.assign({}, ...values), flags }
}

/** Where a test's files are, and the command that runs the program. */
const prepared = Effect.map(directory, (path) => {
  const report = join(path, "report")
  const node = (layer: string, action: string, options = "", to = report) =>
    `${process.execPath} --conditions=effect-amy-source ${options} ${program} ${to} ${layer} ${action}`
  return { path, report, node }
})

/**
 * Runs a shell command, and returns what it prints. Its errors go nowhere: the open file of this
 * process would be shared with other programs that run now.
 */
const shell = (command: string, input: string | Buffer = "") =>
  Effect.promise(async () => {
    const child = spawn("sh", ["-c", command], { stdio: ["pipe", "pipe", "ignore"] })
    const chunks: Array<Buffer> = []
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk))
    // The command may not read it.
    child.stdin.on("error", () => undefined)
    child.stdin.end(input)
    await once(child, "close")
    return Buffer.concat(chunks).toString()
  })

/** Expects success, the same flags all the time, blocking mode if so, and nothing left open. */
const expectUntouched = (path: string, blocking: ReadonlyArray<number>, exit = "Success") => {
  const report = readReport(path)
  expect(report).toMatchObject({ exit, left: 0 })
  expect(report.flags.length).toBeGreaterThan(1)
  for (const flags of report.flags) expect(flags).toEqual(report.flags[0])
  for (const fd of blocking) expect(report.flags[0]![fd]! & NONBLOCK).toBe(0)
  return report
}

const letters = "abcdefghij".repeat(50_000)

const layers = isLong ? ["eventLoop", "worker", "blocking"] : ["eventLoop"]

describe.concurrent.each(layers)("standard input to standard output (%s)", (layer) => {
  it.live("from pipe to pipe", () =>
    Effect.gen(function* () {
      const { node, report } = yield* prepared
      expect(yield* shell(`cat | ${node(layer, "copy")} | cat`, letters)).toBe(letters)
      expectUntouched(report, [0, 1])
    }).pipe(Effect.scoped)
  )

  it.live("from socket to socket", () =>
    Effect.gen(function* () {
      const { node, report } = yield* prepared
      expect(yield* shell(`exec ${node(layer, "copy")}`, letters)).toBe(letters)
      expectUntouched(report, [])
    }).pipe(Effect.scoped)
  )

  it.live("from FIFO to FIFO", () =>
    Effect.gen(function* () {
      const { node, path, report } = yield* prepared
      const [from, to] = [join(path, "from"), join(path, "to")]
      const command = `mkfifo ${from} ${to}; cat <&0 > ${from} & cat ${to} & ${node(layer, "copy")} < ${from} > ${to}; wait`
      expect(yield* shell(`exec 3<&0; ${command.replace("<&0", "<&3")}`, letters)).toBe(letters)
      expectUntouched(report, [0, 1])
    }).pipe(Effect.scoped)
  )

  it.live.runIf(layer !== "blocking")("from file to file, from and to the position of the shared open file", () =>
    Effect.gen(function* () {
      const { node, path, report } = yield* prepared
      const [from, to] = [join(path, "from"), join(path, "to")]
      writeFileSync(from, `first\n${letters}`)
      yield* shell(`(read line; echo $line; ${node(layer, "copy")}; echo last) < ${from} > ${to}`)
      expect(readFileSync(to, "utf8")).toBe(`first\n${letters}last\n`)
      const other = join(path, "other")
      yield* shell(`${node(layer, "copy", "", other)} < ${from} >> ${to}`)
      expect(readFileSync(to, "utf8")).toBe(`first\n${letters}last\nfirst\n${letters}`)
      expectUntouched(other, [0, 1])
      expectUntouched(report, [0, 1])
    }).pipe(Effect.scoped)
  )

  it.live.runIf(layer !== "blocking")("with /dev/null, and with closed descriptors", () =>
    Effect.gen(function* () {
      const { node, path, report } = yield* prepared
      yield* shell(`${node(layer, "copy")} < /dev/null > /dev/null`)
      expectUntouched(report, [0, 1])
      const other = join(path, "other")
      yield* shell(`${node(layer, "copy", "", other)} <&- >&-`)
      expectUntouched(other, [0, 1])
    }).pipe(Effect.scoped)
  )

  it.live.runIf(hasScript)("of a terminal", () =>
    Effect.gen(function* () {
      const { node, report } = yield* prepared
      const printed = yield* shell(`script -qec "${node(layer, "copy")}" /dev/null`, "one\ntwo\n\u0004")
      // The terminal echoes what is typed, and the program prints it.
      expect(printed.match(/one\r\n/g)).toHaveLength(2)
      expect(printed.match(/two\r\n/g)).toHaveLength(2)
      expectUntouched(report, [0, 1])
    }).pipe(Effect.scoped)
  )
})

/** Opens a pipe in blocking mode. Its open files are shared with the program. */
const blockingPipe = Effect.gen(function* () {
  const { reader, writer } = yield* Fd.pipe
  yield* reader.setNonblocking(false)
  yield* writer.setNonblocking(false)
  return { reader, writer }
})

/** Runs the program with descriptors of this process as its own. */
const run = (report: string, action: string, stdio: readonly [Fd.Fd | "ignore", Fd.Fd | "ignore"], layer: string) =>
  Effect.promise(async () => {
    const own = stdio.map((fd) => (fd === "ignore" ? fd : fd.fd))
    const child = spawn(process.execPath, ["--conditions=effect-amy-source", program, report, layer, action], {
      stdio: [...own, "ignore"]
    })
    await once(child, "exit")
  })

describe.concurrent.each(isLong ? ["eventLoop", "worker"] : ["worker"])("a program that waits (%s)", (layer) => {
  it.live("for input is interrupted, and blocks nothing", () =>
    Effect.gen(function* () {
      const { report } = yield* prepared
      const { reader, writer } = yield* blockingPipe
      yield* run(report, "interrupt", [reader, "ignore"], layer)
      expectUntouched(report, [0])
      expect([reader, writer].map(({ fd }) => Kernel.isNonblocking(fd))).toEqual([false, false])
    }).pipe(Effect.scoped)
  )

  it.live("for room to write is interrupted, and blocks nothing", () =>
    Effect.gen(function* () {
      const { report } = yield* prepared
      const { reader, writer } = yield* blockingPipe
      yield* run(report, "full", ["ignore", writer], layer)
      expectUntouched(report, [1])
      expect([reader, writer].map(({ fd }) => Kernel.isNonblocking(fd))).toEqual([false, false])
    }).pipe(Effect.scoped)
  )

  it.live.each(["pipe", "file"])("for a read that is interrupted loses no byte: %s", (kind) =>
    Effect.gen(function* () {
      const { node, path, report } = yield* prepared
      const from = join(path, "from")
      const bytes = 30 * 65_536 + 7
      writeFileSync(from, Buffer.alloc(bytes, "x"))
      yield* shell(kind === "pipe" ? `cat ${from} | ${node(layer, "resume")}` : `${node(layer, "resume")} < ${from}`)
      expect(expectUntouched(report, [0]).total).toBe(bytes)
    }).pipe(Effect.scoped)
  )
})

describe.concurrent("standard output", () => {
  it.live("takes the chunks of two fibers one after the other", () =>
    Effect.gen(function* () {
      const { node, path, report } = yield* prepared
      const expected = "a".repeat(1_000_000) + "b".repeat(1_000_000)
      expect((yield* shell(`${node("eventLoop", "two")} | cat`)) === expected).toBe(true)
      const to = join(path, "to")
      const other = join(path, "other")
      yield* shell(`${node("eventLoop", "two", "", other)} > ${to}`)
      expectUntouched(other, [1])
      expect(readFileSync(to, "utf8") === expected).toBe(true)
      expectUntouched(report, [1])
    }).pipe(Effect.scoped)
  )

  it.live("fails with BrokenPipe if nothing reads it any more", () =>
    Effect.gen(function* () {
      const { node, report } = yield* prepared
      yield* shell(`${node("eventLoop", "broken")} | head -c 5000`)
      const { failure } = expectUntouched(report, [1], "Failure")
      expect(failure).toContain("pwritev2 on stdout: EPIPE, nothing reads what is written")
    }).pipe(Effect.scoped)
  )

  it.live("is not written by bad input", () =>
    Effect.gen(function* () {
      for (const write of [
        Stdio.write("stdin" as never, "x"),
        Stdio.write("stdout", 7 as never),
        Stdio.write("stderr", undefined as never),
        Stream.run(Stream.make(null as never), Stdio.stdout)
      ]) {
        expect(yield* Effect.flip(write)).toMatchObject({ reason: { _tag: "InvalidArgument" } })
      }
    }).pipe(Effect.provide(Poller.layerEventLoop()))
  )

  it.effect("needs a kernel", () =>
    onTestPoller(() =>
      Effect.gen(function* () {
        const { message } = yield* Effect.orDie(Effect.flip(Stdio.write("stdout", "x")))
        expect(message).toContain("TestPoller has no standard streams")
      })
    )
  )
})

describe.concurrent("where a file cannot be opened a second time, or no call is known that does not block", () => {
  it.live("FIFOs are read and written by the thread pool", () =>
    Effect.gen(function* () {
      const { node, path, report } = yield* prepared
      const [from, to] = [join(path, "from"), join(path, "to")]
      const command = `${node("eventLoop", "copy", permission)} < ${from} > ${to}`
      const printed = yield* shell(
        `exec 3<&0; mkfifo ${from} ${to}; cat <&3 > ${from} & cat ${to} & ${command}; wait`,
        letters
      )
      expect(printed === letters).toBe(true)
      expectUntouched(report, [0, 1])
    }).pipe(Effect.scoped)
  )

  it.live.runIf(hasScript)("so are terminals", () =>
    Effect.gen(function* () {
      const { node, report } = yield* prepared
      const printed = yield* shell(`script -qec "${node("worker", "copy", permission)}" /dev/null`, "one\ntwo\n\u0004")
      expect(printed.match(/two\r\n/g)).toHaveLength(2)
      expectUntouched(report, [0, 1])
    }).pipe(Effect.scoped)
  )
})

describe.concurrent("a terminal", () => {
  it.live.runIf(hasScript)("that is hung up ends the input", () =>
    Effect.gen(function* () {
      const { node, path, report } = yield* prepared
      const started = `exec script -qec "exec ${node("eventLoop", "drain")}" /dev/null`
      const child = yield* Effect.sync(() => spawn("sh", ["-c", started], { stdio: ["pipe", "ignore", "ignore"] }))
      yield* Effect.promise(async () => {
        // The report is made before the program waits.
        for await (const _ of watch(path))
          if (existsSync(report) && readFileSync(report, "utf8").includes("ready")) break
        child.kill("SIGKILL")
        for await (const _ of watch(path)) if (readFileSync(report, "utf8").includes("exit")) break
      })
      expect(readReport(report)).toMatchObject({ exit: "Success", left: 0 })
    }).pipe(Effect.scoped)
  )
})

describe.concurrent("the service of effect/Stdio", () => {
  it.live("is on the poller", () =>
    Effect.gen(function* () {
      const { node, report } = yield* prepared
      expect(yield* shell(`cat | ${node("eventLoop", "service")} | cat`, "hello")).toBe("hello")
      expect(expectUntouched(report, [0, 1]).terminals).toEqual([false, false])
    }).pipe(Effect.scoped)
  )
})

describe("a call that does not block", () => {
  it("has the number that the headers have", () => {
    expect(RWF_NOWAIT).toBe(8)
    expect(noWaitCalls["x64"]).toEqual({ preadv2: 327, pwritev2: 328 })
  })
})
