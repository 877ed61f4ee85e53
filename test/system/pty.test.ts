/** Programs on terminals: their output, their terminal, and their end. */
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope, Stream } from "effect"
import { Poller, Pty, Registrar } from "effect-amy"
import { TestPoller } from "effect-amy/testing"
import { readFileSync } from "node:fs"
import { processNumbers } from "../../src/internal/libc/profiles/system/process.ts"
import { terminalNumbers } from "../../src/internal/libc/profiles/system/terminal.ts"
import { viewOf, writeStruct } from "../../src/internal/system/layout.ts"
import { winsize, winsizeBytes } from "../../src/internal/system/terminalCalls.ts"
import { outcomeOf, reasonOf } from "../support/outcome.ts"
import * as Kernel from "../support/kernel.ts"
import { describeLayers } from "../support/layers.ts"
import { times } from "../support/long.ts"
import { describeEveryLayer, until } from "../support/observe.ts"
import { open } from "../support/opened.ts"
import { leavesNothing } from "../support/owned.ts"
import { runProgram } from "../support/programs.ts"
import { encode, scopedFds } from "../support/watched.ts"

const textOf = (pty: Pty.Pty) => Stream.mkString(Stream.decodeText(pty.stream))

/** Starts a shell that runs a script. */
const shell = (script: string, options?: Pty.SpawnOptions) => Pty.spawn("sh", ["-c", script], options)

/** Returns all output of a script, in lines. */
const linesOf = (script: string, options?: Pty.SpawnOptions) =>
  Effect.scoped(Effect.map(Effect.flatMap(shell(script, options), textOf), (text) => text.trimEnd().split("\r\n")))

/** Reads output until it contains a text. */
const readUntil = (pty: Pty.Pty, text: string) => {
  let found = ""
  return pty.stream.pipe(
    Stream.decodeText,
    Stream.takeUntil((chunk) => (found += chunk).includes(text)),
    Stream.runDrain,
    Effect.map(() => found)
  )
}

