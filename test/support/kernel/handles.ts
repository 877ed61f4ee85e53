/** The handles that this process has open on Windows, of the kinds that are descriptors elsewhere. */
import koffi from "koffi"

const kernel = koffi.load("kernel32.dll")
const functions = {
  GetCurrentProcess: kernel.func("intptr_t GetCurrentProcess()") as () => number,
  GetProcessHandleCount: kernel.func("int GetProcessHandleCount(intptr_t process, void *count)") as (
    process: number,
    count: Uint32Array
  ) => number,
  GetHandleInformation: kernel.func("int GetHandleInformation(intptr_t handle, void *flags)") as (
    handle: number,
    flags: Uint32Array
  ) => number,
  NtQueryObject: koffi
    .load("ntdll.dll")
    .func("int NtQueryObject(intptr_t handle, int kind, void *result, uint32_t length, void *needed)") as (
    handle: number,
    kind: number,
    result: Uint8Array,
    length: number,
    needed: Uint32Array
  ) => number
}

/** As many numbers in a row without a handle mean that there are no more. */
const mostGap = 300

/** The type of an object is a structure, behind which its name stands. */
const typeBytes = 0x68

const bytes = new Uint8Array(512)
const needed = new Uint32Array(1)
const decoder = new TextDecoder("utf-16le")

/** Returns the type of a handle, or `undefined` if there is no such handle. */
const typeOf = (handle: number): string | undefined => {
  if (functions.NtQueryObject(handle, 2, bytes, bytes.length, needed) !== 0) return undefined
  const length = bytes[0]! + bytes[1]! * 256
  return decoder.decode(bytes.subarray(typeBytes, typeBytes + length))
}

/**
 * Returns the open sockets, other files and completion ports, each with its kind. Windows has no
 * list of them by number, so each number is tried.
 */
export const listHandles = (isSocket: (handle: number) => boolean): ReadonlyMap<number, string> => {
  const count = new Uint32Array(1)
  functions.GetProcessHandleCount(functions.GetCurrentProcess(), count)
  // Wine does not count them.
  let left = count[0] === 0 ? Infinity : count[0]!
  const found = new Map<number, string>()
  for (let handle = 4, gap = 0; left > 0 && gap < mostGap; handle += 4, gap++) {
    const type = typeOf(handle)
    if (type === undefined) continue
    gap = 0
    left--
    if (type === "IoCompletion") found.set(handle, "port")
    else if (type === "File") found.set(handle, isSocket(handle) ? "socket:" : "file")
  }
  return found
}

export const isInherited = (handle: number): boolean => {
  const flags = new Uint32Array(1)
  if (functions.GetHandleInformation(handle, flags) === 0) throw new Error(`${handle} is no open handle`)
  return (flags[0]! & 1) !== 0
}
