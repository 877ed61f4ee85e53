/**
 * Has this thread's event loop watch a descriptor: what `koffi.node.poll` does, without its callback.
 *
 * That callback aborts the process if its thread is being terminated, as all worker threads are when the main thread
 * calls `process.exit()`: it insists on throwing where nothing can be thrown any more. A callback that koffi registers
 * does not. So koffi makes the handle, and closes it with its thread; libuv, whose functions Node exports, is told to
 * call back elsewhere.
 */
import type * as Koffi from "koffi"

/** A descriptor watched by this thread's event loop. */
export interface Watch {
  readonly close: () => void
}

/**
 * Calls back whenever the descriptor is readable (level-triggered), and once more at once for as long as that answers `true`.
 * Keeps the event loop alive until closed. libuv aborts the process on a descriptor that cannot be polled: only ever give it
 * one of our own.
 */
export type WatchReadable = (fd: number, onReadable: () => boolean) => Watch

const UV_POLL = 8
const UV_READABLE = 1
const RTLD_LAZY = 1

export const bindWatch = (koffi: typeof Koffi, library: Koffi.LibraryHandle): WatchReadable => {
  const onHandle = koffi.pointer(koffi.proto("void", ["intptr_t", "intptr_t"]))
  // It is given the handle, a status and the events. The selector tells more, so none of it is converted.
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
   * Keeps koffi's code in memory for good, where the code of a callback of its is. Node unloads it with the last thread that
   * uses it, which, if that thread is terminated, is before the loop closes the handle by a function of koffi's.
   */
  const pin = (callback: unknown): void => {
    // `Dl_info`: of which module it is comes first, by its file's name.
    const info = new BigUint64Array(4)
    if (dladdr(callback, info) !== 0) dlopen(info[0], RTLD_LAZY)
  }

  /** The libuv handle by which this thread's loop polls a descriptor. */
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
    const callback = koffi.register(() => likeNode(onReadable), onPoll)
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
 * Calls as Node calls back, each time: what is put off meanwhile runs afterwards, and what is thrown is an uncaught exception.
 */
const likeNode = (call: () => boolean): void => {
  try {
    let again
    do {
      again = call()
      runPutOff()
    } while (again)
  } catch (thrown) {
    setImmediate(() => {
      throw thrown
    })
  }
}

/**
 * Runs promises and ticks that were put off. Node does after each of its own callbacks, but does not know of this one, and
 * they would wait until something else wakes the event loop. Should Node no longer offer this one day, an immediate does
 * the same at the price of some microseconds.
 */
const runPutOff: () => void =
  (process as { readonly _tickCallback?: () => void })._tickCallback ?? (() => void setImmediate(() => {}))
