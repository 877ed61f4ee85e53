/**
 * The behaviours on a kqueue that is not simulated: libkqueue, which is one in user space, called as a system's own is,
 * from the polling thread as well. It needs a built copy, named by `KQUEUE_LIBRARY`; docs/platforms.md says how.
 */
import { describe, it } from "@effect/vitest"
import { Poller } from "effect-amy"
import { pathToFileURL } from "node:url"
import { readinessBehaviours } from "../support/behaviours.ts"
import { libraryPath } from "../support/libkqueue.ts"
import { lifeBehaviours } from "../support/lifeBehaviours.ts"
import { onRealKqueue } from "../support/worlds.ts"

// The one with a thread in the kernel. The number that libkqueue answers stands for a kqueue and is not one: it does not
// become readable, so no event loop can watch it (`layerEventLoop`), and a duplicate is nothing (`layerAttach`).
const layer = Poller.layerWorker

const both = "libkqueue watches a descriptor once for both filters, so that one's news is the other's, too"
const pipe = "libkqueue has an error to report of a pipe, EIO, where the systems have none"
const kill = "nothing makes libkqueue refuse whoever waits"

/** What libkqueue does not do as the systems do, and why. */
const differences: { readonly [behaviour: string]: string } = {
  "a change is reported with all that is the case and was asked for": both,
  "a half-close wakes those who write, too, while there is room": both,
  "a pipe that nobody reads": pipe,
  'with neither readable nor writable, it is "Both"': pipe,
  "an error is reported whatever was asked for": pipe,
  "also when it was closed without being deregistered": "libkqueue keeps the knote of a descriptor that was closed",
  "a number that is not open is told from one that is not registered": "libkqueue asks only its own list",
  "out-of-band data, to those who ask for it": "libkqueue has no filter for it",
  "promise 8: if the polling thread dies by itself: consumers fail with WorkerFailed": kill,
  "promise 8: if the polling thread dies by itself: what was reported before is still there to be taken": kill,
  "promise 8: if the polling thread dies by itself: channels and events fail, too": kill
}

if (libraryPath !== undefined) {
  const hook = pathToFileURL(`${import.meta.dirname}/../support/libkqueue.ts`).href
  process.env["NODE_OPTIONS"] = `${process.env["NODE_OPTIONS"] ?? ""} --import ${hook}`
}

describe.skipIf(libraryPath === undefined)("libkqueue (skipped unless KQUEUE_LIBRARY names a built one)", () => {
  for (const [about, group] of Object.entries({ ...readinessBehaviours, ...lifeBehaviours })) {
    describe(`${about}`, () => {
      for (const [name, behaviour] of Object.entries(group)) {
        const difference = differences[name] ?? differences[`${about}: ${name}`]
        const title = difference === undefined ? name : `${name} (${difference})`
        it.live.skipIf(difference !== undefined)(title, () => onRealKqueue(layer(), behaviour))
      }
    })
  }
})
