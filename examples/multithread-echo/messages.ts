/** The messages between the main thread and a worker thread. */

/**
 * Message to a worker: a connection, which the worker takes over. A descriptor is a number that
 * every thread can use.
 */
export type Connection = number

/** Message from a worker when a connection has ended: its sums so far. */
export interface WorkerReport {
  /** Connections that have ended. */
  readonly connections: number
  /** Connections that ended with an error. */
  readonly failures: number
  /** Message of the last of these errors. */
  readonly lastFailure: string
  readonly received: number
  readonly sent: number
  /** How often a send buffer was full. The connection then stopped reading until there was room. */
  readonly fullBuffers: number
  /** Notifications that this thread received. */
  readonly notifications: number
}

export const emptyReport: WorkerReport = {
  connections: 0,
  failures: 0,
  lastFailure: "",
  received: 0,
  sent: 0,
  fullBuffers: 0,
  notifications: 0
}

/** Returns the sum of one figure over all workers. */
export const total = (
  reports: ReadonlyArray<WorkerReport>,
  figure: Exclude<keyof WorkerReport, "lastFailure">
): number => reports.reduce((sum, report) => sum + report[figure], 0)
