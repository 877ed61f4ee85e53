/**
 * The trees of directories that a program watches, and what their events mean.
 *
 * Events tell of the past, and looking up a path tells of the present. A new directory can only be
 * watched by its path, and read once it is watched: both may show what comes later in the queue. So
 * each lookup notes the position at the end of the queue. Events before that position are out of
 * date about the entry that was looked up, and are left out. Those after it go on from there.
 *
 * The kernel queues the event of a change before it unlocks the directory, and reading a directory
 * takes the same lock. So a change that the reading has seen is in the queue by then. A lookup of a
 * path takes no lock: the event of what it has found may still come.
 */
import { type Dirent, readdirSync } from "node:fs"
import { constants } from "node:os"
import type { PollerError } from "../../PollerError.ts"
import type { Event } from "../../system/Inotify.ts"
import { deniedByNode } from "../errors/nodePermission.ts"
import { fromErrno } from "../errors/pollerErrors.ts"
import { inotify } from "../libc/profiles/system/inotify.ts"
import { Directory, type Named } from "./inotifyDirectory.ts"
import { bytesOf, pathOf, type Place, placeIn } from "./inotifyPath.ts"
import type { InotifyQueue, RawEvent } from "./inotifyQueue.ts"

const { CREATE, DELETE, DELETE_SELF, IGNORED, ISDIR, MOVE_SELF, MOVED_FROM, MOVED_TO, Q_OVERFLOW, UNMOUNT } = inotify
const { DONT_FOLLOW, EXCL_UNLINK, ONLYDIR } = inotify
const moved = MOVED_FROM | MOVED_TO
/** What keeps a tree up to date. */
const changes = CREATE | DELETE | moved
/** What reading a directory causes. */
const reading = inotify.OPEN | inotify.ACCESS | inotify.CLOSE_NOWRITE
const { EACCES, ENAMETOOLONG, ENOENT, ENOTDIR } = constants.errno

export interface TreeOptions {
  readonly queue: InotifyQueue
  /** The events that the program asks for, as bits. */
  readonly asked: number
  readonly isRecursive: boolean
  readonly emit: (event: Event) => void
  /** Called with the path of a directory that may not be watched or read. */
  readonly skip: (path: string) => void
}

export class InotifyTree {
  readonly #options: TreeOptions
  readonly #queue: InotifyQueue
  readonly #byWd = new Map<number, Directory>()
  /** The paths that the program has named, as long as they are watched. */
  readonly #roots = new Set<Directory>()
  /** The directories to read next, the last one first. */
  readonly #toScan: Array<Directory> = []
  /** Directories whose path did not lead to them. They are looked for again when one has moved. */
  readonly #lost = new Set<Directory>()
  /** What was looked up, or read, while older events were in the queue: in that order. */
  #lookups: Array<{ readonly directory: Directory; readonly until: number }> = []
  #scans: Array<{ readonly directory: Directory; readonly until: number }> = []
  /** After an overflow, what was watched before, until everything is watched again. */
  #formerWds: ReadonlyArray<number> | undefined
  /** The reason why the watch cannot go on. */
  error: PollerError | undefined

  constructor(options: TreeOptions) {
    this.#options = options
    this.#queue = options.queue
  }

  /** Whether nothing is left to watch. */
  get isOver(): boolean {
    return this.#roots.size === 0
  }

  /** Watches a path that the program has named. */
  addRoot(named: Named): PollerError | undefined {
    const root = new Directory(named, "", false)
    let wd = this.#add(root)
    if (wd === -ENOTDIR) {
      root.isDirectory = false
      wd = this.#add(root)
    }
    if (wd < 0) return fromErrno(`inotify_add_watch("${named.place.text}")`, -wd)
    // Another path may lead to the same file.
    if (this.#byWd.has(wd)) return undefined
    this.#roots.add(root)
    this.#watch(root, wd)
    return undefined
  }

  /** Looks up a path, and watches what is there. Returns -errno if it cannot. */
  #add(directory: Directory): number {
    const { asked, isRecursive } = this.#options
    const mask = asked | EXCL_UNLINK | (isRecursive ? changes : 0)
    const how = directory.parent === undefined ? DELETE_SELF | MOVE_SELF : DONT_FOLLOW
    return this.#queue.add(directory.absolute, mask | how | (directory.isDirectory ? ONLYDIR : 0))
  }

