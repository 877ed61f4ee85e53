/**
 * The one error of this library, with a tagged `reason` that says what went wrong.
 *
 * Match on the reason with `Effect.catchReason` and `Effect.catchReasons`. A reason that came from
 * the kernel carries the call that failed, its errno, the errno's name, and the descriptor or the
 * address. Every message is a sentence that says what to do.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import {
  addressText,
  limitText,
  notFoundText,
  permissionText,
  sentence,
  systemText
} from "./internal/errors/sentences.ts"
import { isMarked } from "./internal/objects/guards.ts"

const TypeId = "~effect-amy/PollerError"

const kernelFields = {
  /** The call that failed, with the operation where there are several: `epoll_ctl(ADD)`. */
  syscall: Schema.String,
  /** The error number. */
  errno: Schema.Int,
  /** The error's name: `EBADF`. */
  code: Schema.String,
  /** The descriptor that the call was about. */
  fd: Schema.optionalKey(Schema.Int),
  /**
   * The address that the call on a socket was about: `127.0.0.1:1`, `[::1]:80`, a path, or `@` and
   * the name of an abstract Unix address.
   */
  address: Schema.optionalKey(Schema.String)
}

/** Of reasons that the kernel gives and that this library also finds by itself. */
const eitherFields = {
  syscall: Schema.optionalKey(Schema.String),
  errno: Schema.optionalKey(Schema.Int),
  code: Schema.optionalKey(Schema.String),
  fd: Schema.optionalKey(Schema.Int),
  address: Schema.optionalKey(Schema.String)
}

/**
 * The descriptor is registered with this poller already: `reregister` it, or `deregister` it first.
 * If a socket or an `AsyncFd` watches it, use that object's functions instead.
 *
 * @category errors
 * @since 0.1.0
 */
export class AlreadyRegistered extends Schema.TaggedError<AlreadyRegistered>(
  "effect-amy/PollerError/AlreadyRegistered"
)("AlreadyRegistered", kernelFields) {
  override get message(): string {
    return sentence(
      this,
      "this descriptor is registered already (its owner reregisters or deregisters it; a socket or an AsyncFd of this library does so itself)"
    )
  }
}

/**
 * The descriptor or the id is not registered with this poller, or no longer.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotRegistered extends Schema.TaggedError<NotRegistered>("effect-amy/PollerError/NotRegistered")(
  "NotRegistered",
  {
    ...eitherFields,
    description: Schema.optionalKey(Schema.String)
  }
) {
  override get message(): string {
    return sentence(
      this,
      this.description ??
        "this descriptor is not registered (register it first; closing a descriptor also ends its registration)"
    )
  }
}

/**
 * The descriptor is of a kind that cannot be watched: a regular file, a directory, or a device
 * whose driver reports no readiness.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotPollable extends Schema.TaggedError<NotPollable>("effect-amy/PollerError/NotPollable")(
  "NotPollable",
  kernelFields
) {
  override get message(): string {
    return sentence(this, "this descriptor cannot be polled (regular files, directories and some devices never can)")
  }
}

/**
 * The number does not name an open descriptor.
 *
 * @category errors
 * @since 0.1.0
 */
export class BadDescriptor extends Schema.TaggedError<BadDescriptor>("effect-amy/PollerError/BadDescriptor")(
  "BadDescriptor",
  kernelFields
) {
  override get message(): string {
    return sentence(this, "this is not an open descriptor (it may have been closed already)")
  }
}

/**
 * A limit of the system, or of this poller's options, is reached.
 *
 * @category errors
 * @since 0.1.0
 */
export class LimitReached extends Schema.TaggedError<LimitReached>("effect-amy/PollerError/LimitReached")(
  "LimitReached",
  {
    ...eitherFields,
    description: Schema.optionalKey(Schema.String)
  }
) {
  override get message(): string {
    return sentence(this, this.description ?? limitText(this))
  }
}

/**
 * An argument is outside what it may be. Nothing was changed.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidArgument extends Schema.TaggedError<InvalidArgument>("effect-amy/PollerError/InvalidArgument")(
  "InvalidArgument",
  {
    ...eitherFields,
    description: Schema.String,
    /** What reading the argument has thrown, if it did. @since 0.2.0 */
    cause: Schema.optionalKey(Schema.Defect())
  }
) {
  override get message(): string {
    return sentence(this, this.description)
  }
}

