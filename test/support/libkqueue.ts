/**
 * Makes this thread poll with libkqueue, a kqueue in user space, if `KQUEUE_LIBRARY` names a built
 * copy. It takes effect when this file is imported. `--import` in `NODE_OPTIONS` imports it on the
 * polling thread, too.
 */
import koffi from "koffi"
import { load, provideLibc } from "../../src/internal/libc/koffi.ts"
import type { KqueueProfile } from "../../src/internal/libc/profiles/kqueueProfile.ts"
import { kqueueCommon } from "../../src/internal/libc/profiles/kqueueCommon.ts"
import { linux } from "../../src/internal/libc/profiles/linux.ts"

/** Linux, but with a kqueue. */
const profile: KqueueProfile = {
  ...linux,
  selector: "kqueue",
  kqueue: {
    ...kqueueCommon,
    layout: { stride: 8 },
    EVFILT_USER: -11,
    EVFILT_EXCEPT: undefined,
    NOTE_OOB: 0,
    NOTE_EXITSTATUS: 0
  }
}

export const libraryPath = process.env["KQUEUE_LIBRARY"]

if (libraryPath !== undefined) {
  const library = koffi.load(libraryPath)
  const linuxLibc = load("linux")
  // All other functions are those of Linux.
  const functions = Object.create(linuxLibc.functions, {
    kqueue: { value: library.func("int kqueue(void)") },
    kevent: {
      value: library.func("int kevent(int kq, void *changes, int nchanges, void *events, int nevents, void *timeout)")
    }
  })
  provideLibc({ ...linuxLibc, profile, functions })
}
