/** Closes a run with one plain line that any machine can read. */
import type { Reporter, TestModule } from "vitest/node"

export default class Summary implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>): void {
    const counts = { passed: 0, failed: 0, skipped: 0, pending: 0 }
    for (const module of modules) {
      // A file that could not be loaded has no test to count.
      if (module.state() === "failed" && [...module.children.allTests("failed")].length === 0) counts.failed++
      for (const test of module.children.allTests()) counts[test.result().state]++
    }
    const { failed, passed, pending, skipped } = counts
    // After everything else that the other reporters have to say.
    process.once("exit", () => console.log(`${passed} passed, ${failed + pending} failed, ${skipped} skipped`))
  }
}
