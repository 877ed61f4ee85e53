/**
 * A queue of calls on sockets that one system call makes. None of these calls waits, so all are
 * done when that system call returns. Readiness is still the selector's to report.
 *
 * `ioUring.ts` and `aio.ts` are the two kinds. They are plain synchronous TypeScript, as selectors
 * are.
 */

export interface SubmissionQueue {
  /** The most calls that can be queued before `submit`. */
  readonly capacity: number
  /** Whether the kernel has refused, or the queue is closed: no further call is made. */
  readonly isBroken: boolean
  /** Queues a recv(2). */
  readonly receive: (fd: number, address: number, length: number) => void
  /** Queues a send(2). It raises no SIGPIPE. */
  readonly send: (fd: number, address: number, length: number) => void
  /**
   * Makes all queued calls, in their order. A result is what the call would have returned by
   * itself, or the negated errno. It is EAGAIN, as if the call would have blocked, if the kernel
   * did not make the call: the caller then makes it by itself.
   */
  readonly submit: (results: Int32Array) => void
  readonly close: () => void
}
