/** What the main thread and a worker thread tell each other. */

/** To a worker: a connection that is its own from now on. A descriptor is a number that every thread can use. */
export type Connection = number

/** From a worker, whenever a connection has ended: its sums so far. */
export interface WorkerReport {
  /** Connections that have ended. */
  readonly connections: number
  /** How many of them ended with an error. */
  readonly failures: number
  /** What the last of those was. */
  readonly lastFailure: string
  readonly received: number
  readonly sent: number
  /** How often a send buffer had no room for all of it, and its connection stopped reading until there was. */
  readonly fullBuffers: number
  /** What the poller has reported to this thread. */
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

/** The sum of one figure over all workers. */
export const total = (
  reports: ReadonlyArray<WorkerReport>,
  figure: Exclude<keyof WorkerReport, "lastFailure">
): number => reports.reduce((sum, report) => sum + report[figure], 0)
