/** Runs the tests of one file, which `vitest.ts` has collected. */
import { reasonOf, type Skips, unusedSkips } from "./skips.ts"
import { expect, root, type Suite, type Test } from "./vitest.ts"

const counts = { passed: 0, failed: 0, skipped: 0 }

const fail = (path: string, error: unknown): void => {
  counts.failed++
  console.log(`FAILED ${path}\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
}

const within = async (millis: number, body: () => unknown): Promise<void> => {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it took longer than ${millis} ms`)), millis)
  })
  try {
    await Promise.race([body(), late])
  } finally {
    clearTimeout(timer)
  }
}

const runTest = async (test: Test, path: string, suites: ReadonlyArray<Suite>): Promise<void> => {
  const abort = new AbortController()
  const finished: Array<(context: never) => unknown> = []
  const context = {
    task: test,
    signal: abort.signal,
    expect,
    onTestFinished: (hook: (context: never) => unknown) => void finished.push(hook),
    annotate: () => Promise.resolve()
  }
  const started = performance.now()
  try {
    for (const { hooks } of suites) for (const hook of hooks.beforeEach) await hook(context)
    await within(test.timeout, () => test.run(context))
    counts.passed++
  } catch (error) {
    abort.abort()
    fail(path, error)
  }
  for (const hook of finished) await hook(context as never)
  for (const { hooks } of suites.toReversed()) for (const hook of hooks.afterEach) await hook(context)
  if (process.env["TIMES"] !== undefined) console.log(`${Math.round(performance.now() - started)} ms: ${path}`)
}

const runSuite = async (
  suite: Suite,
  above: ReadonlyArray<Suite>,
  path: string,
  isRun: boolean,
  skips: Skips
): Promise<void> => {
  const suites = [...above, suite]
  if (isRun) for (const hook of suite.hooks.beforeAll) await hook(undefined as never)
  for (const task of suite.tasks) {
    const full = path === "" ? task.name : `${path} > ${task.name}`
    const runs = isRun && task.mode === "run"
    if (task.type === "suite") await runSuite(task, suites, full, runs, skips)
    else if (!runs || reasonOf(skips, full) !== undefined) counts.skipped++
    else await runTest(task, full, suites)
  }
  if (isRun) for (const hook of suite.hooks.afterAll) await hook(undefined as never)
}

/** Runs the tests that were collected, prints which failed and how many, and ends the process. */
export const runFile = async (skips: Skips): Promise<void> => {
  try {
    await runSuite(root, [], "", true, skips)
  } catch (error) {
    fail("a hook", error)
  }
  for (const skip of unusedSkips(skips)) fail(skip, "no test has this name: the list of what is skipped is too long")
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
  process.exit(counts.failed === 0 ? 0 : 1)
}
