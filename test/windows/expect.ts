/**
 * What the shared behaviours use of Vitest, where Vitest itself cannot run: it has no binary of its
 * bundler under Wine.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert"

/** Drops members that are undefined, which `toEqual` does not compare. */
const plain = (value: unknown): unknown => (value === undefined ? value : JSON.parse(JSON.stringify(value)))

export const expect = (actual: unknown, message?: string) => {
  const check = (isNegated: boolean) => {
    const holds = (condition: boolean, what: string) =>
      ok(condition !== isNegated, `${message ?? ""} expected ${String(actual)} ${isNegated ? "not " : ""}${what}`)
    return {
      toBe: (expected: unknown) =>
        isNegated ? holds(Object.is(actual, expected), `to be ${String(expected)}`) : strictEqual(actual, expected),
      toEqual: (expected: unknown) => deepStrictEqual(plain(actual), plain(expected)),
      toContain: (part: unknown) => holds((actual as ReadonlyArray<unknown>).includes(part), "to contain it"),
      toHaveLength: (length: number) => strictEqual((actual as { readonly length: number }).length, length),
      toBeUndefined: () => holds(actual === undefined, "to be undefined"),
      toBeDefined: () => holds(actual !== undefined, "to be defined"),
      toBeGreaterThan: (least: number) => holds((actual as number) > least, `to be above ${least}`),
      toBeGreaterThanOrEqual: (least: number) => holds((actual as number) >= least, `to be at least ${least}`),
      toBeLessThan: (most: number) => holds((actual as number) < most, `to be below ${most}`),
      toBeLessThanOrEqual: (most: number) => holds((actual as number) <= most, `to be at most ${most}`)
    }
  }
  return { ...check(false), not: check(true) }
}

const unused = () => {
  throw new Error("tests are run by test/windows/checks.ts")
}

export const describe = unused
export const it = unused