const isRunning = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Whether a process is gone, or a zombie that another process has to reap. */
const isOver = (pid: number) => {
  try {
    return / [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    return true
  }
}

const signaled = (signal: NodeJS.Signals) => ({ _tag: "Signaled", signal, coreDumped: expect.any(Boolean) })

describeEveryLayer("a program on a terminal", (layer) => {
  it.live("its output is complete before the end, also if it ends at once", () =>
    Effect.gen(function* () {
      yield* Effect.forEach(
        Array.from({ length: times(12, 200) }, (_, i) => i * 173),
        (count) =>
          Effect.gen(function* () {
            const pty = yield* Pty.spawn("seq", ["1", String(count)])
            expect((yield* textOf(pty)).split("\r\n").length - 1).toBe(count)
            expect(yield* pty.exit).toEqual({ _tag: "Exited", code: 0 })
          }).pipe(Effect.scoped),
        { concurrency: 3 }
      )
    }).pipe(Effect.provide(layer()))
  )

  it.live("its output is complete although another process keeps the terminal open", () =>
    Effect.gen(function* () {
      const pty = yield* shell("sleep 1000 & printf '%060000d' 1")
      // Nothing is read before the program has ended, or waits for room.
      yield* until(() => isOver(pty.pid) || readFileSync(`/proc/${pty.pid}/wchan`, "utf8") !== "0")
      expect(yield* textOf(pty)).toHaveLength(60_000)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("its terminal has the size, and is the controlling one of its session", () =>
    Effect.gen(function* () {
      const pty = yield* shell("tty; stty size; ps -o pid=,sid=,tpgid= -p $$", { cols: 132, rows: 43 })
      const [tty, size, ids] = (yield* textOf(pty)).split("\r\n")
      expect(tty).toMatch(/^\/dev\/pts\/\d+$/)
      expect(size).toBe("43 132")
      expect(ids!.trim().split(/ +/).slice(0, 2)).toEqual([String(pty.pid), String(pty.pid)])
      expect(Number(ids!.trim().split(/ +/)[2])).toBeGreaterThan(0)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("how it ended is known", () =>
    Effect.gen(function* () {
      const ends = yield* Effect.forEach(["exit 0", "exit 203", "kill -SEGV $$", "kill -KILL $$"], (script) =>
        Effect.scoped(Effect.flatMap(shell(script), ({ exit }) => exit))
      )
      expect(ends).toEqual([
        { _tag: "Exited", code: 0 },
        { _tag: "Exited", code: 203 },
        signaled("SIGSEGV"),
        signaled("SIGKILL")
      ])
    }).pipe(Effect.provide(layer()))
  )

  it.live("closing the scope ends it, also if it ignores SIGHUP, and leaves no descriptor", () =>
    Effect.gen(function* () {
      const pids: Array<number> = []
      const scripts = [
        "echo ready; sleep 1000",
        "trap '' HUP TERM INT; echo ready; sleep 1000",
        "trap '' HUP; sleep 1000 & echo ready; wait",
        "echo ready; kill -STOP $$"
      ]
      const runAll = Effect.forEach(scripts, (script) =>
        Effect.gen(function* () {
          const pty = yield* shell(script)
          yield* readUntil(pty, "ready")
          pids.push(pty.pid)
        })
      )
      yield* Effect.scoped(runAll)
      expect(pids).toHaveLength(scripts.length)
      // A zombie would count as running.
      expect(pids.filter(isRunning)).toEqual([])
    }).pipe(Effect.provide(layer()), leavesNothing)
  )
})

describeLayers("a shell", (layer) => {
  it.live("has job control: the byte 0x03 interrupts the foreground only", () =>
    Effect.gen(function* () {
      const pty = yield* Pty.spawn("bash", ["--norc", "--noprofile"], { env: { ...process.env, PS1: "$ " } })
      yield* readUntil(pty, "$ ")
      yield* pty.writeAll(encode("sh -c 'echo begun; exec sleep 1000'\n"))
      yield* readUntil(pty, "begun\r\n")
      yield* pty.writeAll(Uint8Array.of(0x03))
      yield* readUntil(pty, "$ ")
      yield* pty.writeAll(encode("echo status $?\n"))
      yield* readUntil(pty, "status 130")
      yield* pty.writeAll(encode("exit 4\n"))
      yield* textOf(pty)
      expect(yield* pty.exit).toEqual({ _tag: "Exited", code: 4 })
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("is notified of a new size", () =>
    Effect.gen(function* () {
      const pty = yield* shell("trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.01; done")
      yield* readUntil(pty, "ready")
      yield* pty.resize(100, 50)
      expect(yield* textOf(pty)).toContain("50 100")
      expect(yield* pty.exit).toEqual({ _tag: "Exited", code: 0 })
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("leaves no job behind that was in the foreground and ignores SIGHUP", () =>
    Effect.gen(function* () {
      const pid = yield* Effect.scoped(
        Effect.gen(function* () {
          const pty = yield* Pty.spawn("bash", ["--norc", "--noprofile"])
          yield* pty.writeAll(encode(`sh -c 'trap "" HUP; echo pid: $$ .; exec sleep 1000'\n`))
          return Number(/pid: (\d+) /.exec(yield* readUntil(pty, " .\r\n"))![1])
        })
      )
      expect(pid).toBeGreaterThan(1)
      yield* until(() => isOver(pid))
    }).pipe(Effect.provide(layer()))
  )

  it.live("reads a megabyte, and writes it back, without a byte lost", () =>
    Effect.gen(function* () {
      const pty = yield* shell("stty raw -echo; echo ready; exec cat")
      yield* readUntil(pty, "ready\n")
      const sent = new Uint8Array(1_000_003).map((_, i) => i * 31 + (i >> 8))
      const received = Buffer.alloc(sent.length)
      let at = 0
      yield* Effect.forkScoped(pty.writeAll(sent))
      while (at < sent.length) at += yield* pty.read(received, at)
      expect(received.equals(sent)).toBe(true)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )
})

describeLayers("the end of a program", (layer) => {
  it.live("is known to every fiber that waits, and the program is reaped if none does", () =>
    Effect.gen(function* () {
      const unobserved = yield* shell("exit 1")
      yield* until(() => !isRunning(unobserved.pid))
      const pty = yield* shell("read line; exit 5")
      const waiting = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(pty.exit, { startImmediately: true }))
      yield* Fiber.interrupt(waiting[1]!)
      yield* pty.writeAll(encode("\n"))
      expect(yield* Fiber.join(waiting[0]!)).toEqual({ _tag: "Exited", code: 5 })
      expect(yield* Fiber.join(waiting[2]!)).toEqual({ _tag: "Exited", code: 5 })
      expect(yield* pty.exit).toEqual({ _tag: "Exited", code: 5 })
      expect(yield* unobserved.exit).toEqual({ _tag: "Exited", code: 1 })
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("is an end to reading, a broken pipe to writing, and nothing to signals and sizes", () =>
    Effect.gen(function* () {
      const pty = yield* shell("echo last")
      yield* pty.exit
      expect(yield* textOf(pty)).toBe("last\r\n")
      expect(yield* textOf(pty)).toBe("")
      expect(yield* pty.read(new Uint8Array(8))).toBe(0)
      expect(yield* reasonOf(pty.writeAll(encode("more")))).toBe("BrokenPipe")
      yield* pty.kill("SIGKILL")
      yield* pty.resize(10, 10)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("fails a write that waits for room", () =>
    Effect.gen(function* () {
      const pty = yield* shell("stty raw -echo; echo ready; read line; exec sleep 1000")
      yield* readUntil(pty, "ready")
      const writing = yield* Effect.forkChild(reasonOf(pty.writeAll(new Uint8Array(1_000_000))), {
        startImmediately: true
      })
      yield* pty.kill("SIGKILL")
      yield* pty.exit
      expect(yield* Fiber.join(writing)).toBe("BrokenPipe")
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("is brought about by a signal", () =>
    Effect.gen(function* () {
      const signals = ["SIGTERM", "SIGHUP", 9, undefined] as const
      const ends = yield* Effect.forEach(signals, (signal) =>
        Effect.scoped(Effect.flatMap(Pty.spawn("sleep", ["1000"]), (pty) => Effect.andThen(pty.kill(signal), pty.exit)))
      )
      expect(ends).toEqual([signaled("SIGTERM"), signaled("SIGHUP"), signaled("SIGKILL"), signaled("SIGTERM")])
    }).pipe(Effect.provide(layer()))
  )

  it.live("comes with the scope if the poller closes before, and fibers that wait fail with Closed", () =>
    Effect.gen(function* () {
      const { close, registrar } = yield* open(layer())
      const scope = yield* Scope.make()
      const pty = yield* Pty.spawn("sh", ["-c", "trap '' HUP; echo ready; sleep 1000"]).pipe(
        Scope.provide(scope),
        Effect.provideService(Registrar.Registrar, registrar)
      )
      yield* readUntil(pty, "ready")
      const exit = yield* Effect.forkChild(outcomeOf(pty.exit), { startImmediately: true })
      const output = yield* Effect.forkChild(outcomeOf(textOf(pty)), { startImmediately: true })
      yield* close
      expect(yield* Fiber.join(exit)).toBe("Closed")
      expect(yield* Fiber.join(output)).toBe("Closed")
      yield* Scope.close(scope, Exit.void)
      expect(isRunning(pty.pid)).toBe(false)
    }).pipe(Effect.scoped)
  )

  it.live("comes with an interruption, whenever that comes", () =>
    Effect.gen(function* () {
      for (let i = 0; i < times(10, 100); i++) {
        const started = yield* Deferred.make<number>()
        const fiber = yield* Effect.forkChild(
          Effect.scoped(
            Effect.gen(function* () {
              const pty = yield* shell("echo ready; exec sleep 1000")
              yield* Deferred.succeed(started, pty.pid)
              if (i % 3 > 0) yield* readUntil(pty, "ready")
              yield* i % 2 === 0 ? textOf(pty) : pty.exit
            })
          )
        )
        const pid = yield* Deferred.await(started)
        yield* Fiber.interrupt(fiber)
        expect(isRunning(pid)).toBe(false)
      }
    }).pipe(Effect.provide(layer()), leavesNothing)
  )
})

describe("Pty.spawn", () => {
  const layer = Poller.layerEventLoop()

  it.live("passes on the environment, with the terminal's kind, and the working directory", () =>
    Effect.gen(function* () {
      process.env["COLUMNS"] = "7"
      expect(yield* linesOf("echo $HOME-$COLUMNS-", { cwd: "/usr" })).toEqual([`${process.env["HOME"]}--`])
      delete process.env["COLUMNS"]
      expect(yield* linesOf("pwd; echo $TERM", { cwd: "/usr", name: "vt100" })).toEqual(["/usr", "vt100"])
      const env = { PATH: "/usr/bin:/bin", A: "b=c", TERM: "dumb", UNSET: undefined }
      expect((yield* linesOf("env", { env })).filter((line) => /^(A|TERM|UNSET)=/.test(line)).toSorted()).toEqual([
        "A=b=c",
        "TERM=dumb"
      ])
      expect(yield* linesOf("echo $TERM", { env: { PATH: "/usr/bin:/bin" } })).toEqual(["xterm-256color"])
    }).pipe(Effect.provide(layer))
  )

  it.live("passes on arguments as they are, and no descriptor, no blocked signal, no ignored one", () =>
    Effect.gen(function* () {
      const pty = yield* Pty.spawn("printf", ["%s|", "a b", "", "$x", "é\n"])
      expect(yield* textOf(pty)).toBe("a b||$x|é\r\n|")
      // This one is not close-on-exec. The program itself opens the last.
      yield* scopedFds(() => [Kernel.dup(0)])
      expect(yield* linesOf("exec ls -1 /proc/self/fd")).toEqual(["0", "1", "2", "3"])
      const signals = yield* linesOf("exec grep -E 'Sig(Blk|Ign)' /proc/self/status")
      const sets = signals.map((line) => BigInt(`0x${line.split(/\s+/)[1]}`))
      // Node ignores SIGPIPE, the 13th. The C library's own are from 32 on.
      expect(sets.map((set) => set & 0x7fff_ffffn)).toEqual([0n, 0n])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.live("refuses what cannot be started, and leaves nothing open", () =>
    Effect.gen(function* () {
      const refused = {
        nothing: yield* reasonOf(Pty.spawn("effect-amy-has-no-such-program")),
        elsewhere: yield* reasonOf(Pty.spawn("sh", { env: { PATH: "/nowhere" } })),
        "no path": yield* reasonOf(Pty.spawn("/nowhere/sh")),
        "not executable": yield* reasonOf(Pty.spawn("/etc/passwd")),
        "a directory": yield* reasonOf(Pty.spawn("/tmp")),
        cwd: yield* reasonOf(Pty.spawn("sh", { cwd: "/nowhere" })),
        "cwd of a file": yield* reasonOf(Pty.spawn("sh", { cwd: "/etc/passwd" })),
        "empty command": yield* reasonOf(Pty.spawn("")),
        "zero byte": yield* reasonOf(Pty.spawn("sh", ["a\0b"])),
        "not a string": yield* reasonOf(Pty.spawn("sh", [7 as unknown as string])),
        "no columns": yield* reasonOf(Pty.spawn("sh", { cols: 0 })),
        "half a row": yield* reasonOf(Pty.spawn("sh", [], { rows: 1.5 })),
        "too long": yield* reasonOf(Pty.spawn("sh", ["-c", "x".repeat(4_000_000)])),
        env: yield* reasonOf(Pty.spawn("sh", { env: { "A=B": "c" } })),
        "env value": yield* reasonOf(Pty.spawn("sh", { env: { A: "\0" } })),
        name: yield* reasonOf(Pty.spawn("sh", { name: "\0" }))
      }
      expect(refused).toEqual({
        nothing: "NotFound",
        elsewhere: "NotFound",
        "no path": "NotFound",
        "not executable": "PermissionDenied",
        "a directory": "PermissionDenied",
        cwd: "NotFound",
        "cwd of a file": "NotFound",
        "empty command": "InvalidArgument",
        "zero byte": "InvalidArgument",
        "not a string": "InvalidArgument",
        "no columns": "InvalidArgument",
        "half a row": "InvalidArgument",
        "too long": "InvalidArgument",
        env: "InvalidArgument",
        "env value": "InvalidArgument",
        name: "InvalidArgument"
      })
    }).pipe(Effect.scoped, Effect.provide(layer), leavesNothing)
  )

  it.live("gives an object whose invalid calls change nothing, and that is closed with its scope", () =>
    Effect.gen(function* () {
      const pty = yield* Effect.scoped(
        Effect.gen(function* () {
          const pty = yield* Pty.spawn("cat")
          expect(yield* reasonOf(pty.resize(0, 10))).toBe("InvalidArgument")
          expect(yield* reasonOf(pty.kill("SIGNOTHING" as NodeJS.Signals))).toBe("InvalidArgument")
          expect(yield* reasonOf(pty.kill(65))).toBe("InvalidArgument")
          expect(isRunning(pty.pid)).toBe(true)
          expect(String(pty)).toBe(`Pty(${pty.fd}, pid ${pty.pid})`)
          expect(Pty.isPty(pty)).toBe(true)
          return pty
        })
      )
      expect([pty.fd, String(pty)]).toEqual([-1, "Pty(closed)"])
      for (const call of [pty.writeAll(encode("a")), pty.resize(1, 1), pty.kill(), textOf(pty)]) {
        expect(yield* outcomeOf(Effect.asVoid(call))).toBe("Closed")
      }
    }).pipe(Effect.provide(layer))
  )

  it.live("is refused on TestPoller, which has no terminals", () =>
    Effect.gen(function* () {
      expect(yield* reasonOf(Effect.scoped(Pty.spawn("sh")))).toBe("InvalidArgument")
    }).pipe(Effect.provide(TestPoller.layer))
  )

  it.live("needs the permission of Node for child processes", () =>
    Effect.gen(function* () {
      const flags = ["--permission", "--allow-addons", "--allow-fs-read=*"]
      const denied = yield* runProgram("pty", [], undefined, flags)
      expect(denied.output).toEqual([
        'posix_spawn("true"): ERR_ACCESS_DENIED, node --permission forbids child processes (start node with --allow-child-process)'
      ])
      const allowed = yield* runProgram("pty", [], undefined, [...flags, "--allow-child-process"])
      expect(allowed.output).toEqual(["Exited"])
    })
  )

  it("knows the numbers of Linux, and of no other system", () => {
    expect(processNumbers("darwin")).toBeUndefined()
    expect(terminalNumbers("darwin", "arm64")).toBeUndefined()
    expect(terminalNumbers("linux", "mips")).toBeUndefined()
    expect(terminalNumbers("linux", "arm64")).toEqual(terminalNumbers("linux", "x64"))
  })
})

describe("what the C library gives and takes", () => {
  it("a window's size is a struct winsize", () => {
    const bytes = new Uint8Array(winsizeBytes)
    writeStruct(winsize, viewOf(bytes), 0, { ws_row: 0x0102, ws_col: 0x0304, ws_xpixel: 0x0506, ws_ypixel: 0x0708 })
    expect([...new Uint16Array(bytes.buffer)]).toEqual([0x0102, 0x0304, 0x0506, 0x0708])
  })
})
