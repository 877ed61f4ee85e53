/**
 * The single tests that do not run on Windows, or not under Wine, each with the reason. Whole files
 * are in `test/support/files.ts`.
 */

/** By a part of the full name of a test, which begins with its `describe`: the reason. */
export interface Skips {
  readonly [name: string]: string
}

/** By the path of the file within `test`, without `.test.ts`. */
type ByFile = { readonly [file: string]: Skips }

const pipes = "pipes that can be polled"
const pairs = "pairs of Unix sockets"
const numbers = "a descriptor under a number of the test's choice"
const modes = "a way to ask for the blocking mode"
const abstract = "abstract names of Unix sockets"
const names = "the names of the calls of Linux"
const readiness = "both directions reported at once"
const edges = "edges without an attempt in between"
const wakes = "a count of wake-ups"

/** Those of Windows: each needs what it has not. */
export const onWindows: ByFile = {
  "bytes/asyncFd": { "Ready.clear forgets the readiness": edges },
  "bytes/asyncFdBytes": {
    "write writes what fits, and waits only if nothing does": pipes,
    "read gives 0 at the end, each time": pipes,
    "a FIFO that no process has opened": pipes,
    "over a pipe": pipes,
    "a sink without readers fails with BrokenPipe": pipes
  },
  "bytes/asyncFdElsewhere": { "many MiB reach a fiber of the same thread": pipes },
  "bytes/asyncFdEnds": {
    "if the polling thread dies": "a wait that can be made to fail",
    "whose number is reused": numbers,
    "a peer that is gone wakes": "a broken pipe, and not a reset",
    "a pipe without writers": pipes,
    "stays open and unchanged after its scope": modes,
    "is not read or written in blocking mode": modes,
    "leaves the descriptor alone that reuses its number": numbers
  },
  "bytes/asyncFdTry": {
    "refuse what reading and writing refuse": modes,
    "fail with Closed once an Fd was closed by its owner": pipes
  },
  "bytes/asyncFdWatched": {
    "priority returns for urgent data": "readiness that is not reported along with the urgent",
    "a descriptor that cannot be registered": "a file under a number"
  },
  "bytes/changedBuffers": {
    "while a read waits is refused": pairs,
    "before a write runs is refused": pairs,
    "while descriptors are awaited": pairs,
    "a buffer that was transferred before": pipes,
    "is read into and written from": pairs
  },
  "bytes/interruptedWrites": {
    "(Unix, ": pairs,
    "sendDescriptors never sends": pairs,
    "sending a descriptor that is closed": pairs
  },
  "codecs/frameWriter": { "a full pipe": pipes },
  "delivery/badInput": {
    "a closed or negative number": numbers,
    "a regular file or a directory": "a file under a number",
    "a descriptor that is registered already": names,
    "deregister and reregister of an unregistered": names,
    "exclusive with oneshot": "exclusive registrations",
    "the poller's own descriptors": names
  },
  "delivery/edge": {
    "data that is not read is reported once": edges,
    "room to write is reported at first": edges,
    "has everything that is ready at the time": readiness,
    'the mode "edge" is the default': edges,
    "a report of one direction disarms both": readiness,
    "reregister without the mode makes": edges
  },
  "delivery/ghosts": {
    "if the number is reused at once": numbers,
    "once its number is registered again": numbers
  },
  "delivery/lateCleanUp": {
    "a number that another thread has registered by now": numbers,
    "the first ends when its descriptor was closed": numbers
  },
  "delivery/registration": {
    "a FileHandle of Node works": "FIFOs",
    "return in the same step and do not wake": wakes,
    "without a wake-up": wakes
  },
  "delivery/throwingArguments": {
    "a poller is not opened with an option": "layerEventLoop",
    "an offset, a length, a way to shut down": pipes,
    "a wait for the descriptor of a C library": pipes
  },
  "descriptor/closedTwice": {
    "opens another descriptor": "an eventfd",
    "a Unix connection": pairs
  },
  "delivery/watch": { "reports merge while": readiness },
  detached: {
    "works without its object: Fd": pipes,
    "works without its object: NetlinkSocket": "netlink",
    "works without its object: ProcessHandle": "descriptors of processes",
    "works without its object: Pty": "terminals",
    "works without its object: Serial": "serial lines",
    "works without its object: UnixStream": pairs,
    "is tried for every class": pipes
  },
  "effectSocket/datagramSocket": { "calls onError if its peer": "a report of what does not listen" },
  "effectSocket/poller": {
    "connects to every address": abstract,
    "fromStream accepts any stream": pairs,
    "fromStream fails with an open error": pairs,
    "a suspended write fails": pairs,
    "invalid options are the cause": abstract
  },
  "effectSocket/connection": { "of a Unix socket": abstract },
  "effectSocket/server": { "an abstract name": abstract },
  "foreign/kernel": {
    "a blocking descriptor never blocks": modes,
    "a socket that was never connected": "a report of a socket that was never connected",
    "while a duplicate is open": "duplicates of descriptors",
    "if an alarm has it by then": numbers,
    "a listening server is watched": "the descriptors of Node's sockets"
  },
  "layers/options": {
    "ordinary data is not reported": readiness,
    "without the option, an edge wakes both": edges,
    "a thread that only polls": edges,
    "fail with LimitReached, and nothing stays open": "layerEventLoop"
  },
  "net/goneConnections": {
    "after its peer has closed": pairs,
    "is refused by `fromFd`": modes
  },
  "net/errorAddresses": {
    "the descriptor, where the peer has no address": pairs,
    "the peer that it is connected to": "a report of what does not listen"
  },
  "net/manyDatagrams": {
    "a peer that does not listen": "a report of what does not listen",
    "with a receiver that has no room": pairs
  },
  "net/readable": { UnixStream: pairs },
  "net/tcp/connections": {
    "every descriptor is close-on-exec": modes,
    "fromFd leaves the blocking mode": modes
  },
  "net/tcp/errors": { "a pipe, a datagram socket, a Unix socket": pipes, "touches no reused number": numbers },
  "net/tcp/hardships": {
    "without descriptors": "limits of descriptors",
    "SIGPIPE never kills": "signals"
  },
  "net/tcp/options": { reusePort: "ports that are shared" },
  "net/throwingArguments": { "an option that throws": "reusePort, and Unix paths", "a value that has no text": pairs },
  "net/udp": {
    "an error that the network reports": "a report of what does not listen",
    "sockets share a port only if": "ports that are shared",
    "an invalid address or option": "ports that are shared",
    "the scope closes a socket and leaves its groups": modes
  },
  "net/withoutWaiting": { UnixStream: pairs },
  "testing/testPoller": { "while a real layer loads it": "layerEventLoop", "the same random operations": numbers },
  realms: { "are written to and read into": pairs, "is refused": pairs }
}

