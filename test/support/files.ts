/**
 * The test files that not every system can run, each with what they need. All others run
 * everywhere. A single test that needs more is skipped elsewhere, and says so: `platform.ts`, and
 * for Windows `test/windows/skips.ts`.
 */
interface Files {
  readonly [files: string]: string
}

const onlyOnLinux: Files = {
  "bytes/{batchedWrite,socketBatch,socketBatchRandom}": "io_uring or Linux AIO",
  "bytes/sandboxes": "seccomp",
  "delivery/alarmFailure": "timerfd_create",
  "delivery/{closedEnds,model}": "epoll, which reports both directions at once",
  documentation: "inotify, pidfds and eventfds, for some of the examples",
  "kernel/epoll": "epoll",
  "kernel/{aio,ioUring,submissionQueue}": "io_uring and Linux AIO",
  "kernel/libkqueue": "libkqueue, which is for systems without a kqueue",
  "kernel/threadId": "gettid",
  "layers/{exits,stoppedThread,terminated}": "threads that the kernel gives numbers",
  "libc/libc": "functions of its C library",
  "shared/openedDescriptors": "threads that the kernel gives numbers",
  "system/{inotify,inotifyLimits,inotifyModel}": "inotify",
  "system/netlink": "netlink",
  "system/processExit": "/proc, for processes that are not reaped",
  "system/{pty,serial}": "its numbers of ioctl",
  "system/stdio": "preadv2"
}

const notOnWindows: Files = {
  "bytes/asyncFdModel": "a descriptor whose number is reused at once",
  "delivery/userEventFailure": "a user event that is a descriptor",
  "descriptor/{fd,fdClosing,fdOpening}": "files and pipes that can be polled",
  "errors/situations": "terminals and FIFOs",
  "foreign/syscall": "read(2) of the C library",
  "layers/{ownership,workerFailure}": "duplicates of descriptors, and a wait that can be made to fail",
  "foreign/model": "descriptors under a number of the test's choice",
  "{delivery/throwingConsumer,layers/{bundled,memory,permission},libc/{otherRuntimes,warnings}}": "layerEventLoop",
  "net/{unixDescriptors,acceptErrors}": "descriptors as messages, and limits of descriptors"
}

const onlyOnWindows: Files = {
  "windows/*": "the calls of Windows"
}

const patterns = (files: Files): ReadonlyArray<string> => Object.keys(files).map((name) => `test/${name}.test.ts`)

/** The patterns of the files that a system does not run. */
export const excludedOn = (platform: NodeJS.Platform): ReadonlyArray<string> => [
  ...(platform === "linux" ? [] : patterns(onlyOnLinux)),
  ...(platform === "win32" ? patterns(notOnWindows) : patterns(onlyOnWindows))
]