/**
 * The message is longer than the socket can send in one piece. Nothing of it was sent.
 *
 * @category errors
 * @since 0.2.0
 */
export class MessageTooLarge extends Schema.TaggedError<MessageTooLarge>("effect-amy/PollerError/MessageTooLarge")(
  "MessageTooLarge",
  kernelFields
) {
  override get message(): string {
    return sentence(
      this,
      "this message is too long to be sent in one piece (split it: a datagram of UDP has at most 65,507 bytes)"
    )
  }
}

/**
 * This process may not do that: the kernel forbids it, or `node --permission` does.
 *
 * **Details**
 *
 * If Node forbids it, `code` is Node's own (`ERR_ACCESS_DENIED`), and the description names the
 * option that allows it.
 *
 * @category errors
 * @since 0.1.0
 */
export class PermissionDenied extends Schema.TaggedError<PermissionDenied>("effect-amy/PollerError/PermissionDenied")(
  "PermissionDenied",
  {
    ...kernelFields,
    description: Schema.optionalKey(Schema.String)
  }
) {
  override get message(): string {
    return sentence(this, this.description ?? permissionText(this))
  }
}

/**
 * Nothing exists at the path, or a part of it is not a directory. Or there is no process with the
 * id.
 *
 * @category errors
 * @since 0.2.0
 */
export class NotFound extends Schema.TaggedError<NotFound>("effect-amy/PollerError/NotFound")(
  "NotFound",
  kernelFields
) {
  override get message(): string {
    return sentence(this, notFoundText(this))
  }
}

/**
 * Another socket is bound to this address.
 *
 * @category errors
 * @since 0.1.0
 */
export class AddressInUse extends Schema.TaggedError<AddressInUse>("effect-amy/PollerError/AddressInUse")(
  "AddressInUse",
  kernelFields
) {
  override get message(): string {
    return sentence(
      this,
      "this address is in use (choose another one, or port 0 for any free port; remove a path that no process listens at)"
    )
  }
}

/**
 * This machine does not have the address.
 *
 * @category errors
 * @since 0.1.0
 */
export class AddressNotAvailable extends Schema.TaggedError<AddressNotAvailable>(
  "effect-amy/PollerError/AddressNotAvailable"
)("AddressNotAvailable", kernelFields) {
  override get message(): string {
    return sentence(this, addressText(this))
  }
}

/**
 * The socket is not connected, and the operation needs a peer.
 *
 * @category errors
 * @since 0.2.0
 */
export class NotConnected extends Schema.TaggedError<NotConnected>("effect-amy/PollerError/NotConnected")(
  "NotConnected",
  kernelFields
) {
  override get message(): string {
    return sentence(this, "this socket is not connected (connect it first, or pass the address to send to)")
  }
}

/**
 * No process listens at that address.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectionRefused extends Schema.TaggedError<ConnectionRefused>(
  "effect-amy/PollerError/ConnectionRefused"
)("ConnectionRefused", kernelFields) {
  override get message(): string {
    return sentence(this, "no process listens there (start the server first, or try again later)")
  }
}

/**
 * The peer has reset the connection.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectionReset extends Schema.TaggedError<ConnectionReset>("effect-amy/PollerError/ConnectionReset")(
  "ConnectionReset",
  kernelFields
) {
  override get message(): string {
    return sentence(this, "the peer has reset the connection (connect again)")
  }
}

/**
 * The other end reads no more, or this end has been shut down for writing.
 *
 * @category errors
 * @since 0.1.0
 */
export class BrokenPipe extends Schema.TaggedError<BrokenPipe>("effect-amy/PollerError/BrokenPipe")(
  "BrokenPipe",
  kernelFields
) {
  override get message(): string {
    return sentence(
      this,
      "nothing reads what is written (stop writing: the other end is closed, or this end was shut down)"
    )
  }
}

/**
 * The peer did not respond in time.
 *
 * @category errors
 * @since 0.1.0
 */
export class TimedOut extends Schema.TaggedError<TimedOut>("effect-amy/PollerError/TimedOut")(
  "TimedOut",
  eitherFields
) {
  override get message(): string {
    return sentence(this, "the peer did not respond in time (check that it is up, and that no firewall is in the way)")
  }
}

