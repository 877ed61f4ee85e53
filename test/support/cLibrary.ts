/** The functions of the C library. */
import koffi from "koffi"
import { isWindows } from "./platform.ts"

const library = koffi.load(isWindows ? "msvcrt.dll" : null)

/** Binds a function. If this system has none of that name, calling it throws. */
export const cFunction = (prototype: string): unknown => {
  try {
    return library.func(prototype)
  } catch (error) {
    return () => {
      throw error
    }
  }
}
