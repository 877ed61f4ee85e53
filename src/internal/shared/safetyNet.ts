/**
 * How many milliseconds a thread stays in the kernel, or an attached one without a look at the polling thread, at most.
 * Nothing depends on it: it is for the case in which whoever should have woken that thread was killed.
 */
export const safetyNet = 1000
