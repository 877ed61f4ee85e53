/**
 * Ready sources: what the system itself reports, each as a `Stream` or an `Effect`.
 *
 * @since 0.2.0
 */
export * as Inotify from "./Inotify.ts"
export * as Netlink from "./Netlink.ts"
export * as ProcessExit from "./ProcessExit.ts"
export * as Pty from "./Pty.ts"
export * as Serial from "./Serial.ts"
export * as Stdio from "./Stdio.ts"
