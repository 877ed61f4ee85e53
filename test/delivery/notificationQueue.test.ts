/**
 * The assumptions of src/internal/delivery/notificationQueue.ts about Effect's `Queue`, whose
 * fields it reads. If a version of Effect changes one of them, a test here fails and says what to
 * look at.
 */
import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Fiber, MutableList, Queue } from "effect"

const changed = (what: string) =>
  `Effect's Queue has changed: ${what}. Look at src/internal/delivery/notificationQueue.ts, the only file that relies on it`

const open = () => Effect.runSync(Queue.make<string, Cause.Done>())

describe("Effect's Queue, as the notification queue relies on it", () => {
  it("is open at first, has an empty set of takers, and a list of messages", () => {
    const { messages, state } = open()
    expect(state._tag, changed("a new queue's state is not 'Open'")).toBe("Open")
    expect(state._tag === "Open" && state.takers, changed("takers are not in a Set")).toBeInstanceOf(Set)
    expect(messages.length, changed("messages.length is not the number of messages")).toBe(0)
  })

  it("takes what is appended to its list, and resumes takers when flushed", async () => {
    const queue = open()
    const taking = Effect.runFork(Queue.take(queue))
    expect(queue.state._tag === "Open" && queue.state.takers.size, changed("a taker is not in its Set")).toBe(1)
    MutableList.appendAllUnsafe(queue.messages, ["a", "b"], false)
    expect(queue.messages.length, changed("messages.length does not count what was appended")).toBe(2)
    Queue.flushUnsafe(queue)
    expect(taking.pollUnsafe(), changed("flushUnsafe does not resume takers at once")).toBeDefined()
    expect(await Effect.runPromise(Fiber.join(taking))).toBe("a")
    expect(queue.messages.length, changed("messages.length does not fall with what is taken")).toBe(1)
  })

  it("adds takers to the very Set that its state holds", () => {
    const queue = open()
    const added: Array<unknown> = []
    class Takers<T> extends Set<T> {
      override add(taker: T): this {
        added.push(taker)
        return super.add(taker)
      }
    }
    if (queue.state._tag === "Open") queue.state = { ...queue.state, takers: new Takers() }
    Effect.runFork(Queue.take(queue))
    expect(added, changed("a taker is not added to the Set in its state")).toHaveLength(1)
  })

  it("holds the very array that was appended as immutable, so that an element can be replaced", () => {
    const queue = open()
    const items = ["a", "b", "c"]
    MutableList.appendAllUnsafe(queue.messages, items, false)
    expect(MutableList.take(queue.messages), changed("the first message is not the one that take removes")).toBe("a")
    items[2] = "replaced"
    const rest = Effect.runSync(Queue.clear(queue))
    expect(rest, changed("an appended array is copied")).toEqual(["b", "replaced"])
  })

  it("closes with its last message, and says so in its state", () => {
    const queue = open()
    MutableList.appendAllUnsafe(queue.messages, ["a"], false)
    Queue.failCauseUnsafe(queue, Cause.fail(Cause.Done()))
    expect(queue.state._tag, changed("a queue that ends with messages in it is not 'Closing'")).toBe("Closing")
    expect(Effect.runSync(Queue.take(queue))).toBe("a")
    expect(queue.state._tag, changed("a queue that was emptied after its end is not 'Done'")).toBe("Done")
  })

  it("is done when it is cleared while it closes with nothing in it", () => {
    const queue = open()
    MutableList.appendAllUnsafe(queue.messages, ["a"], false)
    Queue.failCauseUnsafe(queue, Cause.fail(Cause.Done()))
    MutableList.take(queue.messages)
    Effect.runSyncExit(Queue.clear(queue))
    expect(queue.state._tag, changed("clear does not finish an empty queue that closes")).toBe("Done")
  })
})
