/** Prototypes of inotify(7), and of the call that says how much is queued. */
export interface InotifyFunctions {
  readonly inotify_init1: (flags: number) => number
  /** Takes a path that ends with a zero byte. */
  readonly inotify_add_watch: (fd: number, path: Uint8Array, mask: number) => number
  readonly inotify_rm_watch: (fd: number, wd: number) => number
  /** ioctl(2) is variadic: pass the type of the argument, too. */
  readonly ioctl: (fd: number, request: number, type: "void *", argument: Int32Array) => number
}

export const inotifyPrototypes: { readonly [Name in keyof InotifyFunctions]: string } = {
  inotify_init1: "int inotify_init1(int flags)",
  inotify_add_watch: "int inotify_add_watch(int fd, void *path, uint32_t mask)",
  inotify_rm_watch: "int inotify_rm_watch(int fd, int wd)",
  ioctl: "int ioctl(int fd, unsigned long request, ...)"
}
