/**
 * Readiness of any file descriptor, and sockets, for Effect programs on Node.js.
 *
 * Each module is a namespace: `import { Poller, Registrar } from "effect-amy"`. A single module has
 * a path of its own as well, such as `effect-amy/Poller` and `effect-amy/net/Tcp`. What helps with
 * tests is in `effect-amy/testing`.
 *
 * @since 0.1.0
 */
export * as AsyncFd from "./AsyncFd.ts"
export * as CodecError from "./codecs/CodecError.ts"
export * as Event from "./Event.ts"
export * as Fd from "./Fd.ts"
export * as ForeignFd from "./ForeignFd.ts"
export * as FrameReader from "./codecs/FrameReader.ts"
export * as FrameWriter from "./codecs/FrameWriter.ts"
export * as Inotify from "./system/Inotify.ts"
export * as LineReader from "./codecs/LineReader.ts"
export * as Netlink from "./system/Netlink.ts"
export * as Notification from "./Notification.ts"
export * as PollChannel from "./PollChannel.ts"
export * as Poller from "./Poller.ts"
export * as PollerDatagramSocket from "./net/PollerDatagramSocket.ts"
export * as PollerError from "./PollerError.ts"
export * as PollerSocket from "./net/PollerSocket.ts"
export * as PollerSocketServer from "./net/PollerSocketServer.ts"
export * as ProcessExit from "./system/ProcessExit.ts"
export * as Pty from "./system/Pty.ts"
export * as Registrar from "./Registrar.ts"
export * as Serial from "./system/Serial.ts"
export * as Stdio from "./system/Stdio.ts"
export * as Syscall from "./Syscall.ts"
export * as Tcp from "./net/Tcp.ts"
export * as Udp from "./net/Udp.ts"
export * as Unix from "./net/Unix.ts"
export * as UserEvent from "./UserEvent.ts"