/**
 * No route leads to that address.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unreachable extends Schema.TaggedError<Unreachable>("effect-amy/PollerError/Unreachable")(
  "Unreachable",
  kernelFields
) {
  override get message(): string {
    return sentence(this, "no route leads to this address (check that the network is up, and the routes)")
  }
}

/**
 * The poller, the descriptor, the event or the channel is closed: its scope has ended.
 *
 * @category errors
 * @since 0.1.0
 */
export class Closed extends Schema.TaggedError<Closed>("effect-amy/PollerError/Closed")("Closed", {
  description: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return this.description ?? "the poller is closed (its layer's scope has ended)"
  }
}

/**
 * The thread that waits in the kernel has died. This poller reports nothing any more.
 *
 * @category errors
 * @since 0.1.0
 */
export class WorkerFailed extends Schema.TaggedError<WorkerFailed>("effect-amy/PollerError/WorkerFailed")(
  "WorkerFailed",
  {
    description: Schema.String,
    cause: Schema.optionalKey(Schema.Defect())
  }
) {
  override get message(): string {
    // Where it could not be started, the description may say what to do.
    return this.description.endsWith(")") ? this.description : `${this.description} (build the layer again to continue)`
  }
}

/**
 * This system has no poller, or lacks what the operation needs.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnsupportedPlatform extends Schema.TaggedError<UnsupportedPlatform>(
  "effect-amy/PollerError/UnsupportedPlatform"
)("UnsupportedPlatform", {
  platform: Schema.String,
  description: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return this.description
  }
}

/**
 * Any other error of the kernel.
 *
 * @category errors
 * @since 0.1.0
 */
export class SystemError extends Schema.TaggedError<SystemError>("effect-amy/PollerError/SystemError")(
  "SystemError",
  kernelFields
) {
  override get message(): string {
    return sentence(this, systemText(this))
  }
}

/**
 * Everything that a {@link PollerError} may be about.
 *
 * @category schemas
 * @since 0.1.0
 */
export const PollerErrorReason = Schema.Union([
  AlreadyRegistered,
  NotRegistered,
  NotPollable,
  BadDescriptor,
  LimitReached,
  InvalidArgument,
  MessageTooLarge,
  PermissionDenied,
  NotFound,
  AddressInUse,
  AddressNotAvailable,
  NotConnected,
  ConnectionRefused,
  ConnectionReset,
  BrokenPipe,
  TimedOut,
  Unreachable,
  Closed,
  WorkerFailed,
  UnsupportedPlatform,
  SystemError
])

/**
 * Everything that a {@link PollerError} may be about.
 *
 * @category models
 * @since 0.1.0
 */
export type PollerErrorReason = typeof PollerErrorReason.Type

/**
 * The error of every operation of this library.
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, Registrar } from "effect-amy"
 *
 * const program = Registrar.register(-1, "Read").pipe(
 *   Effect.asVoid,
 *   Effect.catchReason("PollerError", "BadDescriptor", (reason) =>
 *     Effect.sync(() => console.log(`fd ${reason.fd}: ${reason.code}`))
 *   ),
 *   Effect.provide(Poller.layerEventLoop())
 * )
 *
 * await Effect.runPromise(program) // => fd -1: EBADF
 * ```
 *
 * @category errors
 * @since 0.1.0
 */
export class PollerError extends Schema.TaggedError<PollerError>("effect-amy/PollerError")("PollerError", {
  reason: PollerErrorReason,
  /**
   * Of `sendMany` of a UDP socket: every datagram that was not sent, by its index, and the reason
   * why. All others were sent, once. The first of these reasons is also that of the error.
   *
   * @since 0.2.0
   */
  unsent: Schema.optionalKey(Schema.Array(Schema.Struct({ index: Schema.Int, reason: PollerErrorReason })))
}) {
  readonly [TypeId]: typeof TypeId = TypeId

  override get message(): string {
    return this.reason.message
  }
}

/**
 * Returns whether a value is a {@link PollerError}.
 *
 * @category guards
 * @since 0.1.0
 */
export const isPollerError = (u: unknown): u is PollerError => isMarked(u, TypeId)
