/**
 * Unix stream sockets over the C library: listeners, connections, pairs, and descriptors as
 * messages.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { Fd } from "../../Fd.ts"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import type { FdLike, Registrar } from "../../Registrar.ts"
import type {
  ConnectOptions,
  ListenOptions,
  Received,
  SetOptions,
  UnixAddress,
  UnixAddressInput,
  UnixListener,
  UnixStream
} from "../../net/Unix.ts"
import { type Names, readOptions } from "../errors/options.ts"
import { exceptOnWindows } from "../errors/onWindows.ts"
import { badDescriptor, invalidArgument, limitReached, unsupported } from "../errors/pollerErrors.ts"
import { acquireWhenReady } from "../descriptor/acquireWhenReady.ts"
import { FdImpl } from "../descriptor/fd.ts"
import { scoped } from "../descriptor/ownedFd.ts"
import type { Libc } from "../libc/koffi.ts"
import { toFd } from "../delivery/registrar.ts"
import { isOf } from "../objects/guards.ts"
import { detachMethods } from "../objects/publicObject.ts"
import { unlessBlocked } from "../descriptor/systemCall.ts"
import { changedError, isDescriptor, rangeError, readArgument, restOf, textOf } from "../errors/arguments.ts"
import { setCloseOnExec } from "../kernel/descriptorFlags.ts"
import { retryInterrupted } from "../kernel/retry.ts"
import { encodeUnixName, placeOf, toUnixAddress, toUnixName, unix } from "./addresses.ts"
import { removal } from "./boundPath.ts"
import { connected, within } from "./connecting.ts"
import { Message } from "./descriptorMessage.ts"
import { unixStream } from "./foreignSocket.ts"
import { Listener, toBacklog } from "./listener.ts"
import { type Network, network } from "./network.ts"
import { adopt, open } from "./opening.ts"
import * as Socket from "./socketCalls.ts"
import { bufferSizes, checkBufferSizes, setBufferSizes } from "./socketOptions.ts"
import { StreamSocket } from "./streamSocket.ts"

/** Maximum descriptors of a message that every system accepts. */
const mostDescriptors = 253
/**
 * Bytes for other control messages, such as the sender's credentials, which a program can ask the
 * kernel for.
 */
const roomForOthers = 64

/** Returns the numbers of descriptors, or the error if they cannot be read. */
const numbersOf = (fds: ReadonlyArray<FdLike>): ReadonlyArray<number> | PollerError => {
  const numbers = readArgument("the descriptors", () => (Array.isArray(fds) ? Array.from(fds, toFd) : []))
  return isPollerError(numbers) ? numbers : (numbers.find(isPollerError) ?? (numbers as ReadonlyArray<number>))
}

const descriptorsError = (fds: ReadonlyArray<FdLike>): PollerError | undefined => {
  const numbers = numbersOf(fds)
  if (isPollerError(numbers)) return numbers
  return numbers.length > 0 && numbers.length <= mostDescriptors && numbers.every(isDescriptor)
    ? undefined
    : invalidArgument(`invalid descriptors: expected 1 to ${mostDescriptors} of them`)
}

/** Returns the descriptor that is not open. */
const closedOf = (libc: Libc, fds: ReadonlyArray<number>): number | undefined =>
  fds.find((fd) => retryInterrupted(libc, () => libc.functions.fcntl(fd, libc.profile.fcntl.F_GETFL, "int", 0)) < 0)

const noDescriptors = () => Effect.fail(unsupported("the sockets of Windows carry no descriptors: send bytes alone"))

export const StreamTypeId = "~effect-amy/UnixStream"

class UnixStreamImpl extends StreamSocket<UnixAddress> implements UnixStream {
  static {
    detachMethods(this)
  }

  constructor(net: Network, fd: number, peer: UnixAddress | Socket.PackedAddress) {
    super(net, fd, unix, peer)
  }

  get family(): typeof unix {
    return unix
  }

  get [StreamTypeId](): typeof StreamTypeId {
    return StreamTypeId
  }

  get kind(): string {
    return "UnixStream"
  }

  setOptions(options: SetOptions): Effect.Effect<void, PollerError> {
    return this.owned.use(() => {
      const sizes = readOptions("Unix.setOptions", options, bufferSizes)
      if (isPollerError(sizes)) return Effect.fail(sizes)
      return Effect.andThen(checkBufferSizes(sizes), setBufferSizes(this.libc, this.watchedFd, sizes))
    })
  }

