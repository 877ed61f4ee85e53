/** Processes are watched by descriptors, and their ends are reported with what the system knows. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { Poller, ProcessExit, Registrar } from "effect-amy"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { readdirSync } from "node:fs"
import { release } from "node:os"
import { darwin } from "../../src/internal/libc/profiles/darwin.ts"
import { freebsd } from "../../src/internal/libc/profiles/freebsd.ts"
import { openbsd } from "../../src/internal/libc/profiles/openbsd.ts"
import { pidfdInfoLayout, siginfoLayout } from "../../src/internal/libc/prototypes/system/pidfd.ts"
import { decodeStatus } from "../../src/internal/system/pidfd.ts"
import * as Kernel from "../support/kernel.ts"
import { describeLayers } from "../support/layers.ts"
import { open, outcome } from "../support/opened.ts"
import { onSimulatedKqueue, onTestPoller } from "../support/worlds.ts"

const [major, minor] = release().split(".").map(Number) as [number, number]
/** Whether the kernel keeps how a process ended that has been reaped. */
const keepsEnds = major > 6 || (major === 6 && minor >= 15)

/** Runs a shell script that waits for a line before it goes on. */
const waiting = (script: string) =>
  Effect.acquireRelease(
    Effect.sync(() => spawn("sh", ["-c", `read line; ${script}`], { stdio: ["pipe", "pipe", "inherit"] })),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

const goOn = (child: ChildProcess) => Effect.sync(() => child.stdin!.end("\n"))

/** Returns what Node reports of its child. */
const nodesReport = (child: ChildProcess) => Effect.promise(() => once(child, "exit"))

/** Returns the next line that a child writes, as a number. */
const nextNumber = (child: ChildProcess) =>
  Effect.promise(async () => Number(String((await once(child.stdout!, "data"))[0])))

/** Starts a process whose parent does not reap it once it has ended: a program that does not know of it. */
const neglected = Effect.gen(function* () {
  // A shell would reap it, so it waits until its parent has become another program.
  const child = 'until read name < /proc/$PPID/comm; [ "$name" = sleep ]; do :; done; echo $$; read line; exit 9'
  const parent = yield* waiting(`exec 3<&0; sh -c '${child}' <&3 & exec sleep 1000`)
  const pid = nextNumber(parent)
  parent.stdin.write("\n")
  return { parent, pid: yield* pid }
})

const pidfds = () => [...Kernel.openDescriptors().values()].filter((name) => name.includes("pidfd")).length

const start = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

describeLayers("the end of a process", (layer) => {
  it.live("of a child has its code or its signal, and Node gets its own report", () =>
    Effect.gen(function* () {
      for (const [script, expected, report] of [
        ["exit 7", { _tag: "Exited", code: 7 }, [7, null]],
        ["exit 0", { _tag: "Exited", code: 0 }, [0, null]],
        ["exit 255", { _tag: "Exited", code: 255 }, [255, null]],
        ["kill -TERM $$", { _tag: "Signaled", signal: "SIGTERM", coreDumped: false }, [null, "SIGTERM"]]
      ] as const) {
        const child = yield* waiting(script)
        const nodes = yield* start(nodesReport(child))
        const exit = yield* start(ProcessExit.await(child.pid!))
        yield* goOn(child)
        const found = yield* Fiber.join(exit)
        if (keepsEnds) expect(found).toEqual(expected)
        else expect([expected, { _tag: "Unknown" }]).toContainEqual(found)
        expect(yield* Fiber.join(nodes)).toEqual(report)
      }
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("of a process that its parent has not reaped has its code, however late it is asked for", () =>
    Effect.gen(function* () {
      const { parent, pid } = yield* neglected
      const handle = yield* ProcessExit.open(pid)
      const first = yield* start(handle.exit)
      const second = yield* start(ProcessExit.await(pid))
      parent.stdin.write("\n")
      const expected = { _tag: "Exited", code: 9 }
      expect([yield* Fiber.join(first), yield* Fiber.join(second)]).toEqual([expected, expected])
      // It is a zombie now.
      expect([yield* ProcessExit.await(pid), yield* handle.exit]).toEqual([expected, expected])
      yield* handle.signal(0)
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("of a process that has been reaped is known where the kernel keeps it", () =>
    Effect.gen(function* () {
      const child = yield* waiting("exit 3")
      const handle = yield* ProcessExit.open(child.pid!)
      const nodes = yield* start(nodesReport(child))
      yield* goOn(child)
      yield* Fiber.join(nodes)
      expect(yield* handle.exit).toEqual(keepsEnds ? { _tag: "Exited", code: 3 } : { _tag: "Unknown" })
      const gone = { reason: { _tag: "NotFound", code: "ESRCH", syscall: "pidfd_send_signal" } }
      expect(yield* Effect.flip(handle.signal("SIGKILL"))).toMatchObject(gone)
      expect(yield* Effect.flip(ProcessExit.open(child.pid!))).toMatchObject({ reason: { _tag: "NotFound" } })
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("many at once are each reported to all that wait", () =>
    Effect.gen(function* () {
      const children = yield* Effect.forEach(Array.from({ length: 30 }), (_, i) => waiting(`exit ${i}`))
      const handles = yield* Effect.forEach(children, (child) => ProcessExit.open(child.pid!))
      const fibers = yield* Effect.forEach([...handles, ...handles], (handle) => start(handle.exit))
      yield* Effect.forEach(children, goOn)
      const found = yield* Effect.forEach(fibers, Fiber.join)
      if (keepsEnds) expect(found).toEqual([...handles, ...handles].map((_, i) => ({ _tag: "Exited", code: i % 30 })))
    }).pipe(Effect.scoped, Effect.provide(layer()))
  )

  it.live("leaves nothing behind when its fiber is interrupted or the scope closes", () =>
    Effect.gen(function* () {
      const before = pidfds()
      const self = yield* start(ProcessExit.await(process.pid))
      expect(pidfds()).toBe(before + 1)
      yield* Fiber.interrupt(self)
      expect(pidfds()).toBe(before)
      const scope = yield* Scope.make()
      const handle = yield* Scope.provide(ProcessExit.open(process.pid), scope)
      const exit = yield* start(outcome(handle.exit))
      yield* handle.signal(0)
      yield* Scope.close(scope, Exit.void)
      expect(yield* Fiber.join(exit)).toBe("Closed")
      expect(yield* outcome(handle.exit)).toBe("Closed")
      expect(yield* outcome(handle.signal(0))).toBe("Closed")
      expect([String(handle), pidfds()]).toEqual(["ProcessHandle(closed)", before])
    }).pipe(Effect.provide(layer()))
  )

  it.live("is not waited for any longer than the poller lives", () =>
    Effect.gen(function* () {
      const { close, registrar } = yield* open(layer())
      const exit = yield* start(
        outcome(ProcessExit.await(process.pid).pipe(Effect.provideService(Registrar.Registrar, registrar)))
      )
      yield* close
      expect(yield* Fiber.join(exit)).toBe("Closed")
    }).pipe(Effect.scoped)
  )
})

describe("a process", () => {
  const loop = Poller.layerEventLoop()

  it.live("is sent signals by name or number", () =>
    Effect.gen(function* () {
      for (const [signal, name] of [
        ["SIGTERM", "SIGTERM"],
        [9, "SIGKILL"],
        [50, 50]
      ] as const) {
        const child = yield* waiting("true")
        const handle = yield* ProcessExit.open(child.pid!)
        expect(ProcessExit.isProcessHandle(handle)).toBe(true)
        expect([handle.pid, String(handle)]).toEqual([child.pid, `ProcessHandle(${child.pid})`])
        yield* handle.signal(signal)
        expect(yield* handle.exit).toEqual({ _tag: "Signaled", signal: name, coreDumped: false })
      }
    }).pipe(Effect.scoped, Effect.provide(loop))
  )

  it.live("is not sent what is no signal", () =>
    Effect.gen(function* () {
      const child = yield* waiting("exit 4")
      const handle = yield* ProcessExit.open(child.pid!)
      for (const invalid of ["SIGNOTHING", "toString", "", -1, 65, 1.5, Number.NaN, undefined, null]) {
        expect(yield* Effect.flip(handle.signal(invalid as never))).toMatchObject({
          reason: { _tag: "InvalidArgument" }
        })
      }
      yield* goOn(child)
      expect(yield* handle.exit).toEqual({ _tag: "Exited", code: 4 })
    }).pipe(Effect.scoped, Effect.provide(loop))
  )

  it.live("is not found under an invalid id, the id of a thread, or an id that no process has", () =>
    Effect.gen(function* () {
      const before = pidfds()
      for (const invalid of [0, -1, 1.5, 2 ** 31, Number.NaN, Infinity, "1", undefined, null, {}]) {
        const { message, reason } = yield* Effect.flip(ProcessExit.await(invalid as never))
        expect(reason._tag).toBe("InvalidArgument")
        expect(message).toContain("invalid process id")
      }
      const thread = readdirSync("/proc/self/task").find((id) => Number(id) !== process.pid)
      const ofThread = yield* Effect.flip(ProcessExit.await(Number(thread)))
      expect(ofThread.reason._tag).toBe("InvalidArgument")
      expect(ofThread.message).toContain("this is the id of a thread")
      const nothing = yield* Effect.flip(ProcessExit.await(2 ** 31 - 1))
      expect(nothing.reason).toMatchObject({ _tag: "NotFound", code: "ESRCH" })
      expect(nothing.message).toContain("there is no such process")
      expect(pidfds()).toBe(before)
    }).pipe(Effect.provide(loop))
  )

  it.live("is waited for by a thread that polls itself", () =>
    Effect.gen(function* () {
      const child = yield* waiting("exit 5")
      yield* goOn(child)
      // The thread is blocked, so that Node cannot reap its child before.
      expect(yield* ProcessExit.await(child.pid!)).toEqual({ _tag: "Exited", code: 5 })
    }).pipe(Effect.scoped, Effect.provide(Poller.layerBlocking({ allowMainThread: true })))
  )

  it.effect("needs a kernel", () =>
    onTestPoller(() =>
      Effect.gen(function* () {
        const { message, reason } = yield* Effect.orDie(Effect.flip(ProcessExit.open(process.pid)))
        expect(reason._tag).toBe("InvalidArgument")
        expect(message).toContain("TestPoller has no processes")
      })
    )
  )
})

/** Returns the error. */
const flip = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.orDie(Effect.flip(effect))

const exited = (code: number) => ({ _tag: "Exited", code })

const systems = { macOS: darwin, FreeBSD: freebsd, OpenBSD: openbsd }

describe.each(Object.entries(systems))("a process on simulated %s", (name, profile) => {
  it.live("reports its end to all fibers that wait, and to those that ask later", () =>
    onSimulatedKqueue(profile, (_, system) =>
      Effect.gen(function* () {
        for (const [pid, status, expected] of [
          [100, 0x700, exited(7)],
          [101, 0, exited(0)],
          [102, 15, { _tag: "Signaled", signal: "SIGTERM", coreDumped: false }],
          [103, 0x86, { _tag: "Signaled", signal: "SIGABRT", coreDumped: true }]
        ] as const) {
          system.start(pid)
          const before = system.open.size
          const awaiting = yield* start(ProcessExit.await(pid))
          yield* Effect.scoped(
            Effect.gen(function* () {
              const handle = yield* ProcessExit.open(pid)
              const fibers = yield* Effect.all([start(handle.exit), start(handle.exit), start(handle.exit)])
              yield* Fiber.interrupt(fibers[0])
              system.exit(pid, status)
              system.reap(pid)
              expect(yield* Fiber.join(fibers[1])).toEqual(expected)
              expect(yield* Fiber.join(fibers[2])).toEqual(expected)
              expect(yield* handle.exit).toEqual(expected)
            })
          )
          expect(yield* Fiber.join(awaiting)).toEqual(expected)
          expect(system.open.size).toBe(before)
        }
      })
    )
  )

  it.live("is not taken for another that is given its id", () =>
    onSimulatedKqueue(profile, (_, system) =>
      Effect.scoped(
        Effect.gen(function* () {
          const first = system.start(100)
          const handle = yield* ProcessExit.open(100)
          const waiting = yield* start(handle.exit)
          yield* handle.signal("SIGHUP")
          yield* handle.signal(0)
          system.exit(100, 0x300)
          system.reap(100)
          const next = system.start(100)
          const gone = { reason: { _tag: "NotFound", code: "ESRCH", syscall: "kill" } }
          expect(yield* flip(handle.signal("SIGKILL"))).toMatchObject(gone)
          // That signal looked first, and took nothing from the fiber that waits.
          expect(yield* Fiber.join(waiting)).toEqual(exited(3))
          expect(yield* flip(handle.signal("SIGKILL"))).toMatchObject(gone)
          expect([first.signals, next.signals]).toEqual([[1], []])
        })
      )
    )
  )

  it.live("that had ended when it was opened is sent no signal, nor is another that is given its id", () =>
    onSimulatedKqueue(profile, (_, system) =>
      Effect.scoped(
        Effect.gen(function* () {
          const first = system.start(100)
          system.exit(100, 0x500)
          const handle = yield* ProcessExit.open(100)
          expect(yield* outcome(handle.signal("SIGKILL"))).toBe("NotFound")
          system.reap(100)
          const next = system.start(100)
          expect(yield* outcome(handle.signal("SIGKILL"))).toBe("NotFound")
          expect([first.signals, next.signals]).toEqual([[], []])
        })
      )
    )
  )

  it.live("of another parent ends without a status where only the parent is told", () =>
    onSimulatedKqueue(profile, (_, system) =>
      Effect.scoped(
        Effect.gen(function* () {
          system.start(100, false)
          const handle = yield* ProcessExit.open(100)
          expect(yield* flip(handle.signal("SIGTERM"))).toMatchObject({ reason: { _tag: "PermissionDenied" } })
          const waiting = yield* start(handle.exit)
          system.exit(100, 0x400)
          const expected = name === "macOS" ? { _tag: "Unknown" } : exited(4)
          expect([yield* Fiber.join(waiting), yield* handle.exit]).toEqual([expected, expected])
        })
      )
    )
  )

  it.live("that has ended already is found until it is reaped, and leaves nothing open", () =>
    onSimulatedKqueue(profile, (_, system) =>
      Effect.gen(function* () {
        system.start(100)
        system.exit(100, 0x500)
        const before = system.open.size
        expect(yield* ProcessExit.await(100)).toEqual(name === "FreeBSD" ? exited(5) : { _tag: "Unknown" })
        system.reap(100)
        const { message, reason } = yield* flip(ProcessExit.await(100))
        expect(reason).toMatchObject({ _tag: "NotFound", code: "ESRCH" })
        expect(message).toContain("there is no such process")
        system.start(101)
        yield* Fiber.interrupt(yield* start(ProcessExit.await(101)))
        system.refusals.set(-5, 12)
        expect(yield* outcome(ProcessExit.await(101))).toBe("LimitReached")
        expect(system.open.size).toBe(before)
      })
    )
  )
})

describe("what the kernel reports", () => {
  it("is at the bytes where C has it", () => {
    expect(siginfoLayout[8]).toEqual({
      size: 128,
      members: { si_signo: [0, "i32"], si_code: [8, "i32"], si_pid: [16, "i32"], si_status: [24, "i32"] }
    })
    expect(pidfdInfoLayout).toEqual({ size: 64, members: { mask: [0, "u64"], exit_code: [60, "i32"] } })
  })

  it("is a status as wait(2) returns it", () => {
    expect([0, 0x700, 0xff00, 9, 0x8b, 50].map(decodeStatus)).toEqual([
      { code: 0 },
      { code: 7 },
      { code: 255 },
      { signal: 9, coreDumped: false },
      { signal: 11, coreDumped: true },
      { signal: 50, coreDumped: false }
    ])
  })
})
