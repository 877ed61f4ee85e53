/** What Windows has not is refused by name, and what is no socket by its reason. */
import { expect, it } from "@effect/vitest"
import { Effect, type Scope, Stream } from "effect"
import { Fd, Poller, type PollerError, Registrar } from "effect-amy"
import { Tcp, Unix } from "effect-amy/net"
import { Inotify, Netlink, ProcessExit, Pty, Serial, Stdio } from "effect-amy/system"
import * as Kernel from "../support/kernel.ts"
import { outcome } from "../support/opened.ts"
import { scopedFds } from "../support/watched.ts"

type Refused = Effect.Effect<unknown, PollerError.PollerError, Poller.Poller | Registrar.Registrar | Scope.Scope>

const refuses = (name: string, tag: PollerError.PollerErrorReason["_tag"], effect: Refused) =>
  it.live(`${name} fails with ${tag}`, () =>
    Effect.gen(function* () {
      expect(yield* outcome(effect)).toBe(tag)
    }).pipe(Effect.scoped, Effect.provide(Poller.layerWorker()))
  )

const withSocket = (use: (fd: number) => Refused): Refused =>
  Effect.flatMap(scopedFds(Kernel.socketPair), ([fd]) => use(fd))

const unsupported: { readonly [name: string]: Refused } = {
  layerEventLoop: Effect.provide(Poller.Poller, Poller.layerEventLoop()),
  "Fd.open": Fd.open("file", "read"),
  "Fd.pipe": Fd.pipe,
  "Fd.eventfd": Fd.eventfd(),
  "Unix.socketPair": Unix.socketPair,
  "Inotify.watch": Stream.runDrain(Inotify.watch(".")),
  "Netlink.links": Stream.runDrain(Netlink.links),
  "ProcessExit.open": ProcessExit.open(process.pid),
  "Pty.spawn": Pty.spawn("cmd", []),
  "Serial.open": Serial.open("COM1", { baudRate: 9600 }),
  "Stdio.write": Stdio.write("stdout", ""),
  "Fd.dup": withSocket((fd) => Effect.flatMap(Fd.own(fd), ({ dup }) => dup)),
  "tryReadv of an Fd": withSocket((fd) => Effect.flatMap(Fd.own(fd), (own) => own.tryReadv([new Uint8Array(1)]))),
  "tryWritev of an Fd": withSocket((fd) => Effect.flatMap(Fd.own(fd), (own) => own.tryWritev([new Uint8Array(1)]))),
  "Tcp.listen with reusePort": Tcp.listen("127.0.0.1:0", { reusePort: true }),
  "an exclusive registration": withSocket((fd) => Registrar.register(fd, "Read", { exclusive: true }))
}
for (const [name, effect] of Object.entries(unsupported)) refuses(name, "UnsupportedPlatform", effect)
refuses("a number that is no handle", "BadDescriptor", Registrar.register(4001, "Read"))
