/** The sentences of errors: what happened, and in brackets what to do about it. */

/** What is known about the call that failed. */
export interface Subject {
  readonly syscall?: string | undefined
  readonly code?: string | undefined
  readonly fd?: number | undefined
  readonly address?: string | undefined
}

const receiving: ReadonlySet<string> = new Set(["recv", "recvfrom", "recvmsg", "read", "readv"])
const sending: ReadonlySet<string> = new Set(["send", "sendto", "sendmsg", "write", "writev"])

/** Returns the word between a call and its address; some calls have it in their name. */
const preposition = (syscall: string | undefined): string => {
  if (syscall === undefined) return "on "
  if (syscall === "recvfrom" || syscall === "sendto") return ""
  if (receiving.has(syscall)) return "from "
  return syscall === "connect" || syscall === "bind" || sending.has(syscall) ? "to " : "on "
}

const placeOf = ({ address, fd, syscall }: Subject): string => {
  if (address !== undefined) return `${preposition(syscall)}${address}`
  return fd === undefined ? "" : `on fd ${fd}`
}

/** Puts the call, its address or descriptor, and the error's name before a text. */
export const sentence = (subject: Subject, text: string): string => {
  const { code, syscall } = subject
  const call = `${syscall ?? ""} ${placeOf(subject)}`.trim()
  const known = [call, code].filter((part) => part !== undefined && part !== "").join(": ")
  if (known === "") return text
  return `${known}${code === undefined ? ":" : ","} ${text}`
}

/** Says which limit is reached. One error's name stands for several limits, so the call decides. */
export const limitText = ({ code, syscall = "" }: Subject): string => {
  switch (code) {
    case "EMFILE":
      return syscall === "inotify_init1"
        ? "this user may have no more inotify instances, or this process no more descriptors (raise /proc/sys/fs/inotify/max_user_instances or `ulimit -n`, or close some)"
        : "this process may open no more descriptors (raise `ulimit -n`, or close some)"
    case "ENFILE":
      return "the system may open no more descriptors (raise fs.file-max, or close some)"
    case "ENOSPC":
      if (syscall.startsWith("inotify_add_watch")) {
        return "this user may watch no more files and directories (raise /proc/sys/fs/inotify/max_user_watches, or watch fewer)"
      }
      return syscall.startsWith("epoll_ctl")
        ? "this user may watch no more descriptors (raise fs.epoll.max_user_watches, or deregister some)"
        : "the device has no space left (free some, or write elsewhere)"
    case "ENOBUFS":
      return receiving.has(syscall)
        ? "messages were lost, as they came faster than they were read (read everything again, or set a larger receive buffer)"
        : "the kernel has no buffer for it now (try again later)"
    case "EAGAIN":
      return syscall === "connect"
        ? "the listener's backlog is full, or no local port is free (try again later)"
        : "the kernel has no room for it now (try again later)"
    case undefined:
      return "a limit is reached"
    default:
      return "the kernel has no memory for it now (try again later)"
  }
}

export const permissionText = ({ syscall = "" }: Subject): string => {
  if (syscall === "bind") {
    return "this process is not permitted to bind there (a port below 1024 needs a privilege, a path needs write access to its directory)"
  }
  if (syscall === "connect" || sending.has(syscall)) {
    return "this process is not permitted to send there (check the path's permissions and the firewall; a broadcast needs the option)"
  }
  if (syscall === "pidfd_send_signal" || syscall === "kill") {
    return "this process is not permitted to send that process a signal (run as the same user, or with a privilege)"
  }
  if (/^(inotify_add_watch|readdir)\(/.test(syscall)) {
    return "this process is not permitted to read it, and so to watch it (check the path's permissions)"
  }
  if (syscall.startsWith("open(")) return "this process is not permitted to open it (check the path's permissions)"
  if (syscall.startsWith("posix_spawn(")) {
    return "this process is not permitted to execute it (check that it is a file, and executable)"
  }
  return "this process is not permitted to do that (check its user, its capabilities and its sandbox)"
}

export const addressText = ({ syscall }: Subject): string =>
  syscall === "connect"
    ? "this address cannot be connected to, or no local port is free (check the address, or close some connections)"
    : "this machine does not have this address (pass one of its own, or 0.0.0.0 or [::] for all of them)"

export const notFoundText = ({ code, syscall }: Subject): string => {
  if (code === "ESRCH") return "there is no such process (it has ended, or this process cannot see it)"
  if (code === "ENOTDIR") return "a part of this path is not a directory (check its spelling)"
  if (syscall === "bind") return "the directory of this path does not exist (create it first)"
  if (syscall?.startsWith("posix_spawn(") === true) {
    return "there is no such program (install it, or check its spelling and the PATH)"
  }
  if (syscall === "connect")
    return "nothing exists at this path (start the server first: its listener creates the path)"
  return "nothing exists at this path (create it first, or check its spelling)"
}

/** Says what the errors mean that have no reason of their own. */
export const systemText = ({ code, syscall = "" }: Subject): string => {
  switch (code) {
    case "EIO":
      if (receiving.has(syscall) || sending.has(syscall)) {
        return "the other end of the terminal is closed, or the device has failed (close this end, and open it again to continue)"
      }
      break
    case "EISDIR":
      return "this is a directory (pass a file in it)"
    case "ENXIO":
      if (syscall.startsWith("open(")) {
        return "no process has this FIFO open for reading, or there is no such device (start the reader first, or open it for both)"
      }
      break
  }
  return "the system refused this call (look the error's name up in its manual page)"
}
