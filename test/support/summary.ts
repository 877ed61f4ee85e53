/** Prints the result of a run as its last line, in a form that scripts can read. */
import type { Reporter, TestModule } from "vitest/node"

export default class Summary implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>): void {
    const counts = { passed: 0, failed: 0, skipped: 0, pending: 0 }
    for (const module of modules) {
      // A file that could not be loaded has no failed test, so it counts itself.
      if (module.state() === "failed" && [...module.children.allTests("failed")].length === 0) counts.failed++
      for (const test of module.children.allTests()) counts[test.result().state]++
    }
    // What this machine lacks, and how to get it.
    const lacking = modules
      .flatMap((module) => [...module.children.allSuites()])
      .filter(({ name }) => name.includes("(to run this: "))
    for (const { name } of lacking) process.once("exit", () => console.log(`skipped: ${name}`))
    const { failed, passed, pending, skipped } = counts
    // At the exit, so that it follows the output of all other reporters.
    process.once("exit", () => console.log(`${passed} passed, ${failed + pending} failed, ${skipped} skipped`))
  }
}
