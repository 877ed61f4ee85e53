/** The threads that are loading native code, for which the exit of the process waits. */
import { describe, expect, it } from "@effect/vitest"
import { LoadingThreads, loadingPlaces } from "../../src/internal/shared/loadingThreads.ts"

const make = () => {
  const places = new Int32Array(new SharedArrayBuffer(loadingPlaces * 4))
  return { places, loading: new LoadingThreads(places) }
}

/** If anything were waited for, the test would take as long. */
const hour = 3_600_000

const taken = (places: Int32Array): ReadonlyArray<number> => [...places].filter((mark) => mark !== 0)

describe("the exit of the process", () => {
  it("does not wait for a thread that was terminated while it loaded, and frees its place", () => {
    const { loading, places } = make()
    loading.begin(100)
    loading.begin(200)
    const asked: Array<number> = []
    loading.awaitAll(hour, (thread) => {
      asked.push(thread)
      return false
    })
    expect(asked).toEqual([100, 200])
    expect(taken(places)).toEqual([])
  })

  it("waits for a living thread, until it is terminated", () => {
    const { loading, places } = make()
    loading.begin(100)
    let looks = 0
    loading.awaitAll(hour, () => ++looks < 3)
    expect(looks).toBe(3)
    expect(taken(places)).toEqual([])
    loading.begin(100)
    loading.awaitAll(1, () => true)
    expect(taken(places)).toEqual([100])
  })

  it("waits for a thread without a number for a second after it began", () => {
    const { loading, places } = make()
    const { index, mark } = loading.begin(0)
    expect(taken(places)).toEqual([mark])
    loading.awaitAll(0, () => false)
    expect(taken(places)).toEqual([mark])
    // As if it had begun earlier.
    places[index] = mark + 999
    loading.awaitAll(hour, () => false)
    expect(taken(places)).toEqual([])
  })
})

describe("a place", () => {
  it("is free again after its thread has loaded", () => {
    const { loading, places } = make()
    const [one, other] = [loading.begin(100), loading.begin(100)]
    loading.end(one)
    expect(loading.begin(200).index).toBe(one.index)
    loading.end(other)
    // It is the other thread's now.
    loading.end(one)
    expect(taken(places)).toEqual([200])
  })

  it("is handed over to a thread that knows its number", () => {
    const { loading, places } = make()
    const place = loading.begin(100)
    expect(loading.takeOver(place, 0)).toEqual(place)
    const handed = loading.takeOver(place, 200)
    expect(taken(places)).toEqual([200])
    loading.end(place)
    expect(taken(places)).toEqual([200])
    loading.end(handed)
    expect(taken(places)).toEqual([])
  })

  it("is taken over if terminated threads have left none", () => {
    const { loading, places } = make()
    for (let thread = 1; thread <= loadingPlaces; thread++) loading.begin(thread)
    const last = loading.begin(1000)
    expect(places[last.index]).toBe(1000)
    loading.end(last)
    expect(taken(places)).toHaveLength(loadingPlaces - 1)
  })
})
