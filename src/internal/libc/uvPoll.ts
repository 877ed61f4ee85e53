/**
 * Watches a descriptor with this thread's event loop, as `koffi.node.poll` does, but without its
 * callback.
 *
 * koffi's callback throws when its thread is being terminated, where nothing can be thrown any
 * more, and so aborts the process. That happens to every worker thread when the main thread calls
 * `process.exit()`. A callback made by `koffi.register` does not throw. So koffi makes the handle
 * and closes it with its thread, and libuv, whose functions Node exports, calls the registered
 * callback instead.
 */
import type * as Koffi from "koffi"
import { makePointers, type PointerBytes } from "./prototypes/pointers.ts"
import { setImmediate } from "./realTime.ts"
import { otherRuntime } from "./runtime.ts"
import { reportUncaught } from "./uncaught.ts"
import { UnsupportedSystem } from "./unsupportedSystem.ts"

/** A descriptor that this thread's event loop watches. */
export interface Watch {
  readonly close: () => void
}

/**
 * Calls `onReadable` whenever the descriptor is readable (level-triggered), and again at once for
 * as long as it returns `true`. Keeps the event loop alive until closed.
 *
 * Only pass descriptors that the library opened itself. libuv aborts the process on one that cannot
 * be polled.
 */
export type WatchReadable = (fd: number, onReadable: () => boolean) => Watch

const UV_POLL = 8
const UV_READABLE = 1
const RTLD_LAZY = 1

const noEventLoop = (runtime: string, cause?: unknown): UnsupportedSystem =>
  new UnsupportedSystem(
    `layerEventLoop needs the event loop of Node.js, which ${runtime} does not have (use layerWorker, which needs none)`,
    cause === undefined ? undefined : { cause }
  )

/**
 * Returns the function that watches. Throws `UnsupportedSystem` in a runtime whose event loop is
 * not Node's. Those that are known show functions of libuv, but poll nothing with them: Bun ends
 * the process in the call, and Deno never calls back.
 */
export const bindWatchReadable = (
  koffi: typeof Koffi,
  library: Koffi.LibraryHandle,
  pointerBytes: PointerBytes
): WatchReadable => {
  if (otherRuntime !== undefined) throw noEventLoop(otherRuntime)
  try {
    return bind(koffi, library, pointerBytes)
  } catch (cause) {
    throw noEventLoop(`this runtime (${process.execPath})`, cause)
  }
}

const bind = (koffi: typeof Koffi, library: Koffi.LibraryHandle, pointerBytes: PointerBytes): WatchReadable => {
  const onHandle = koffi.pointer(koffi.proto("void", ["intptr_t", "intptr_t"]))
  // libuv passes the handle, a status and the events. The selector reports more, so koffi converts
  // none of them.
  const onPoll = koffi.pointer(koffi.proto("void", []))
  const word = koffi.out(koffi.pointer("intptr_t"))
  const napi_get_uv_event_loop = library.func("napi_get_uv_event_loop", "int", ["void *", word])
  const uv_walk = library.func("uv_walk", "void", ["intptr_t", onHandle, "intptr_t"])
  const uv_handle_get_type = library.func("uv_handle_get_type", "int", ["intptr_t"])
  const uv_fileno = library.func("uv_fileno", "int", ["intptr_t", koffi.out(koffi.pointer("int"))])
  const uv_poll_start = library.func("uv_poll_start", "int", ["intptr_t", "int", onPoll])
  const dladdr = library.func("int dladdr(void *address, void *info)")
  const dlopen = library.func("intptr_t dlopen(uintptr_t name, int flags)")

  /**
   * Keeps the module that holds a callback's code, which is koffi's, in memory for good. Node
   * unloads koffi with the last thread that uses it. When that thread is terminated, this comes
   * before the event loop closes the handle, which it does by a function of koffi's.
   */
  const pin = (callback: unknown): void => {
    // `Dl_info` begins with the file name of the module.
    const info = makePointers(pointerBytes, 4)
    if (dladdr(callback, info) !== 0) dlopen(info[0], RTLD_LAZY)
  }

  /** Finds the libuv handle by which this thread's event loop polls a descriptor. */
  const handleOf = (fd: number): number => {
    const loop: [number] = [0]
    napi_get_uv_event_loop(koffi.node.env, loop)
    let found = 0
    uv_walk(
      loop[0],
      (handle: number) => {
        const polled: [number] = [-1]
        if (uv_handle_get_type(handle) !== UV_POLL || uv_fileno(handle, polled) !== 0) return
        if (polled[0] === fd) found = handle
      },
      0
    )
    return found
  }

  return (fd, onReadable) => {
    const callback = koffi.register(() => callLikeNode(onReadable), onPoll)
    pin(callback)
    const owner = koffi.node.poll(fd, { readable: true }, onReadable)
    uv_poll_start(handleOf(fd), UV_READABLE, callback)
    let open = true
    return {
      close() {
        if (!open) return
        open = false
        owner.close()
        koffi.unregister(callback)
      }
    }
  }
}

/**
 * Makes each call as Node makes its own callbacks: promises and ticks that the call has queued run
 * afterwards, and what it throws becomes an uncaught exception.
 */
const callLikeNode = (call: () => boolean): void => {
  try {
    let again
    do {
      again = call()
      runQueuedCallbacks()
    } while (again)
  } catch (thrown) {
    reportUncaught(thrown)
  }
}

/** The process of Node itself: Jest shows a copy of it. */
const nodeProcess = process.getBuiltinModule("node:process") as NodeJS.Process & { _tickCallback?: () => void }

/**
 * Runs the promises and ticks that are queued. Node does so after each of its own callbacks, but it
 * does not know of this one. Without this they would wait until something else wakes the event
 * loop. Should Node remove `_tickCallback`, an immediate does the same, some microseconds later.
 */
let runQueuedCallbacks = (): void => {
  const run = nodeProcess._tickCallback ?? (() => void setImmediate(() => {}))
  runQueuedCallbacks = run
  withoutWarning("DEP0134", run)
}

/**
 * Makes the first call of a function that is deprecated with `--pending-deprecation`, and drops the
 * warning. Node emits it before anything else, so the calls that the function makes are not
 * affected.
 */
const withoutWarning = (code: string, call: () => void): void => {
  const { emitWarning } = nodeProcess
  const restore = () => {
    if (nodeProcess.emitWarning === emitOthers) nodeProcess.emitWarning = emitWarning
  }
  const emitOthers = (...args: ReadonlyArray<unknown>): void => {
    restore()
    if (args[2] !== code) Reflect.apply(emitWarning, nodeProcess, args)
  }
  nodeProcess.emitWarning = emitOthers
  try {
    call()
  } finally {
    restore()
  }
}