const unix = "AF_UNIX"
const resets = "a read that fails after a reset: it returns the end"
const slow = "an end within a minute on a busy machine"
const addressless = "another error than EINVAL for a datagram without an address"
const zones = "an interface of this name"

/** Those that Wine 8 fails besides, each with what it has not. */
export const onWine: ByFile = {
  "bytes/asyncFdEnds": {
    "bytes that were sent before the end": "the end, reported along with the bytes before it",
    "a reset fails reading": resets
  },
  detached: { "works without its object: UnixListener": unix },
  "effectSocket/connection": { "a peer that was gone before": resets },
  "effectSocket/datagramSocket": {
    "while the scope of its membership is open": "an end of a membership",
    "fails to open with a kind": "the errors of an open"
  },
  "effectSocket/poller": { "a peer that has reset": resets },
  "effectSocket/server": { "listens at a path": unix },
  "effectSocket/socket": { "after the peer has reset": resets },
  "net/addressFamilies": {
    "an IPv4 address is sent to": "sockets of IPv6 that take IPv4",
    "the local address of a connected socket": "a second bind",
    "the name of an interface": zones
  },
  "net/errorAddresses": {
    "that resets a connection": resets,
    "where it has no peer": addressless,
    "an error of a Unix socket names": unix
  },
  "net/goneConnections": {
    "that its peer has reset": resets,
    "after its reset": resets,
    "an IPv6 peer": resets,
    "an error of setsockopt(2)": unix
  },
  "net/manyDatagrams": { "a received datagram can be sent back": addressless },
  "net/udp": {
    "a connected socket sends without an address": addressless,
    "trySend sends at once": addressless,
    "a group of one source": "groups of one source",
    "each arrives once": "the speed for thousands of datagrams of Node"
  },
  "net/objects": {
    "of a Unix socket": unix,
    "says that it is closed": unix,
    "whatever became of": resets,
    "takes what the library made": unix,
    "is refused as a datagram": unix,
    "has no enumerable internals": unix
  },
  "shared/pollerMemory": { "several threads that attach at once": "its own source" },
  "foreign/kernel": { "a set of a thousand descriptors": slow },
  "net/tcp/hardships": { "may respond and close at once": slow },
  "net/tcp/interruption": { "run while connections arrive": slow },
  "testing/testPoller": { "is loaded": "its own source" },
  "net/tcp/errors": {
    "fails reads with ConnectionReset": resets,
    "before it is accepted does not stop": resets
  },
  "net/tcp/options": {
    "by default": "TCP_KEEPIDLE",
    "get the options of their listener": "TCP_KEEPIDLE",
    "connect sets the options": "TCP_KEEPIDLE",
    "setOptions changes the options": "TCP_KEEPIDLE"
  }
}

/** Whole files that do not run under Wine, by patterns. */
export const notUnderWine: Skips = {
  "{types/*,layout,errors/table,libc/structures}":
    "what the compiler, the linter and files say is the same on every system",
  "libc/realTime": "it replaces modules and timers by Vitest",
  "net/tcp/random": resets,
  "net/unix": unix,
  "shared/pollingThread": "it loads its own source, which is not there",
  "bytes/{asyncFdInterruption,interruptedWrites}": "hundreds of connections that are filled take minutes there",
  "delivery/{badInput,delivery}": "thousands of descriptors, or counts of them",
  "kernel/kqueue": "a simulation, which is the same on every system",
  "layers/{blocking,closing,idle,lookAgain,options,time}": "they count turns, or open thousands of descriptors",
  "examples/**/*": "they run from their sources, which Node for Windows reads slowly there"
}

export const skipsOf = (file: string, isWine: boolean): Skips => ({
  ...onWindows[file],
  ...(isWine ? onWine[file] : {})
})

const used = new Set<string>()

/** Returns why a test is skipped, or `undefined` if it is not. */
export const reasonOf = (skips: Skips, name: string): string | undefined => {
  const found = Object.keys(skips).filter((part) => name.includes(part))
  for (const part of found) used.add(part)
  return found.length === 0 ? undefined : skips[found[0]!]
}

/** Returns the names of a list that no test had. */
export const unusedSkips = (skips: Skips): ReadonlyArray<string> => Object.keys(skips).filter((part) => !used.has(part))
