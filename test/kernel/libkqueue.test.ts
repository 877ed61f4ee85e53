/**
 * The behaviours on libkqueue, a kqueue in user space. It is called as a system's own kqueue is,
 * also by the polling thread. `KQUEUE_LIBRARY` must name a built copy.
 */
import { describe, expect, it } from "@effect/vitest"
import { Poller } from "effect-amy"
import { pathToFileURL } from "node:url"
import { readinessBehaviours } from "../support/behaviours.ts"
import { libraryPath } from "../support/libkqueue.ts"
import { lifeBehaviours } from "../support/lifeBehaviours.ts"
import { onRealKqueue } from "../support/worlds.ts"

// The layer with a thread in the kernel. The number that libkqueue returns is not the descriptor of
// a kqueue. It never becomes readable, so no event loop can watch it (`layerEventLoop`), and a
// duplicate of it is useless (`layerAttach`).
const layer = Poller.layerWorker

const both = "libkqueue watches a descriptor once for both filters, and reports the edge of one as that of the other"
const pipe = "libkqueue reports an error of a pipe, EIO, that systems do not report"
const kill = "nothing makes a wait in libkqueue fail"

/** The behaviours in which libkqueue differs from the systems, and why. */
const differences: { readonly [behaviour: string]: string } = {
  "a notification holds the whole readiness within the interest": both,
  "a half-close is reported for writing, too, if there is room": both,
  "the end of a pipe's reader is reported as writeClosed": pipe,
  'a notification that is neither readable nor writable has the event "Both"': pipe,
  "an error is reported whatever the interest": pipe,
  "a descriptor that was closed without deregister is not reported after its number is reused":
    "libkqueue keeps the knote of a closed descriptor",
  "a number that is not open fails differently from one that is not registered": "libkqueue looks in its own list only",
  "out-of-band data is reported to a registration with priority": "libkqueue has no filter for it",
  "promise 8: if the polling thread dies by itself: consumers fail with WorkerFailed": kill,
  "promise 8: if the polling thread dies by itself: notifications that were delivered before the end can still be taken":
    kill,
  "promise 8: if the polling thread dies by itself: channels and user events fail, too": kill
}

if (libraryPath !== undefined) {
  const hook = pathToFileURL(`${import.meta.dirname}/../support/libkqueue.ts`).href
  process.env["NODE_OPTIONS"] = `${process.env["NODE_OPTIONS"] ?? ""} --import ${hook}`
}

const behaviours = { ...readinessBehaviours, ...lifeBehaviours }

it("each difference names a behaviour", () => {
  const names = Object.entries(behaviours).flatMap(([about, group]) =>
    Object.keys(group).flatMap((name) => [name, `${about}: ${name}`])
  )
  expect(names).toEqual(expect.arrayContaining(Object.keys(differences)))
})

describe.skipIf(libraryPath === undefined)("libkqueue (skipped unless KQUEUE_LIBRARY names a built copy)", () => {
  for (const [about, group] of Object.entries(behaviours)) {
    describe(`${about}`, () => {
      for (const [name, behaviour] of Object.entries(group)) {
        const difference = differences[name] ?? differences[`${about}: ${name}`]
        const title = difference === undefined ? name : `${name} (${difference})`
        it.live.skipIf(difference !== undefined)(title, () => onRealKqueue(layer(), behaviour))
      }
    })
  }
})
