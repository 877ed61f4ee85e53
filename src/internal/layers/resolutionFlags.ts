/** The options of a process that change how modules are found. */

/** Those that a value follows, in the same argument after `=` or in the next one. */
const withValue: ReadonlySet<string> = new Set([
  "-r",
  "--require",
  "--import",
  "--loader",
  "--experimental-loader",
  "-C",
  "--conditions"
])

const alone: ReadonlySet<string> = new Set(["--preserve-symlinks"])

/** Returns those of a process's options that a thread needs to find the same modules. */
export const resolutionFlags = (execArgv: ReadonlyArray<string>): Array<string> =>
  execArgv.flatMap((argument, index) => {
    const [name] = argument.split("=", 1)
    if (alone.has(argument)) return [argument]
    if (!withValue.has(name!)) return []
    const next = execArgv[index + 1]
    if (argument !== name) return [argument]
    return next === undefined ? [] : [argument, next]
  })
