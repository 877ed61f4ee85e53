/** What `node --permission` and `--no-addons` forbid, and the option of Node that allows it. */
import { constants } from "node:os"
import { PermissionDenied, PollerError } from "../../PollerError.ts"

/** The options by the permissions that Node names in its errors. */
const options: { readonly [permission: string]: string } = {
  FileSystemRead: "--allow-fs-read",
  FileSystemWrite: "--allow-fs-write",
  Net: "--allow-net",
  WorkerThreads: "--allow-worker"
}

interface Denial {
  readonly code?: unknown
  readonly permission?: unknown
  readonly resource?: unknown
  readonly cause?: unknown
}

/** Returns what to do about a refusal of Node, or `undefined` for any other error. */
const adviceOf = (isLoading: boolean, { code, permission, resource }: Denial): string | undefined => {
  if (code === "ERR_ACCESS_DENIED") {
    const option = options[String(permission)] ?? "the option that allows it"
    const path = option.startsWith("--allow-fs") && typeof resource === "string" ? resource : ""
    // Loading reads many files, of which this is only the first.
    if (path !== "" && isLoading) {
      return `node --permission forbids reading ${path} (start node with ${option} for the program and its node_modules)`
    }
    return `node --permission forbids it (start node with ${option}${path === "" ? "" : `=${path}`})`
  }
  if (code !== "ERR_DLOPEN_DISABLED") return undefined
  return "permission" in process && process.permission !== undefined
    ? "node --permission forbids native code (start node with --allow-addons, and for layerWorker with --allow-worker)"
    : "node --no-addons forbids native code (start node without it)"
}

/**
 * Returns the error for what Node has refused, or `undefined` if it was not Node that refused. Looks
 * at the causes of what was thrown, too. The call is "dlopen" or "new Worker" if it loads a module.
 */
export const deniedByNode = (syscall: string, thrown: unknown): PollerError | undefined => {
  const isLoading = syscall === "dlopen" || syscall === "new Worker"
  let denial = thrown
  for (let depth = 0; depth < 8 && typeof denial === "object" && denial !== null; depth++) {
    const description = adviceOf(isLoading, denial)
    if (description !== undefined) {
      const { code } = denial as { readonly code: string }
      const reason = new PermissionDenied({ syscall, errno: constants.errno.EACCES, code, description })
      return new PollerError({ reason })
    }
    denial = (denial as Denial).cause
  }
  return undefined
}

/** Returns the error if Node must not start processes: it would refuse to do so itself. */
export const childProcessDenied = (syscall: string): PollerError | undefined => {
  if (!("permission" in process) || process.permission === undefined || process.permission.has("child"))
    return undefined
  return new PollerError({
    reason: new PermissionDenied({
      syscall,
      errno: constants.errno.EACCES,
      code: "ERR_ACCESS_DENIED",
      description: "node --permission forbids child processes (start node with --allow-child-process)"
    })
  })
}
