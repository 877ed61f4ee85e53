/**
 * The behaviours on libkqueue, a kqueue in user space. It is called as a system's own kqueue is,
 * also by the polling thread. `KQUEUE_LIBRARY` must name a built copy.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Poller } from "effect-amy"
import { spawn } from "node:child_process"
import { pathToFileURL } from "node:url"
import { openProcessKnote, type ReportedEnd } from "../../src/internal/kernel/knoteProcess.ts"
import { libc, type Libc } from "../../src/internal/libc/koffi.ts"
import type { KqueueProfile } from "../../src/internal/libc/profiles/kqueueProfile.ts"
import { readinessBehaviours } from "../support/behaviours.ts"
import { driveBehaviours } from "../support/driveBehaviours.ts"
import { foreignBehaviours } from "../support/foreignBehaviours.ts"
import { foreignAgainstPoll } from "../support/foreignModel.ts"
import { setBehaviours } from "../support/foreignSetBehaviours.ts"
import * as Kernel from "../support/kernel.ts"
import { libraryPath } from "../support/libkqueue.ts"
import { lifeBehaviours } from "../support/lifeBehaviours.ts"
import { onRealKqueue } from "../support/worlds.ts"

// The layer with a thread in the kernel. The number that libkqueue returns is not the descriptor of
// a kqueue. It never becomes readable, so no event loop can watch it (`layerEventLoop`), and a
// duplicate of it is useless (`layerAttach`).
const layer = Poller.layerWorker

const both = "libkqueue watches a descriptor once for both filters, and reports the edge of one as that of the other"
const pipe = "libkqueue reports an error of a pipe, EIO, that systems do not report"
const kept = "libkqueue keeps the knote of a closed descriptor"
const inside = "the number that libkqueue returns is not the descriptor of a kqueue, so a fiber cannot wait for it"
const kill = "nothing makes a wait in libkqueue fail"

/** The behaviours in which libkqueue differs from the systems, and why. */
const differences: { readonly [behaviour: string]: string } = {
  "a notification holds the whole readiness within the interest": both,
  "a half-close is reported for writing, too, if there is room": both,
  "the end of a pipe's reader is reported as writeClosed": pipe,
  'a notification that is neither readable nor writable has the event "Both"': pipe,
  "an error is reported whatever the interest": pipe,
  "a descriptor that was closed without deregister is not reported after its number is reused": kept,
  "ForeignFd: what cannot be waited for: is a number that was closed during the wait and registered in another way":
    kept,
  "ForeignFdSet: what is ready: is returned for as long as it is ready": inside,
  "ForeignFdSet: what is ready: is something to read at the end of the input, and everything after a hang-up": inside,
  "ForeignFdSet: what is ready: resumes a fiber that waits, once update asks for it": inside,
  "ForeignFdSet: what is ready: lets the others wait if one fiber took it": inside,
  "ForeignFdSet: what is ready: is not a descriptor that was removed or closed": inside,
  "ForeignFdSet: what is ready: is independent of registrations, of other sets and of other waits": inside,
  "ForeignFdSet: time: the time of updateTimeout ends one wait, with nothing": inside,
  "a number that is not open fails differently from one that is not registered": "libkqueue looks in its own list only",
  "out-of-band data is reported to a registration with priority": "libkqueue has no filter for it",
  "promise 8: if the polling thread dies by itself: consumers fail with WorkerFailed": kill,
  "promise 8: if the polling thread dies by itself: notifications that were delivered before the end can still be taken":
    kill,
  "promise 8: if the polling thread dies by itself: channels and user events fail, too": kill,
  "promise 8: if the polling thread dies by itself: waits for a library's descriptors fail with WorkerFailed": kill
}

if (libraryPath !== undefined) {
  const hook = pathToFileURL(`${import.meta.dirname}/../support/libkqueue.ts`).href
  process.env["NODE_OPTIONS"] = `${process.env["NODE_OPTIONS"] ?? ""} --import ${hook}`
}

const behaviours = [readinessBehaviours, lifeBehaviours, foreignBehaviours, setBehaviours, driveBehaviours].flatMap(
  (group) => Object.entries(group)
)

it("each difference names a behaviour", () => {
  const names = behaviours.flatMap(([about, group]) =>
    Object.keys(group).flatMap((name) => [name, `${about}: ${name}`])
  )
  expect(names).toEqual(expect.arrayContaining(Object.keys(differences)))
})

describe.skipIf(libraryPath === undefined)("libkqueue (skipped unless KQUEUE_LIBRARY names a built copy)", () => {
  for (const [about, group] of behaviours) {
    describe(`${about}`, () => {
      for (const [name, behaviour] of Object.entries(group)) {
        const difference = differences[name] ?? differences[`${about}: ${name}`]
        const title = difference === undefined ? name : `${name} (${difference})`
        it.live.skipIf(difference !== undefined)(title, () => onRealKqueue(layer(), behaviour))
      }
    })
  }

  it("reports how a process ended, which its parent has not reaped yet", () => {
    for (const [script, status] of [
      ["exit 7", 0x700],
      ["kill -TERM $$", 15]
    ] as const) {
      const child = spawn("sh", ["-c", script], { stdio: "ignore" })
      const knote = openProcessKnote(libc() as Libc<KqueueProfile>, child.pid!, () => false)
      let end: ReportedEnd | undefined
      // The thread is blocked, so that Node cannot reap its child before.
      for (let i = 0; i < 5000 && end === undefined; i++) {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
        end = knote.take()
      }
      expect([end, knote.take()]).toEqual([{ status }, undefined])
      Kernel.close(knote.fd)
    }
  })

  for (let seed = 1; seed <= 3; seed++) {
    it.live(`ForeignFd against poll(2): a fiber waits for just what is not ready (seed ${seed})`, () =>
      Effect.provide(foreignAgainstPoll(seed, false), layer())
    )
  }
})
