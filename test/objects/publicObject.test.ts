/**
 * Methods that can be passed on, and what is seen of an object when it is printed or enumerated.
 */
import { describe, expect, it } from "@effect/vitest"
import { inspect } from "node:util"
import { detachMethods, PublicObject } from "../../src/internal/objects/publicObject.ts"

class Counter extends PublicObject {
  #count = 0

  static {
    detachMethods(this)
  }

  get count(): number {
    return this.#count
  }

  add(amount: number): number {
    this.#count += amount
    return this.#count
  }

  toJSON() {
    return { _id: "Counter", count: this.#count }
  }

  toString(): string {
    return `Counter(${this.#count})`
  }
}

class Doubling extends Counter {
  static {
    detachMethods(this)
  }

  override add(amount: number): number {
    return super.add(2 * amount)
  }
}

describe("an object that is handed to a user", () => {
  it("has methods that work without it", () => {
    const counter = new Counter()
    const { add } = counter
    expect([3, 4].map((amount) => add(amount))).toEqual([3, 7])
    expect(counter.count).toBe(7)
  })

  it("keeps nothing of a method that was used", () => {
    const counter = new Counter()
    expect([counter.add(1), counter.add(1)]).toEqual([1, 2])
    expect(Object.getOwnPropertyNames(counter)).toEqual([])
  })

  it("may override the method of another class, and call it", () => {
    const counter = new Doubling()
    const { add } = counter
    expect([add(3), add(1), counter.add(1)]).toEqual([6, 8, 10])
  })

  it("prints on one line, and has no enumerable internals", () => {
    const counter = new Counter()
    counter.add(2)
    expect([String(counter), inspect(counter), inspect([counter])]).toEqual([
      "Counter(2)",
      "Counter(2)",
      "[ Counter(2) ]"
    ])
    expect(JSON.stringify(counter)).toBe('{"_id":"Counter","count":2}')
    expect(Object.keys(counter)).toEqual([])
  })
})
