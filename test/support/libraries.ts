/** Which C libraries this machine has, for tests that need them. */
import koffi from "koffi"

/** Whether a shared library can be loaded. */
export const hasLibrary = (name: string): boolean => {
  try {
    koffi.load(name).unload()
    return true
  } catch {
    return false
  }
}

/**
 * Returns the name for tests that need something of the machine. If it is missing, the name says
 * what to install to run them.
 */
export const nameWith = (what: string, isThere: boolean, packages: string): string =>
  isThere ? what : `${what} (to run this: apt-get install ${packages})`
