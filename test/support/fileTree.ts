/** A tree of files as a program sees it by the events of `Inotify`, and random changes of a real one. */
import type { Inotify } from "effect-amy"
import { existsSync, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"

/** Returns the paths below a directory, those of directories with a slash at the end. */
export const realTree = (root: string): ReadonlyArray<string> =>
  readdirSync(root, { recursive: true, withFileTypes: true })
    .map((entry) => `${join(entry.parentPath, entry.name)}${entry.isDirectory() ? "/" : ""}`)
    .toSorted()

/** A view of a tree that knows nothing but the events. */
export class TreeView {
  readonly #paths = new Map<string, boolean>()
  /** What events have said that cannot be true of this view. */
  readonly contradictions: Array<string> = []

  get paths(): ReadonlyArray<string> {
    return Array.from(this.#paths, ([path, isDirectory]) => `${path}${isDirectory ? "/" : ""}`).toSorted()
  }

  apply(event: Inotify.Event): void {
    switch (event._tag) {
      case "Created":
        // A file may be replaced by one from elsewhere, which events cannot tell.
        if (this.#paths.has(event.path) && (event.isDirectory || this.#paths.get(event.path) === true))
          this.contradictions.push(`made twice: ${event.path}`)
        this.#paths.set(event.path, event.isDirectory)
        break
      case "Removed":
        if (this.#paths.get(event.path) !== event.isDirectory) this.contradictions.push(`not there: ${event.path}`)
        this.#take(event.path)
        break
      case "Moved": {
        if (this.#paths.get(event.from) !== event.isDirectory) this.contradictions.push(`not there: ${event.from}`)
        const moved = this.#take(event.from)
        this.#take(event.to)
        for (const [path, isDirectory] of moved) this.#paths.set(event.to + path.slice(event.from.length), isDirectory)
        break
      }
      case "Overflow":
        // Everything that is there follows.
        this.#paths.clear()
        break
      default:
        break
    }
  }

  /** Removes a path and everything below it. */
  #take(path: string): ReadonlyArray<[string, boolean]> {
    const taken = Array.from(this.#paths).filter(([other]) => other === path || other.startsWith(`${path}/`))
    for (const [other] of taken) this.#paths.delete(other)
    return taken
  }
}

/** Changes a tree at random. Paths come from few names, so that they are used again and again. */
export class RandomChanges {
  readonly #random: () => number
  readonly #root: string
  readonly #outside: string
  #outsideCount = 0

  constructor(root: string, outside: string, random: () => number) {
    this.#root = root
    this.#outside = outside
    this.#random = random
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }

  #anyPath(): string {
    const depth = 1 + this.#below(3)
    return join(this.#root, ...Array.from({ length: depth }, () => "abc"[this.#below(3)]!))
  }

  #outsidePath(): string {
    return join(this.#outside, this.#random() < 0.5 ? String(this.#below(3)) : `new${this.#outsideCount++}`)
  }

  /** Makes one change. Many are impossible, such as a directory in a file: then nothing changes. */
  change(): void {
    try {
      const choice = this.#below(12)
      const path = this.#anyPath()
      if (choice < 3) mkdirSync(path)
      else if (choice === 3) mkdirSync(join(path, "d", "e"), { recursive: true })
      else if (choice < 6) writeFileSync(path, "x")
      else if (choice < 9) renameSync(path, this.#anyPath())
      else if (choice === 9) renameSync(path, this.#outsidePath())
      // What it replaces would not be reported: events cannot tell.
      else if (choice === 10 && !existsSync(path)) renameSync(this.#outsidePath(), path)
      else if (this.#random() < 0.3) rmSync(path, { recursive: true })
      else if (this.#random() < 0.5) rmdirSync(path)
      else rmSync(path)
    } catch {
      // There was no such file, or it was in the way.
    }
  }
}
