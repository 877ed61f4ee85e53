/**
 * Prototypes of the calls that poll, poll(2), epoll(7), kqueue(2), and timerfd_create(2); that make
 * many calls at a time, io_uring(7) and io_submit(2); and of those about the threads that do.
 */
export interface PollFunctions {
  /** Takes an array of `struct pollfd`. */
  readonly poll: (fds: Int32Array, nfds: number, timeout: number) => number
  readonly dup3: (oldFd: number, newFd: number, flags: number) => number
  readonly epoll_create1: (flags: number) => number
  readonly epoll_ctl: (epfd: number, op: number, fd: number, event: Int32Array | null) => number
  readonly epoll_wait: (epfd: number, events: Int32Array, maxevents: number, timeout: number) => number
  /**
   * Most C libraries have no function for the calls of io_uring. They are made by syscall(2), whose
   * first argument is the number of the call.
   */
  readonly io_uring_setup: (number: number, entries: number, params: Uint32Array) => number
  readonly io_uring_enter: (
    number: number,
    fd: number,
    toSubmit: number,
    minComplete: number,
    flags: number,
    argument: null,
    size: number
  ) => number
  /**
   * The calls of Linux AIO, by syscall(2), too. `io_setup` puts the context into memory of 64 bits.
   * `io_submit` takes the address of an array of the addresses of `struct iocb`.
   */
  readonly io_setup: (number: number, entries: number, context: BigInt64Array) => number
  readonly io_destroy: (number: number, context: number) => number
  readonly io_submit: (number: number, context: number, count: number, calls: number) => number
  readonly io_getevents: (
    number: number,
    context: number,
    least: number,
    most: number,
    events: Int32Array,
    timeout: null
  ) => number
  /** Takes both actions as a `struct sigaction`, which begins with the handler. */
  readonly sigaction: (signal: number, action: null, old: Int32Array) => number
  /** Made by syscall(2), too: musl has no function for `tgkill`, and older glibcs for neither. */
  readonly gettid: (number: number) => number
  readonly tgkill: (number: number, process: number, thread: number, signal: number) => number
  readonly mmap: (
    address: null,
    length: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number
  ) => number
  readonly munmap: (address: number, length: number) => number
  readonly kqueue: () => number
  /**
   * Takes changes and events as `struct kevent`, and the timeout as a `struct timespec` of two
   * 64-bit numbers.
   */
  readonly kevent: (
    kq: number,
    changes: Int32Array | null,
    nchanges: number,
    events: Int32Array | null,
    nevents: number,
    timeout: Int32Array | null
  ) => number
  readonly timerfd_create: (clockid: number, flags: number) => number
  /** Takes the value as a `struct itimerspec`. */
  readonly timerfd_settime: (fd: number, flags: number, value: Int32Array, old: null) => number
}

export const pollPrototypes: { readonly [Name in keyof PollFunctions]: string } = {
  poll: "int poll(void *fds, unsigned long nfds, int timeout)",
  dup3: "int dup3(int old_fd, int new_fd, int flags)",
  epoll_create1: "int epoll_create1(int flags)",
  epoll_ctl: "int epoll_ctl(int epfd, int op, int fd, void *event)",
  epoll_wait: "int epoll_wait(int epfd, void *events, int maxevents, int timeout)",
  io_uring_setup: "intptr_t syscall(intptr_t number, unsigned int entries, void *params)",
  io_uring_enter:
    "intptr_t syscall(intptr_t number, int fd, unsigned int submit, unsigned int complete, unsigned int flags, void *argument, size_t size)",
  io_setup: "intptr_t syscall(intptr_t number, unsigned int entries, void *context)",
  io_destroy: "intptr_t syscall(intptr_t number, uintptr_t context)",
  io_submit: "intptr_t syscall(intptr_t number, uintptr_t context, intptr_t count, uintptr_t calls)",
  io_getevents:
    "intptr_t syscall(intptr_t number, uintptr_t context, intptr_t least, intptr_t most, void *events, void *timeout)",
  sigaction: "int sigaction(int signal, void *action, void *old)",
  gettid: "intptr_t syscall(intptr_t number)",
  tgkill: "intptr_t syscall(intptr_t number, int process, int thread, int signal)",
  mmap: "intptr_t mmap(void *address, size_t length, int protection, int flags, int fd, intptr_t offset)",
  munmap: "int munmap(intptr_t address, size_t length)",
  kqueue: "int kqueue(void)",
  kevent: "int kevent(int kq, void *changes, int nchanges, void *events, int nevents, void *timeout)",
  timerfd_create: "int timerfd_create(int clockid, int flags)",
  timerfd_settime: "int timerfd_settime(int fd, int flags, void *value, void *old)"
}
