/** What a test needs of the system, for those that not every system can run. */

export const notLinux = process.platform !== "linux"

/** The name of a test that only Linux can run. Elsewhere it says what is missing. */
export const onLinux = (needs: string, name: string): string => (notLinux ? `${name} (needs ${needs})` : name)

export const isWindows = process.platform === "win32"