  sendDescriptors(fds: ReadonlyArray<FdLike>, bytes: Uint8Array): Effect.Effect<void, PollerError> {
    return Effect.suspend(() => {
      const invalid = descriptorsError(fds) ?? rangeError(bytes, 0, restOf(bytes, 0), 1)
      if (invalid !== undefined) return Effect.fail(invalid)
      const { libc } = this
      if (libc.profile.selector === "afd") return noDescriptors()
      const { MSG_DONTWAIT, MSG_NOSIGNAL } = libc.profile.socket
      const { fd } = this.watchedFd
      const { length } = bytes
      // The descriptors go with the first byte. Bytes that did not fit follow in the same turn.
      let sent = -1
      return this.watchedFd.attemptInOnePiece(this.watchedFd.writing, () => {
        if (bytes.length < length) return Effect.fail(changedError())
        if (sent === -1) {
          // As they are now: the number of a descriptor that was closed meanwhile may have been
          // reused.
          const numbers = numbersOf(fds)
          if (isPollerError(numbers)) return Effect.fail(numbers)
          if (numbers.includes(-1)) return Effect.fail(badDescriptor("sendmsg", -1))
          const message = new Message(libc, bytes, length, numbers.length)
          message.setDescriptors(numbers)
          const result = retryInterrupted(libc, () =>
            libc.functions.sendmsg(fd, message.header, MSG_DONTWAIT | MSG_NOSIGNAL)
          )
          void message.held
          if (result === -libc.profile.errno.EBADF)
            return Effect.fail(badDescriptor("sendmsg", closedOf(libc, numbers) ?? fd))
          if (result < 0)
            return unlessBlocked(libc, "sendmsg", this.watchedFd, result) as
              Effect.Effect<never, PollerError> | undefined
          sent = result
        }
        while (sent < length) {
          const rest = bytes.subarray(sent, length)
          const result = retryInterrupted(libc, () =>
            libc.functions.send(fd, rest, rest.length, MSG_DONTWAIT | MSG_NOSIGNAL)
          )
          if (result < 0)
            return unlessBlocked(libc, "send", this.watchedFd, result) as Effect.Effect<never, PollerError> | undefined
          sent += result
        }
        return Effect.void
      })
    })
  }

  receiveDescriptors(buffer: Uint8Array, most: number): Effect.Effect<Received, PollerError, Scope.Scope> {
    const invalid =
      rangeError(buffer, 0, restOf(buffer, 0), 1) ??
      (Number.isInteger(most) && most >= 1 && most <= mostDescriptors
        ? undefined
        : invalidArgument(
            `invalid number of descriptors ${textOf(most)}: expected an integer from 1 to ${mostDescriptors}`
          ))
    if (invalid !== undefined) return Effect.fail(invalid)
    const { libc } = this
    if (libc.profile.selector === "afd") return noDescriptors()
    const { MSG_CMSG_CLOEXEC, MSG_DONTWAIT } = libc.profile.socket
    const room = buffer.length
    const take = (): Effect.Effect<Received, PollerError> | undefined => {
      if (buffer.length < room) return Effect.fail(changedError())
      const message = new Message(libc, buffer, room, most, roomForOthers)
      const { fd } = this.watchedFd
      const length = retryInterrupted(libc, () =>
        libc.functions.recvmsg(fd, message.header, MSG_DONTWAIT | (MSG_CMSG_CLOEXEC ?? 0))
      )
      void message.held
      if (length < 0)
        return unlessBlocked(libc, "recvmsg", this.watchedFd, length) as Effect.Effect<never, PollerError> | undefined
      const numbers = message.descriptors
      if (MSG_CMSG_CLOEXEC === undefined) setCloseOnExec(libc, numbers)
      const descriptors: ReadonlyArray<Fd> = numbers.map((number) => new FdImpl(libc, number))
      // The room for other control messages may hold a few descriptors more than the caller
      // accepts.
      if (!message.isTruncated && numbers.length <= most) return Effect.succeed({ length, descriptors })
      for (const number of numbers) libc.functions.close(number)
      return Effect.fail(
        limitReached(
          `more than ${most} descriptors arrived, or this process has no room for them (all of them were closed)`
        )
      )
    }
    // Only the waiting can be interrupted, because what was received has to get into the scope.
    return Effect.uninterruptibleMask((restore) =>
      Effect.tap(acquireWhenReady(this.watchedFd, restore, take), ({ descriptors }) =>
        Effect.addFinalizer(() =>
          Effect.sync(() => {
            for (const descriptor of descriptors) (descriptor as FdImpl).owned.closeUnsafe()
          })
        )
      )
    )
  }
}

export const isUnixStream = (u: unknown): u is UnixStream => isOf(UnixStreamImpl, u)

export const ListenerTypeId = "~effect-amy/UnixListener"

