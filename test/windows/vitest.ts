/**
 * Stands in for "vitest" where Vitest itself cannot run: under Wine, its bundler has no binary. It
 * collects the tests of one file, and runs them one after the other. What expects is Vitest's own.
 */
import { format } from "node:util"
// By its path, for "vitest" is this file.
import { assert, chai, expect, expectTypeOf, vi } from "../../node_modules/vitest/dist/index.js"

export { assert, chai, expect, expectTypeOf, vi }

type Hook = (context: Context) => unknown

interface Options {
  readonly timeout?: number
}

interface Context {
  readonly task: Test
  readonly signal: AbortSignal
  readonly expect: typeof expect
  readonly onTestFinished: (hook: Hook) => void
  readonly annotate: () => Promise<void>
}

export interface Test {
  readonly type: "test"
  readonly name: string
  readonly mode: "run" | "skip"
  readonly run: Hook
  readonly timeout: number
}

export interface Suite {
  readonly type: "suite"
  readonly name: string
  readonly mode: "run" | "skip"
  readonly tasks: Array<Test | Suite>
  readonly hooks: Record<"beforeAll" | "afterAll" | "beforeEach" | "afterEach", Array<Hook>>
}

const defaultTimeout = 60_000

const makeSuite = (name: string, mode: Suite["mode"]): Suite => ({
  type: "suite",
  name,
  mode,
  tasks: [],
  hooks: { beforeAll: [], afterAll: [], beforeEach: [], afterEach: [] }
})

export const root = makeSuite("", "run")
let current = root

const hook = (kind: keyof Suite["hooks"]) => (hook: Hook) => void current.hooks[kind].push(hook)

export const beforeAll = hook("beforeAll")
export const afterAll = hook("afterAll")
export const beforeEach = hook("beforeEach")
export const afterEach = hook("afterEach")

export const TestRunner = { getCurrentSuite: () => current }

/** Called with a name, options or a time limit, and a body, in any order that Vitest takes. */
type Register = (name: string, first: unknown, second?: unknown) => unknown

const splitArguments = (first: unknown, second: unknown): readonly [body: Hook, options: Options] => {
  const [body, options] = typeof first === "function" ? [first, second] : [second, first]
  return [body as Hook, typeof options === "number" ? { timeout: options } : ((options ?? {}) as Options)]
}

/** Returns the name of a row of a table: with `$member`, or as `format` of node:util has it. */
const nameOf = (name: string, row: unknown): string => {
  const filled = name.replaceAll(/\$(\w+)/g, (text, member: string) => {
    const value = (row as Record<string, unknown> | null)?.[member]
    return value === undefined ? text : String(value)
  })
  const values = Array.isArray(row) ? row : [row]
  return filled.includes("%") ? format(filled, ...values.slice(0, filled.split("%").length - 1)) : filled
}

/** Adds what Vitest offers on both `it` and `describe`. */
const withModes = (register: (mode: Suite["mode"]) => Register) => {
  const api = (mode: Suite["mode"]): object => {
    const table =
      (cases: ReadonlyArray<unknown>, call: (body: Function, row: unknown) => Hook) =>
      (name: string, first: unknown, second?: unknown) => {
        const [body, options] = splitArguments(first, second)
        for (const row of cases) register(mode)(nameOf(name, row), options, call(body, row))
      }
    const members = {
      skip: () => api("skip"),
      todo: () => api("skip"),
      only: () => api(mode),
      concurrent: () => api(mode),
      sequential: () => api(mode),
      skipIf: () => (condition: unknown) => api(condition ? "skip" : mode),
      runIf: () => (condition: unknown) => api(condition ? mode : "skip"),
      fails: () => (name: string, first: unknown, second?: unknown) => {
        const [body, options] = splitArguments(first, second)
        register(mode)(name, options, async (context: Context) => {
          const failed = await Promise.resolve(body(context)).then(
            () => false,
            () => true
          )
          if (!failed) throw new Error("expected it to fail")
        })
      },
      each: () => (cases: ReadonlyArray<unknown>) =>
        table(cases, (body, row) => () => body(...(Array.isArray(row) ? row : [row]))),
      for: () => (cases: ReadonlyArray<unknown>) => table(cases, (body, row) => (context) => body(row, context))
    }
    const target = (name: string, first: unknown, second?: unknown) => register(mode)(name, first, second)
    for (const [name, get] of Object.entries(members)) Object.defineProperty(target, name, { get })
    return target
  }
  return api("run")
}

export const it = withModes((mode) => (name, first, second) => {
  const [run, { timeout = defaultTimeout }] = splitArguments(first, second)
  current.tasks.push({ type: "test", name, mode, run, timeout })
})
export const test = it

export const describe = withModes((mode) => (name, first, second) => {
  const suite = makeSuite(name, mode)
  const parent = current
  parent.tasks.push(suite)
  current = suite
  try {
    splitArguments(first, second)[0](undefined as never)
  } finally {
    current = parent
  }
})
export const suite = describe
