/**
 * Readiness of any file descriptor, for Effect programs on Node.js.
 *
 * @since 0.1.0
 */
export * as AsyncFd from "./AsyncFd.ts"
export * as CodecError from "./CodecError.ts"
export * as Event from "./Event.ts"
export * as Fd from "./Fd.ts"
export * as FrameReader from "./FrameReader.ts"
export * as FrameWriter from "./FrameWriter.ts"
export * as LineReader from "./LineReader.ts"
export * as Notification from "./Notification.ts"
export * as PollChannel from "./PollChannel.ts"
export * as Poller from "./Poller.ts"
export * as PollerDatagramSocket from "./PollerDatagramSocket.ts"
export * as PollerError from "./PollerError.ts"
export * as PollerSocket from "./PollerSocket.ts"
export * as PollerSocketServer from "./PollerSocketServer.ts"
export * as Registrar from "./Registrar.ts"
export * as Tcp from "./Tcp.ts"
export * as Udp from "./Udp.ts"
export * as Unix from "./Unix.ts"
export * as UserEvent from "./UserEvent.ts"
