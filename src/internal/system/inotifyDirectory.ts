/** What is known of one watched directory of a tree, or of a path that the program has named. */
import { joined, type Place, placeIn } from "./inotifyPath.ts"

/** How often a directory of any tree has moved: the paths below it are others then. */
let moves = 0

/** A path that the program has named: what events say, and where the kernel finds it. */
export interface Named {
  readonly place: Place
  readonly absolute: string
}

export class Directory {
  /** The kernel's number of the watch, or -1 while there is none. */
  wd = -1
  /** False for a file that the program has named. */
  isDirectory = true
  /** None if the program has named its path. */
  parent: Directory | undefined
  /** One byte a character. */
  name: string
  /** Whether to report its contents when they are read. */
  readonly isNew: boolean
  /** Whether consumers know of it. */
  isAnnounced = true
  /** Whether it is not part of a tree any more. */
  isGone = false
  /**
   * The end of the queue when its path was looked up last. An older event about its entry is about
   * another directory, which had the path before.
   */
  lookedUp = 0
  /** Whether its contents were read. */
  isScanned = false
  /** The end of the queue when they were. */
  scanned = Infinity
  /**
   * The files that consumers know of, as long as there may be events that are older than the
   * reading of the directory.
   */
  files: Set<string> | undefined
  readonly children = new Map<string, Directory>()
  readonly #named: Named | undefined
  #place: Place | undefined
  #moves = 0

  constructor(parent: Directory | Named, name: string, isNew: boolean) {
    const isBelow = parent instanceof Directory
    this.parent = isBelow ? parent : undefined
    this.#named = isBelow ? undefined : parent
    this.name = name
    this.isNew = isNew
  }

  /** Makes a directory of the same path that the program has named, of which nothing is known. */
  again(): Directory {
    const directory = new Directory(this.#named!, "", true)
    directory.isDirectory = this.isDirectory
    return directory
  }

  get place(): Place {
    if (this.parent === undefined) return this.#named!.place
    if (this.#place === undefined || this.#moves !== moves) {
      this.#place = placeIn(this.parent.place, this.name)
      this.#moves = moves
    }
    return this.#place
  }

  /** The path to look it up. The program may have changed its working directory meanwhile. */
  get absolute(): string {
    return this.parent === undefined ? this.#named!.absolute : joined(this.parent.absolute, this.name)
  }

  /** Leaves its parent. */
  leave(): void {
    if (this.parent?.children.get(this.name) === this) this.parent.children.delete(this.name)
  }

  moveTo(parent: Directory, name: string): void {
    this.leave()
    this.parent = parent
    this.name = name
    parent.children.set(name, this)
    moves++
  }

  /** Whether it is another directory, or somewhere below it. */
  isIn(other: Directory): boolean {
    return this === other || (this.parent !== undefined && this.parent.isIn(other))
  }

  /** Whether an event is older than what consumers know of the files. */
  isOld(at: number): boolean {
    return this.files !== undefined && at < this.scanned
  }

  /** Whether there was a directory under a name after an event, so that it is about another file. */
  isTaken(name: string, at: number): boolean {
    const child = this.children.get(name)
    return child !== undefined && at < child.lookedUp
  }

  /** Whether consumers know of something under a name, so that an event says nothing new. */
  isKnown(name: string, at: number): boolean {
    const child = this.children.get(name)
    if (child?.isAnnounced === true && (at < child.lookedUp || (this.isScanned && this.isOld(at)))) return true
    return this.isOld(at) && this.files!.has(name)
  }

  /** Called when a file has left a name. Returns whether consumers know of it. */
  removeFile(name: string, at: number): boolean {
    if (this.isTaken(name, at)) return false
    return this.isOld(at) ? this.files!.delete(name) : true
  }
}
