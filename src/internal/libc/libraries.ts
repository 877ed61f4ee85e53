/** Libraries as koffi loads them. */
import type * as Koffi from "koffi"

/** What can bind a function by its prototype. It throws if it has no function of that name. */
export interface Library {
  func(prototype: string): unknown
}

/** Loads libraries, and binds each function from the first of them that has it. */
export const firstOf = (koffi: typeof Koffi, names: ReadonlyArray<string>): Library => {
  const libraries = names.map((name) => koffi.load(name))
  return {
    func(prototype) {
      let reason: unknown
      for (const library of libraries) {
        try {
          return library.func(prototype)
        } catch (thrown) {
          reason = thrown
        }
      }
      throw reason
    }
  }
}
