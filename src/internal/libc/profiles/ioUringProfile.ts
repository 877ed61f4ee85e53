/** What the library has to know about io_uring(7). */

/**
 * Numbers of the system calls, flags, and where members lie in the memory shared with the kernel.
 */
export interface IoUringProfile {
  readonly setup: number
  readonly enter: number
  readonly SETUP_SINGLE_ISSUER: number
  readonly SETUP_COOP_TASKRUN: number
  readonly FEAT_FAST_POLL: number
  readonly ENTER_GETEVENTS: number
  readonly OP_SEND: number
  readonly OP_RECV: number
  readonly OFF_SQ_RING: number
  readonly OFF_SQES: number
  readonly mmap: { readonly PROT_READ: number; readonly PROT_WRITE: number; readonly MAP_SHARED: number }
  /** The size of `struct io_uring_params`, in words. */
  readonly paramsWords: number
  /** Offsets in `struct io_uring_params`, in words. */
  readonly params: {
    readonly entries: number
    readonly completionEntries: number
    readonly flags: number
    readonly features: number
    /** Of the submission queue, as are `mask` and `array`. */
    readonly tail: number
    readonly mask: number
    readonly array: number
    readonly completionHead: number
    readonly completionTail: number
    readonly completionMask: number
    readonly completions: number
  }
}
