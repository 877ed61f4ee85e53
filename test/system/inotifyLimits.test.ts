/** What the system and Node may refuse to `Inotify`, in processes of their own. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile, spawnSync } from "node:child_process"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { directory } from "../support/owned.ts"
import { programUrl } from "../support/programUrl.ts"
import { runProgram } from "../support/programs.ts"

/** Whether this user may have limits of its own, in a user namespace. */
const hasNamespaces =
  spawnSync("unshare", ["-Ur", "sh", "-c", "echo 1 > /proc/sys/user/max_inotify_watches"]).status === 0

const program = fileURLToPath(programUrl("programs/inotify"))

/** Runs the program where the user has a limit, and returns what it prints. */
const within = (limit: string, value: number, args: ReadonlyArray<string>) =>
  Effect.promise(
    () =>
      new Promise<string>((resolve) => {
        const script = `echo ${value} > /proc/sys/user/${limit}; exec "$@"`
        const node = [process.execPath, "--conditions=effect-amy-source", program, ...args]
        execFile("unshare", ["-Ur", "sh", "-c", script, "sh", ...node], (_, output) => resolve(output))
      })
  )

const deepTree = Effect.tap(directory, (path) =>
  Effect.sync(() => mkdirSync(join(path, "a/b/c/d"), { recursive: true }))
)

describe("a refusal of Inotify", () => {
  it.live.runIf(hasNamespaces)("names the limits of the user", () =>
    Effect.gen(function* () {
      const path = yield* deepTree
      const watches = yield* within("max_inotify_watches", 3, [path, "recursive"])
      expect(watches).toContain(`LimitReached: inotify_add_watch("${path}/a/b/c"): ENOSPC`)
      expect(watches).toContain("/proc/sys/fs/inotify/max_user_watches")
      expect(yield* within("max_inotify_watches", 3, [path])).toBe("watched\n")
      const instances = yield* within("max_inotify_instances", 0, [path])
      expect(instances).toContain("LimitReached: inotify_init1: EMFILE")
      expect(instances).toContain("/proc/sys/fs/inotify/max_user_instances")
    }).pipe(Effect.scoped)
  )

  it.live("names the option of node --permission, which only a tree needs", () =>
    Effect.gen(function* () {
      const path = yield* deepTree
      const readProject = `--allow-fs-read=${fileURLToPath(new URL("../..", import.meta.url))}`
      const flags = ["--permission", "--no-warnings", "--allow-addons", readProject]
      const run = (args: ReadonlyArray<string>) =>
        Effect.map(runProgram("inotify", args, undefined, flags), ({ output }) => output)
      expect(yield* run([path])).toEqual(["watched"])
      expect(yield* run([path, "recursive"])).toEqual([
        expect.stringMatching(/^PermissionDenied: readdir\(.*\(start node with --allow-fs-read=/)
      ])
    }).pipe(Effect.scoped)
  )
})