class UnixListenerImpl extends Listener<UnixStreamImpl, UnixAddress> implements UnixListener {
  constructor(net: Network, fd: number, address: UnixAddress, onClose: () => void) {
    super(net, fd, {
      family: unix,
      address,
      wrap: (accepted, peer) => new UnixStreamImpl(net, accepted, peer),
      onClose
    })
  }

  get [ListenerTypeId](): typeof ListenerTypeId {
    return ListenerTypeId
  }

  get kind(): string {
    return "UnixListener"
  }
}

export const isUnixListener = (u: unknown): u is UnixListener => isOf(UnixListenerImpl, u)

const listenOptions: Names<ListenOptions> = { ...bufferSizes, backlog: true }

export const listen = (
  input: UnixAddressInput,
  given: ListenOptions | undefined
): Effect.Effect<UnixListener, PollerError, Registrar | Scope.Scope> =>
  Effect.gen(function* () {
    const net = yield* network
    const { libc } = net
    const options = readOptions("Unix.listen", given, listenOptions)
    if (isPollerError(options)) return yield* Effect.fail(options)
    const name = yield* toUnixName(libc, input)
    const address = yield* encodeUnixName(libc, name)
    const backlog = yield* toBacklog(options.backlog)
    yield* checkBufferSizes(options)
    const { AF_UNIX, SOCK_STREAM } = libc.profile.socket
    const opening = open(libc, AF_UNIX, SOCK_STREAM, (fd) =>
      Effect.gen(function* () {
        const place = placeOf(fd, () => unix.format(toUnixAddress(name)))
        yield* setBufferSizes(libc, place, options)
        yield* Socket.bind(libc, place, address)
        const remove = name._tag === "Path" ? removal(libc, name.bytes ?? name.path) : () => {}
        yield* Effect.onError(Socket.listen(libc, place, backlog), () => Effect.sync(remove))
        return new UnixListenerImpl(net, fd, toUnixAddress(name), remove)
      })
    )
    return yield* scoped(opening)
  })

const connectOptions: Names<ConnectOptions> = { ...bufferSizes, timeout: true }

export const connect = (
  input: UnixAddressInput,
  given: ConnectOptions | undefined
): Effect.Effect<UnixStream, PollerError, Registrar | Scope.Scope> =>
  Effect.gen(function* () {
    const net = yield* network
    const { libc } = net
    const options = readOptions("Unix.connect", given, connectOptions)
    if (isPollerError(options)) return yield* Effect.fail(options)
    const name = yield* toUnixName(libc, input)
    const address = yield* encodeUnixName(libc, name)
    const peer = toUnixAddress(name)
    yield* checkBufferSizes(options)
    const { AF_UNIX, SOCK_STREAM } = libc.profile.socket
    const opening = open(libc, AF_UNIX, SOCK_STREAM, (fd) =>
      Effect.suspend(() => {
        const socket = new UnixStreamImpl(net, fd, peer)
        return Effect.as(setBufferSizes(libc, socket.watchedFd, options), socket)
      })
    )
    // With a full backlog, Linux fails at once, and does not report when there is room again.
    const connecting = Effect.retry(connected(libc, opening, address), { while: isFull, schedule: untilRoom })
    return yield* within(connecting, options.timeout, () => unix.format(peer))
  })

const isFull = ({ reason }: PollerError): boolean =>
  reason._tag === "LimitReached" && reason.syscall === "connect" && reason.code === "EAGAIN"

const untilRoom = Schedule.min([Schedule.exponential("1 millis"), Schedule.spaced("100 millis")])

const ofPair: UnixAddress = { _tag: "UnixUnnamedAddress" }

export const socketPair: Effect.Effect<readonly [UnixStream, UnixStream], PollerError, Registrar | Scope.Scope> =
  Effect.flatMap(network, (net) => {
    const { AF_UNIX, SOCK_STREAM } = net.libc.profile.socket
    return Effect.acquireRelease(
      Effect.map(
        Effect.andThen(
          exceptOnWindows(net.libc, "Windows has no pairs of sockets: connect two, by Tcp or by a path"),
          Socket.openPair(net.libc, AF_UNIX, SOCK_STREAM)
        ),
        ([one, other]) => [new UnixStreamImpl(net, one, ofPair), new UnixStreamImpl(net, other, ofPair)] as const
      ),
      (pair) =>
        Effect.sync(() => {
          for (const { owned } of pair) owned.closeUnsafe()
        })
    )
  })

export const fromFd = (fd: number): Effect.Effect<UnixStream, PollerError, Registrar | Scope.Scope> =>
  adopt(fd, unixStream, (net, fd, found) => new UnixStreamImpl(net, fd, found.peer).brokenBy(found.brokenBy))
