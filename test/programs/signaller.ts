/**
 * A thread that keeps sending a signal to every other thread of this process, until it is
 * terminated.
 */
import koffi from "koffi"
import { readdirSync, readlinkSync } from "node:fs"
import { parentPort, workerData } from "node:worker_threads"
import { linux } from "../../src/internal/libc/profiles/linux.ts"

// musl and older glibcs have no function `tgkill`.
const syscall = koffi.load(null).func("intptr_t syscall(intptr_t number, int process, int thread, int signal)") as (
  number: number,
  process: number,
  thread: number,
  signal: number
) => number
const { tgkill } = linux.threadCalls[process.arch]!

const { everyMillis, signal } = workerData as { readonly everyMillis: number; readonly signal: number }
const self = Number(readlinkSync("/proc/thread-self").split("/").at(-1))

const sendToAll = () => {
  for (const name of readdirSync("/proc/self/task")) {
    if (Number(name) !== self) syscall(tgkill, process.pid, Number(name), signal)
  }
}
sendToAll()
setInterval(sendToAll, everyMillis)
parentPort!.postMessage("signalling")