  /** Notes that a directory is watched. In a tree, it has to be read then. */
  #watch(directory: Directory, wd: number): void {
    directory.wd = wd
    this.#byWd.set(wd, directory)
    this.#lost.delete(directory)
    this.#noteLookup(directory)
    if (!this.#options.isRecursive || !directory.isDirectory) return
    directory.files = new Set()
    this.#toScan.push(directory)
  }

  #noteLookup(directory: Directory): void {
    const until = this.#queue.end
    directory.lookedUp = until
    if (until > this.#queue.position) this.#lookups.push({ directory, until })
  }

  /** Reads one directory. Returns false if none is left to read. */
  scanNext(): boolean {
    const next = this.#toScan.pop()
    if (next === undefined) return this.#endRebuilding()
    if (!next.isGone) this.#scan(next)
    return true
  }

  #scan(directory: Directory): void {
    let entries: ReadonlyArray<Dirent<NonSharedBuffer>>
    try {
      const path = Buffer.from(directory.absolute, "latin1")
      entries = readdirSync(path, { encoding: "buffer", withFileTypes: true })
    } catch (thrown) {
      return this.#failToScan(directory, thrown as NodeJS.ErrnoException)
    }
    // Another directory may have the path by now.
    if (!this.#isStillThere(directory)) return void this.#lost.add(directory)
    const { isNew, place } = directory
    const files = directory.files ?? new Set()
    const directories: Array<string> = []
    for (const entry of entries) {
      const name = entry.name.toString("latin1")
      if (entry.isDirectory()) {
        directories.push(name)
      } else if (!files.has(name)) {
        files.add(name)
        if (isNew) this.#report(CREATE, "Created", placeIn(place, name), false)
      }
    }
    const until = this.#queue.end
    directory.isScanned = true
    directory.scanned = until
    directory.files = until > this.#queue.position ? files : undefined
    if (directory.files !== undefined) this.#scans.push({ directory, until })
    for (const name of directories) {
      if (this.error !== undefined) return
      if (!directory.children.has(name)) this.#enter(directory, name, isNew, CREATE)
    }
  }

  #isStillThere(directory: Directory): boolean {
    const wd = this.#add(directory)
    if (wd === directory.wd) return true
    if (wd >= 0 && !this.#byWd.has(wd)) this.#queue.remove(wd)
    return false
  }

