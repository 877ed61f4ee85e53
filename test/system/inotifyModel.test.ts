/** Random changes of a tree: what the events say is the real tree. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Inotify, Poller } from "effect-amy"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { RandomChanges, realTree, TreeView } from "../support/fileTree.ts"
import { isLong, times } from "../support/long.ts"
import { directory } from "../support/owned.ts"
import { numbers } from "../support/randomSteps.ts"

/** Makes up to `most` changes at once, so that events are that far behind, again and again. */
const follow = (seed: number, most: number, count: number) =>
  Effect.gen(function* () {
    const base = yield* directory
    const root = join(base, "root")
    const elsewhere = join(base, "elsewhere")
    mkdirSync(root)
    mkdirSync(elsewhere)
    const random = numbers(seed)
    const changes = new RandomChanges(root, elsewhere, random)
    const view = new TreeView()
    const events = yield* Inotify.watchScoped(root, { recursive: true })
    for (let done = 0; done < count;) {
      const burst = 1 + Math.floor(random() * most)
      for (let i = 0; i < burst; i++) changes.change()
      done += burst
      // After an overflow everything that is there follows, in any order, and then what comes later.
      let hasOverflown = true
      for (let part = 0; hasOverflown; part++) {
        hasOverflown = false
        const last = join(root, `last-${done}-${part}`)
        writeFileSync(last, "")
        yield* events.pipe(
          Stream.tap((event) =>
            Effect.sync(() => {
              view.apply(event)
              if (event._tag === "Overflow") hasOverflown = true
            })
          ),
          Stream.takeUntil((event) => event._tag === "Created" && event.path === last),
          Stream.runDrain
        )
      }
      expect(view.contradictions).toEqual([])
      expect(view.paths).toEqual(realTree(root))
    }
  }).pipe(Effect.scoped)

const seeds = Array.from({ length: times(3, 20) }, (_, index) => index + 1)

describe("the events of a tree that changes at random", () => {
  for (const most of isLong ? [2, 10, 50, 300] : [20, 300]) {
    it.live(`tell what is there, up to ${most} changes later`, () =>
      Effect.forEach(seeds, (seed) => follow(seed, most, times(200, Math.min(40 * most, 1000))), {
        discard: true
      }).pipe(Effect.provide(Poller.layerEventLoop()))
    )
  }
})
