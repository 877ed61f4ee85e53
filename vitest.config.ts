import { fileURLToPath } from "node:url"
import { configDefaults, defineConfig } from "vitest/config"

/**
 * The files that only Linux can run, each with what they need of it. All others run on every system. A single test of
 * those that needs more is skipped elsewhere, and says so: `test/support/platform.ts`.
 */
const onlyOnLinux: { readonly [files: string]: string } = {
  "bytes/{batchedWrite,socketBatch,socketBatchRandom}": "io_uring or Linux AIO",
  "bytes/sandboxes": "seccomp",
  "delivery/alarmFailure": "timerfd_create",
  "delivery/{closedEnds,model}": "epoll, which reports both directions at once",
  documentation: "inotify, pidfds and eventfds, for some of the examples",
  "kernel/epoll": "epoll",
  "kernel/{aio,ioUring,submissionQueue}": "io_uring and Linux AIO",
  "kernel/libkqueue": "libkqueue, which is for systems without a kqueue",
  "kernel/threadId": "gettid",
  "layers/{exits,stoppedThread,terminated}": "threads that the kernel gives numbers",
  "libc/libc": "functions of its C library",
  "shared/openedDescriptors": "threads that the kernel gives numbers",
  "system/{inotify,inotifyLimits,inotifyModel}": "inotify",
  "system/netlink": "netlink",
  "system/processExit": "/proc, for processes that are not reaped",
  "system/{pty,serial}": "its numbers of ioctl",
  "system/stdio": "preadv2"
}

/** The files that run on Windows. `test/windows` has the behaviours, on sockets of its own. */
const onWindows = [
  "codecs/*",
  "delivery/timersHeap",
  "kernel/{afd,afdPoll,epollEvent,kevent,knotes,timerfd,userData}",
  "libc/{profiles,winsock}",
  "shared/{mailbox,pollerMemory}",
  "windows/checks"
].map((files) => `test/${files}.test.ts`)

// What Node has compiled once, the threads and processes of the tests need not compile again.
process.env["NODE_COMPILE_CACHE"] ??= fileURLToPath(new URL("node_modules/.cache/effect-amy/compiled", import.meta.url))

export default defineConfig({
  test: {
    globalSetup: "./test/support/bundle.ts",
    include: process.platform === "win32" ? onWindows : ["test/**/*.test.ts", "examples/**/*.test.ts"],
    exclude: [
      ...configDefaults.exclude,
      ...(process.platform === "linux" ? [] : Object.keys(onlyOnLinux).map((files) => `test/${files}.test.ts`))
    ],
    reporters: ["default", "./test/support/summary.ts"],
    // Descriptors, threads and memory are counted, so no two files share a process.
    pool: "forks",
    // Two at a time: most tests run several threads of their own.
    maxWorkers: 2,
    // Of the tests of one file that may run at the same time: those that only start a process and wait for it.
    maxConcurrency: 2,
    // Only a test that hangs takes so long: under a load of twenty, a tenth of a processor is left for each.
    testTimeout: 120_000,
    hookTimeout: 120_000
  },
  // What `--conditions` is to the programs that the tests start: the sources instead of the built package.
  ssr: { resolve: { conditions: ["effect-amy-source", "node", "import", "module", "default"] } }
})