  #failToScan(directory: Directory, thrown: NodeJS.ErrnoException): void {
    const syscall = `readdir("${directory.place.text}")`
    this.error = deniedByNode(syscall, thrown)
    if (this.error !== undefined) return
    const errno = -(thrown.errno ?? 0)
    if (errno === EACCES || errno === ENAMETOOLONG) {
      directory.isScanned = true
      directory.files = undefined
      this.#options.skip(directory.place.text)
    } else if (errno === ENOENT || errno === ENOTDIR) {
      this.#lost.add(directory)
    } else {
      this.error = fromErrno(syscall, errno)
    }
  }

  /** Adds a directory to a tree. It may not be there any more. */
  #enter(parent: Directory, name: string, isNew: boolean, origin: number): void {
    const directory = new Directory(parent, name, isNew)
    const wd = this.#add(directory)
    const other = this.#byWd.get(wd)
    if (other !== undefined && this.#follow(other, parent, name, isNew)) return
    parent.children.set(name, directory)
    if (isNew) this.#report(origin, "Created", directory.place, true)
    if (other === undefined) this.#settle(directory, wd)
  }

  /** Takes the result of a lookup, where what was found is not known yet. */
  #settle(directory: Directory, wd: number): void {
    if (wd >= 0) return this.#watch(directory, wd)
    if (wd === -ENOENT || wd === -ENOTDIR) {
      this.#lost.add(directory)
      return
    }
    this.#lost.delete(directory)
    if (wd === -EACCES || wd === -ENAMETOOLONG) this.#options.skip(directory.place.text)
    else this.error = fromErrno(`inotify_add_watch("${directory.place.text}")`, -wd)
  }

  /**
   * Takes a known directory along to where it was found. Events about its moving may still come.
   * Returns false for a loop, which a bind mount may make.
   */
  #follow(directory: Directory, parent: Directory, name: string, isNew: boolean): boolean {
    if (parent.isIn(directory)) return false
    const { name: formerName, parent: formerParent, place: from } = directory
    this.#roots.delete(directory)
    directory.moveTo(parent, name)
    this.#noteLookup(directory)
    if (isNew) this.#announceAt(directory, from)
    this.#recheckIn(directory, this.#queue.position)
    if (formerParent !== undefined) this.#lookAgain(formerParent, formerName)
    return true
  }

  #announceAt(directory: Directory, from: Place): void {
    const to = directory.place
    if (!directory.isAnnounced) this.#announce(directory)
    else if (from.bytes !== to.bytes) this.#reportMove(from, to, true)
  }

  #announce(directory: Directory): void {
    directory.isAnnounced = true
    this.#report(changes, "Created", directory.place, true)
  }

  /** Looks at a path where a directory was found to have left. There may be another one. */
  #lookAgain(parent: Directory, name: string): void {
    const directory = new Directory(parent, name, true)
    const wd = this.#add(directory)
    // One directory may have two paths, by a bind mount.
    if (this.#byWd.has(wd)) return
    parent.children.set(name, directory)
    directory.isAnnounced = false
    if (wd >= 0) this.#announce(directory)
    this.#settle(directory, wd)
  }

  /**
   * Checks what was looked up in a directory after it had moved, when an event tells of that move:
   * the lookup used the former path. Looks for those that were not found.
   */
  #recheckIn(directory: Directory, at: number): void {
    const recent = this.#lookups.filter((lookup) => lookup.until > at && lookup.directory !== directory)
    for (const lookup of recent) if (lookup.directory.isIn(directory)) this.#recheck(lookup.directory)
    for (const lost of Array.from(this.#lost)) if (lost.isIn(directory)) this.#findAgain(lost)
  }

  #recheck(directory: Directory): void {
    const { name, parent } = directory
    if (directory.isGone || directory.wd < 0 || parent === undefined) return
    if (this.#add(directory) === directory.wd) return this.#noteLookup(directory)
    if (directory.isAnnounced) this.#report(changes, "Removed", directory.place, true)
    this.#forget(directory)
    this.#enter(parent, name, true, changes)
  }

  #findAgain(directory: Directory): void {
    const { name, parent } = directory
    if (directory.isGone || parent === undefined) return
    if (directory.wd >= 0) {
      this.#lost.delete(directory)
      this.#toScan.push(directory)
      return
    }
    const wd = this.#add(directory)
    const other = this.#byWd.get(wd)
    if (other === undefined) {
      if (wd >= 0 && !directory.isAnnounced) this.#announce(directory)
      return this.#settle(directory, wd)
    }
    this.#lost.delete(directory)
    if (parent.isIn(other)) return
    if (directory.isAnnounced) this.#report(changes, "Removed", directory.place, true)
    this.#forget(directory)
    this.#follow(other, parent, name, true)
  }

  /** Stops watching a directory and what is below it. */
  #forget(directory: Directory): void {
    directory.leave()
    const all = [directory]
    for (const each of all) {
      each.isGone = true
      this.#lost.delete(each)
      if (each.wd >= 0 && this.#byWd.delete(each.wd)) this.#queue.remove(each.wd)
      for (const child of each.children.values()) all.push(child)
    }
  }

  /** Forgets what was kept for events that are older than a lookup: they are over. */
  expire(at: number): void {
    let count = 0
    while (count < this.#scans.length && this.#scans[count]!.until <= at) {
      const { directory, until } = this.#scans[count++]!
      if (directory.scanned === until) directory.files = undefined
    }
    if (count > 0) this.#scans = this.#scans.slice(count)
    count = 0
    while (count < this.#lookups.length && this.#lookups[count]!.until <= at) count++
    if (count > 0) this.#lookups = this.#lookups.slice(count)
  }

  /** Takes an event that is no half of a rename. */
  handle(event: RawEvent): void {
    const { at, mask, name, wd } = event
    if ((mask & Q_OVERFLOW) !== 0) return this.#rebuild()
    const directory = this.#byWd.get(wd)
    if (directory === undefined) return
    if ((mask & IGNORED) !== 0) return this.#ignored(directory)
    if (directory.isGone) return
    if ((mask & UNMOUNT) !== 0) return this.#options.emit({ _tag: "Unmounted", ...pathOf(directory.place) })
    const isDirectory = (mask & ISDIR) !== 0
    if (name === "") this.#handleSelf(directory, event)
    else if ((mask & CREATE) !== 0) this.#arrive(directory, name, isDirectory, at, CREATE)
    else if ((mask & DELETE) !== 0) this.#depart(directory, name, isDirectory, at, DELETE)
    else this.#handleEntry(directory, event, isDirectory)
  }

  /** Takes an event about a directory itself. The events of its parent say the same. */
  #handleSelf(directory: Directory, { at, mask }: RawEvent): void {
    if (directory.parent !== undefined) return
    const { isDirectory, place } = directory
    if ((mask & DELETE_SELF) !== 0) return this.#report(DELETE, "Removed", place, isDirectory)
    if ((mask & MOVE_SELF) !== 0) {
      this.#report(moved, "Removed", place, isDirectory)
      return this.#unwatchRoot(directory)
    }
    if (isDirectory && (mask & reading) !== 0 && this.#isOwnReading(directory, at)) return
    this.#reportUse(mask, place, isDirectory)
  }

  #unwatchRoot(root: Directory): void {
    for (const child of Array.from(root.children.values())) this.#forget(child)
    root.isGone = true
    // The kernel says when it is ignored.
    this.#queue.remove(root.wd)
  }

  #handleEntry(directory: Directory, { at, mask, name }: RawEvent, isDirectory: boolean): void {
    const child = directory.children.get(name)
    if (isDirectory) {
      if (child !== undefined && (mask & reading) !== 0 && this.#isOwnReading(child, at)) return
    } else if (directory.isTaken(name, at) || (directory.isOld(at) && !directory.files!.has(name))) {
      return
    }
    this.#reportUse(mask, placeIn(directory.place, name), isDirectory)
  }

  #isOwnReading(directory: Directory, at: number): boolean {
    return this.#options.isRecursive && at < directory.scanned
  }

  #reportUse(mask: number, place: Place, isDirectory: boolean): void {
    const { emit } = this.#options
    const path = pathOf(place)
    if ((mask & inotify.MODIFY) !== 0) emit({ _tag: "Modified", ...path, isDirectory })
    if ((mask & inotify.ATTRIB) !== 0) emit({ _tag: "Attributes", ...path, isDirectory })
    if ((mask & inotify.OPEN) !== 0) emit({ _tag: "Opened", ...path, isDirectory })
    if ((mask & inotify.ACCESS) !== 0) emit({ _tag: "Accessed", ...path, isDirectory })
    if ((mask & inotify.CLOSE_WRITE) !== 0) emit({ _tag: "Closed", ...path, isDirectory, written: true })
    if ((mask & inotify.CLOSE_NOWRITE) !== 0) emit({ _tag: "Closed", ...path, isDirectory, written: false })
  }

  #arrive(parent: Directory, name: string, isDirectory: boolean, at: number, origin: number): void {
    if (parent.isKnown(name, at)) return
    const existing = parent.children.get(name)
    if (existing !== undefined) {
      // It was found before the event of its making came. Or it was replaced.
      if (isDirectory && existing.isAnnounced && this.#isSame(existing)) return
      if (existing.isAnnounced) this.#report(changes, "Removed", existing.place, true)
      this.#forget(existing)
    }
    if (isDirectory && this.#options.isRecursive) return this.#enter(parent, name, true, origin)
    if (!isDirectory) parent.files?.add(name)
    this.#report(origin, "Created", placeIn(parent.place, name), isDirectory)
  }

  #isSame(directory: Directory): boolean {
    const wd = this.#add(directory)
    if (directory.wd >= 0 && wd !== directory.wd) return false
    if (directory.wd < 0) this.#findAgain(directory)
    else this.#noteLookup(directory)
    return true
  }

  #depart(parent: Directory, name: string, isDirectory: boolean, at: number, origin: number): void {
    if (!isDirectory || !this.#options.isRecursive) {
      if (parent.removeFile(name, at)) this.#report(origin, "Removed", placeIn(parent.place, name), isDirectory)
      return
    }
    const directory = this.#departing(parent, name, at)
    if (directory === undefined) return
    this.#report(origin, "Removed", directory.place, true)
    this.#forget(directory)
  }

  /** Returns the directory that an event says has left a name, if consumers know of it. */
  #departing(parent: Directory, name: string, at: number): Directory | undefined {
    const directory = parent.children.get(name)
    if (directory === undefined || at < directory.lookedUp) return undefined
    if (directory.isAnnounced) return directory
    this.#forget(directory)
    return undefined
  }

  /** Takes the first half of a rename, and the second one if it has come. */
  handleMove(first: RawEvent, second: RawEvent | undefined): void {
    const { at, mask, name, wd } = first
    const from = this.#byWd.get(wd)
    const to = second === undefined ? undefined : this.#byWd.get(second.wd)
    const isDirectory = (mask & ISDIR) !== 0
    const isFrom = from !== undefined && !from.isGone
    if (to === undefined || to.isGone) {
      if (isFrom) this.#depart(from, name, isDirectory, at, MOVED_FROM)
    } else if (!isFrom) {
      this.#arrive(to, second!.name, isDirectory, at, MOVED_TO)
    } else if (isDirectory && this.#options.isRecursive) {
      this.#moveDirectory(from, name, to, second!.name, at)
    } else {
      this.#moveFile(from, name, to, second!.name, at, isDirectory)
    }
  }

  /** Takes a second half whose first half is outside of what is watched. */
  handleArrival({ at, mask, name, wd }: RawEvent): void {
    const to = this.#byWd.get(wd)
    if (to !== undefined && !to.isGone) this.#arrive(to, name, (mask & ISDIR) !== 0, at, MOVED_TO)
  }

  #moveFile(from: Directory, name: string, to: Directory, newName: string, at: number, isDirectory: boolean): void {
    if (!from.removeFile(name, at)) return this.#arrive(to, newName, isDirectory, at, MOVED_TO)
    const place = placeIn(from.place, name)
    if (to.isTaken(newName, at)) return this.#report(moved, "Removed", place, isDirectory)
    to.files?.add(newName)
    this.#reportMove(place, placeIn(to.place, newName), isDirectory)
  }

  #moveDirectory(from: Directory, name: string, to: Directory, newName: string, at: number): void {
    const directory = this.#departing(from, name, at)
    if (directory === undefined) return this.#arrive(to, newName, true, at, MOVED_TO)
    if (to.isKnown(newName, at)) {
      this.#report(moved, "Removed", directory.place, true)
      return this.#forget(directory)
    }
    // A lookup has shown a later move, which makes this one a loop: what is known is not enough.
    if (to.isIn(directory)) return this.#rebuild()
    // A rename may replace an empty directory.
    const replaced = to.children.get(newName)
    if (replaced !== undefined) this.#forget(replaced)
    const place = directory.place
    directory.moveTo(to, newName)
    this.#reportMove(place, directory.place, true)
    this.#recheckIn(directory, at)
  }

  #ignored(directory: Directory): void {
    this.#byWd.delete(directory.wd)
    directory.wd = -1
    if (this.#roots.delete(directory)) {
      this.#options.emit({ _tag: "Ignored", ...pathOf(directory.place) })
      this.#forget(directory)
    } else if (!directory.isGone) {
      // The event of its removal is to come, or its path may lead to another directory.
      directory.isScanned = false
      this.#lost.add(directory)
    }
  }

  /**
   * Begins anew after an overflow, for what is known may be wrong. Of a tree, everything that is
   * there is reported.
   */
  #rebuild(): void {
    this.#formerWds = Array.from(this.#byWd.keys())
    const roots = Array.from(this.#roots)
    for (const directory of this.#byWd.values()) directory.isGone = true
    this.#byWd.clear()
    this.#roots.clear()
    this.#lost.clear()
    this.#toScan.length = 0
    this.#lookups = []
    this.#scans = []
    this.#options.emit({ _tag: "Overflow" })
    for (const root of roots) this.#rebuildRoot(root)
  }

  #rebuildRoot(former: Directory): void {
    const root = former.again()
    const wd = this.#add(root)
    if (wd === former.wd) {
      this.#roots.add(root)
      return this.#watch(root, wd)
    }
    if (wd >= 0 && !this.#byWd.has(wd)) this.#queue.remove(wd)
    this.#report(DELETE | moved, "Removed", root.place, root.isDirectory)
    this.#options.emit({ _tag: "Ignored", ...pathOf(root.place) })
  }

  #endRebuilding(): boolean {
    const former = this.#formerWds
    if (former === undefined) return false
    for (const wd of former) if (!this.#byWd.has(wd)) this.#queue.remove(wd)
    this.#formerWds = undefined
    return true
  }

  #report(origin: number, tag: "Created" | "Removed", place: Place, isDirectory: boolean): void {
    if ((this.#options.asked & origin) !== 0) this.#options.emit({ _tag: tag, ...pathOf(place), isDirectory })
  }

  #reportMove(from: Place, to: Place, isDirectory: boolean): void {
    if ((this.#options.asked & moved) === 0) return
    const event = { _tag: "Moved", from: from.text, to: to.text, isDirectory } as const
    this.#options.emit(
      from.isExact && to.isExact ? event : { ...event, fromBytes: bytesOf(from), toBytes: bytesOf(to) }
    )
  }
}
