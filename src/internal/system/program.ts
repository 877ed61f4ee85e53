/** Starts a program on a terminal: posix_spawn(3). */
import { isAbsolute, resolve } from "node:path"
import { constants } from "node:os"
import { constants as files } from "node:fs"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import { fromErrno, invalidArgument } from "../errors/pollerErrors.ts"
import { retryInterrupted } from "../kernel/retry.ts"
import { makePointers, type PointerArray, setPointer } from "../libc/prototypes/pointers.ts"
import type { ProcessCalls } from "./processCalls.ts"
import { cString, textError } from "./strings.ts"

/** What to start, checked. */
export interface Program {
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly cwd: string | undefined
  readonly env: { readonly [name: string]: string }
}

/** Returns the error if a part of a program is invalid. */
export const programError = (
  command: string,
  args: ReadonlyArray<string>,
  cwd: string | undefined,
  env: { readonly [name: string]: string | undefined } | undefined
): PollerError | undefined => {
  if (command === "") return invalidArgument('invalid command "": expected the name or the path of a program')
  if (!Array.isArray(args)) return invalidArgument("invalid arguments: expected an array of strings")
  const invalid =
    textError("command", command) ??
    args.map((arg) => textError("argument", arg)).find(isPollerError) ??
    (cwd === undefined ? undefined : textError("cwd", cwd))
  if (invalid !== undefined || env === undefined) return invalid
  if (typeof env !== "object" || env === null) return invalidArgument("invalid env: expected an object of strings")
  for (const [name, value] of Object.entries(env)) {
    if (name === "" || name.includes("=") || name.includes("\0")) {
      return invalidArgument(`invalid name ${JSON.stringify(name)} in env: expected one without "=" and zero bytes`)
    }
    const invalid = value === undefined ? undefined : textError(`value of ${name} in env`, value)
    if (invalid !== undefined) return invalid
  }
  return undefined
}

/** Where programs are looked for if there is no PATH. */
const defaultPath = "/usr/local/bin:/usr/bin:/bin"

/** Returns the paths at which a program may be, in their order. */
const candidates = ({ command, cwd, env }: Program): ReadonlyArray<string> => {
  const paths = command.includes("/")
    ? [command]
    : (env["PATH"] ?? defaultPath).split(":").map((directory) => `${directory === "" ? "." : directory}/${command}`)
  return cwd === undefined ? paths : paths.map((path) => (isAbsolute(path) ? path : resolve(cwd, path)))
}

/** Returns the error if the working directory cannot be entered. */
const directoryError = ({ libc }: ProcessCalls, cwd: string): PollerError | undefined => {
  const { functions, profile } = libc
  const path = cString(cwd)
  const flags = files.O_RDONLY | files.O_DIRECTORY | profile.fcntl.O_CLOEXEC
  const fd = retryInterrupted(libc, () => functions.open(path, flags))
  if (fd >= 0) functions.close(fd)
  return fd >= 0 || fd === -constants.errno.EACCES ? undefined : fromErrno(`open("${cwd}")`, -fd)
}

/**
 * What the arrays of the call in progress point to. Held here, so that nothing is collected during
 * the call.
 */
let held: ReadonlyArray<Uint8Array> = []

/** Makes an array of C strings that ends with 0. */
const vectorOf = ({ libc }: ProcessCalls, texts: ReadonlyArray<string>): PointerArray => {
  const strings = texts.map(cString)
  held = [...held, ...strings]
  const vector = makePointers(libc.profile.pointerBytes, strings.length + 1)
  strings.forEach((bytes, i) => setPointer(vector, i, libc.addressOf(bytes)))
  return vector
}

/**
 * Starts a program that leads a session of its own, whose controlling terminal is the one at a
 * path. Returns its process id.
 */
export const start = (calls: ProcessCalls, terminal: Uint8Array, program: Program): number | PollerError => {
  const { functions, libc, numbers } = calls
  const { cwd } = program
  const invalid = cwd === undefined ? undefined : directoryError(calls, cwd)
  if (invalid !== undefined) return invalid
  const actions = new Uint8Array(numbers.opaqueBytes)
  const attributes = new Uint8Array(numbers.opaqueBytes)
  const signals = new Uint8Array(numbers.opaqueBytes)
  functions.posix_spawn_file_actions_init(actions)
  functions.posix_spawnattr_init(attributes)
  try {
    // The leader of a new session that opens a terminal gets it as its controlling one.
    functions.posix_spawn_file_actions_addopen(actions, 0, terminal, files.O_RDWR, 0)
    functions.posix_spawn_file_actions_adddup2(actions, 0, 1)
    functions.posix_spawn_file_actions_adddup2(actions, 0, 2)
    if (cwd !== undefined) functions.posix_spawn_file_actions_addchdir_np(actions, cString(cwd))
    closeOthers(calls, actions)
    // Node ignores SIGPIPE, which the program would inherit.
    functions.sigfillset(signals)
    functions.posix_spawnattr_setsigdefault(attributes, signals)
    functions.sigemptyset(signals)
    functions.posix_spawnattr_setsigmask(attributes, signals)
    functions.posix_spawnattr_setflags(
      attributes,
      numbers.POSIX_SPAWN_SETSID | numbers.POSIX_SPAWN_SETSIGDEF | numbers.POSIX_SPAWN_SETSIGMASK
    )
    const argv = vectorOf(calls, [program.command, ...program.args])
    const envp = vectorOf(
      calls,
      Object.entries(program.env).map(([name, value]) => `${name}=${value}`)
    )
    const pid = new Int32Array(1)
    let errno: number = constants.errno.ENOENT
    // As execvp(3) does: a file that cannot be executed is passed over for one that can.
    for (const candidate of candidates(program)) {
      const path = cString(candidate)
      const denied = retryInterrupted(libc, () => functions.access(path, numbers.X_OK))
      const result = denied < 0 ? -denied : functions.posix_spawn(pid, path, actions, attributes, argv, envp)
      if (result === 0) return pid[0]!
      if (result !== constants.errno.ENOENT && result !== constants.errno.ENOTDIR) errno = result
      if (!passedOver.has(result)) break
    }
    return fromErrno(`posix_spawn("${program.command}")`, errno)
  } finally {
    held = []
    functions.posix_spawn_file_actions_destroy(actions)
    functions.posix_spawnattr_destroy(attributes)
  }
}

const passedOver: ReadonlySet<number> = new Set([
  constants.errno.EACCES,
  constants.errno.ENOENT,
  constants.errno.ENOTDIR
])

/** Closes what the program would inherit by mistake, where the C library can. */
const closeOthers = ({ closeFrom }: ProcessCalls, actions: Uint8Array): void => {
  try {
    closeFrom.posix_spawn_file_actions_addclosefrom_np(actions, 3)
  } catch {
    // musl has no such function. What Node and this library open is close-on-exec anyway.
  }
}
