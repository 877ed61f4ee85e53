/**
 * Sockets on the poller: as plain descriptors, and as the services of `effect/socket`.
 *
 * @since 0.2.0
 */
export * as PollerDatagramSocket from "./PollerDatagramSocket.ts"
export * as PollerSocket from "./PollerSocket.ts"
export * as PollerSocketServer from "./PollerSocketServer.ts"
export * as Tcp from "./Tcp.ts"
export * as Udp from "./Udp.ts"
export * as Unix from "./Unix.ts"
