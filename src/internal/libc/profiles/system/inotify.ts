/** The constants of inotify(7). Only Linux has it, and they are the same on every architecture. */
export const inotify = {
  CLOEXEC: 0x80000,
  NONBLOCK: 0x800,
  ACCESS: 0x1,
  MODIFY: 0x2,
  ATTRIB: 0x4,
  CLOSE_WRITE: 0x8,
  CLOSE_NOWRITE: 0x10,
  OPEN: 0x20,
  MOVED_FROM: 0x40,
  MOVED_TO: 0x80,
  CREATE: 0x100,
  DELETE: 0x200,
  DELETE_SELF: 0x400,
  MOVE_SELF: 0x800,
  UNMOUNT: 0x2000,
  Q_OVERFLOW: 0x4000,
  IGNORED: 0x8000,
  ONLYDIR: 0x100_0000,
  DONT_FOLLOW: 0x200_0000,
  EXCL_UNLINK: 0x400_0000,
  ISDIR: 0x4000_0000,
  /** The request of ioctl(2) for the number of bytes that can be read. */
  FIONREAD: 0x541b
} as const
