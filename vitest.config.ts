import { defineConfig } from "vitest/config"

/** The tests that need nothing of Linux. All others read `/proc`, or make descriptors that only Linux has. */
const portable = [
  "behaviours",
  "codecs/*",
  "delivery/timersHeap",
  "kernel/{epollEvent,kevent,knotes,kqueue,timerfd,userData}",
  "libc/profiles",
  "shared/{mailbox,pollerMemory}"
].map((name) => `test/${name}.test.ts`)

export default defineConfig({
  test: {
    include: process.platform === "linux" ? ["test/**/*.test.ts", "examples/**/*.test.ts"] : portable,
    reporters: ["default", "./test/support/summary.ts"],
    // Descriptors, threads and memory are counted, so no two files share a process.
    pool: "forks",
    // Two at a time: most tests run several threads of their own.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000
  },
  // What `--conditions` is to the programs that the tests start: the sources instead of the built package.
  ssr: { resolve: { conditions: ["effect-amy-source", "node", "import", "module", "default"] } }
})
