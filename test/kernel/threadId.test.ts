/** The kernel's numbers of threads, and whether a thread still runs. */
import { expect, it } from "@effect/vitest"
import { readlinkSync } from "node:fs"
import { Worker } from "node:worker_threads"
import { currentThread, isAlive } from "../../src/internal/kernel/threadId.ts"
import { type Libc, libc } from "../../src/internal/libc/koffi.ts"
import { darwin } from "../../src/internal/libc/profiles/darwin.ts"
import { linux } from "../../src/internal/libc/profiles/linux.ts"
import { SimulatedKqueue } from "../support/simulatedKqueue.ts"

/** The C library with another result of tgkill(2). */
const refusing = (errno: number): Libc => ({
  ...libc(),
  functions: { ...libc().functions, tgkill: () => -1 },
  errno: () => errno
})

it("a thread has the number that /proc shows", () => {
  expect(currentThread(libc())).toBe(Number(readlinkSync("/proc/thread-self").split("/").at(-1)))
})

it("a thread is alive until it has ended", async () => {
  const main = currentThread(libc())
  const threads = [1, 2].map(
    () =>
      new Worker(
        `const { parentPort } = require("node:worker_threads")
        parentPort.on("message", () => {})
        parentPort.postMessage(Number(require("node:fs").readlinkSync("/proc/thread-self").split("/").at(-1)))`,
        { eval: true }
      )
  )
  const numbers = await Promise.all(
    threads.map((thread) => new Promise<number>((resolve) => thread.once("message", resolve)))
  )
  expect([main, ...numbers].map((thread) => isAlive(libc(), thread))).toEqual([true, true, true])
  await threads[0]!.terminate()
  expect(numbers.map((thread) => isAlive(libc(), thread))).toEqual([false, true])
  await threads[1]!.terminate()
  expect(numbers.map((thread) => isAlive(libc(), thread))).toEqual([false, false])
})

it("a thread of another process does not belong to this one", () => {
  expect(process.ppid === 0 || isAlive(libc(), process.ppid)).toBe(process.ppid === 0)
})

it("a thread counts as alive where the call is refused", () => {
  const thread = currentThread(libc())
  const { EPERM, ESRCH } = linux.errno
  expect([EPERM, 38, ESRCH].map((errno) => isAlive(refusing(errno), thread))).toEqual([true, true, false])
})

it("a thread without a number counts as alive, and has none where the system has no such call", () => {
  const system = new SimulatedKqueue(darwin)
  expect(currentThread(system.libc)).toBe(0)
  expect([0, 1].map((thread) => isAlive(system.libc, thread))).toEqual([true, true])
  expect(isAlive(libc(), 0)).toBe(true)
})
