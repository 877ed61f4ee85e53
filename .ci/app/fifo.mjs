import { execFileSync } from "node:child_process"
import { closeSync, constants, mkdtempSync, openSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** Opens a new FIFO for reading and writing. */
export const open = () => {
  const directory = mkdtempSync(join(tmpdir(), "effect-amy-"))
  const path = join(directory, "fifo")
  execFileSync("mkfifo", [path])
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  return {
    fd,
    path,
    close: () => {
      closeSync(fd)
      rmSync(directory, { recursive: true })
    }
  }
}
