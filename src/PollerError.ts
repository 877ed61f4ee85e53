/**
 * The one error of this library, with a tagged `reason` that says what went wrong.
 *
 * Match on the reason with `Effect.catchReason` and `Effect.catchReasons`. A reason that came from the kernel carries the
 * call that failed, its errno, the errno's name and the descriptor; every message is a sentence that says what to do.
 *
 * @since 0.1.0
 */
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"

const TypeId = "~effect-amy/PollerError"

const kernelFields = {
  /** The call that failed, with the operation where there are several: `epoll_ctl(ADD)`. */
  syscall: Schema.String,
  /** The error number. */
  errno: Schema.Int,
  /** The error's name: `EBADF`. */
  code: Schema.String,
  /** The descriptor that the call was about. */
  fd: Schema.optionalKey(Schema.Int)
}

/** Of reasons that the kernel gives and that this library also finds by itself. */
const eitherFields = {
  syscall: Schema.optionalKey(Schema.String),
  errno: Schema.optionalKey(Schema.Int),
  code: Schema.optionalKey(Schema.String),
  fd: Schema.optionalKey(Schema.Int)
}

interface Where {
  readonly syscall?: string
  readonly code?: string
  readonly fd?: number
}

const sentence = (where: Where, text: string): string => {
  const subject = `${where.syscall ?? ""}${where.fd === undefined ? "" : ` on fd ${where.fd}`}`.trim()
  const known = [subject, where.code].filter((part) => part !== undefined && part !== "").join(": ")
  if (known === "") return text
  return `${known}${where.code === undefined ? ":" : ","} ${text}`
}

/**
 * The descriptor is registered with this poller already: use `reregister`, or `deregister` it first.
 *
 * @category errors
 * @since 0.1.0
 */
export class AlreadyRegistered extends Schema.TaggedError<AlreadyRegistered>()("AlreadyRegistered", kernelFields) {
  override get message(): string {
    return sentence(
      this,
      "this descriptor is registered already (reregister it to change what is watched, or deregister it first)"
    )
  }
}

/**
 * The descriptor or the id is not registered with this poller, or no longer.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotRegistered extends Schema.TaggedError<NotRegistered>()("NotRegistered", {
  ...eitherFields,
  description: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return sentence(
      this,
      this.description ??
        "this descriptor is not registered (register it first; closing a descriptor also ends its registration)"
    )
  }
}

/**
 * The descriptor is of a kind that is always ready and cannot be watched.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotPollable extends Schema.TaggedError<NotPollable>()("NotPollable", kernelFields) {
  override get message(): string {
    return sentence(this, "this descriptor cannot be polled (regular files and directories never can)")
  }
}

/**
 * The number does not name an open descriptor.
 *
 * @category errors
 * @since 0.1.0
 */
export class BadDescriptor extends Schema.TaggedError<BadDescriptor>()("BadDescriptor", kernelFields) {
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
export class LimitReached extends Schema.TaggedError<LimitReached>()("LimitReached", {
  ...eitherFields,
  description: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return sentence(this, this.description ?? limitHint(this.code))
  }
}

const limitHint = (code: string | undefined): string => {
  switch (code) {
    case "EMFILE":
      return "this process may open no more descriptors (raise `ulimit -n`, or close some)"
    case "ENFILE":
      return "the system may open no more descriptors (raise fs.file-max, or close some)"
    case "ENOSPC":
      return "this user may watch no more descriptors (raise fs.epoll.max_user_watches, or deregister some)"
    case undefined:
      return "a limit is reached"
    default:
      return "the kernel has no memory for it"
  }
}

/**
 * An argument is outside what it may be. Nothing was changed.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidArgument extends Schema.TaggedError<InvalidArgument>()("InvalidArgument", {
  ...eitherFields,
  description: Schema.String
}) {
  override get message(): string {
    return sentence(this, this.description)
  }
}

/**
 * This process may not do that.
 *
 * @category errors
 * @since 0.1.0
 */
export class PermissionDenied extends Schema.TaggedError<PermissionDenied>()("PermissionDenied", kernelFields) {
  override get message(): string {
    return sentence(this, "this process is not permitted to do that")
  }
}

/**
 * Someone else has bound this address.
 *
 * @category errors
 * @since 0.1.0
 */
export class AddressInUse extends Schema.TaggedError<AddressInUse>()("AddressInUse", kernelFields) {
  override get message(): string {
    return sentence(
      this,
      "this address is in use (choose another port or path, 0 for any free port; or end whoever has it)"
    )
  }
}

/**
 * This machine does not have the address, or nobody has made the Unix path.
 *
 * @category errors
 * @since 0.1.0
 */
export class AddressNotAvailable extends Schema.TaggedError<AddressNotAvailable>()(
  "AddressNotAvailable",
  kernelFields
) {
  override get message(): string {
    return sentence(
      this,
      "there is no such address here (bind to one that this machine has; a path exists only once somebody listens at it)"
    )
  }
}

/**
 * Nobody listens at that address.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectionRefused extends Schema.TaggedError<ConnectionRefused>()("ConnectionRefused", kernelFields) {
  override get message(): string {
    return sentence(this, "nobody listens there (start the server first, or try again later)")
  }
}

/**
 * The peer has broken the connection off.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectionReset extends Schema.TaggedError<ConnectionReset>()("ConnectionReset", kernelFields) {
  override get message(): string {
    return sentence(this, "the peer has broken the connection off (connect again)")
  }
}

/**
 * The other end reads no more, or this end has been shut down for writing.
 *
 * @category errors
 * @since 0.1.0
 */
export class BrokenPipe extends Schema.TaggedError<BrokenPipe>()("BrokenPipe", kernelFields) {
  override get message(): string {
    return sentence(
      this,
      "there is nobody to read what is written (the other end has closed, or this end was shut down)"
    )
  }
}

/**
 * The peer did not answer in time.
 *
 * @category errors
 * @since 0.1.0
 */
export class TimedOut extends Schema.TaggedError<TimedOut>()("TimedOut", eitherFields) {
  override get message(): string {
    return sentence(this, "the peer did not answer in time (is it there, and does a firewall let this through?)")
  }
}

/**
 * There is no way to that address.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unreachable extends Schema.TaggedError<Unreachable>()("Unreachable", kernelFields) {
  override get message(): string {
    return sentence(this, "there is no way to that address (is the network up?)")
  }
}

/**
 * The poller is closed, or the descriptor, event or channel: its scope has ended.
 *
 * @category errors
 * @since 0.1.0
 */
export class Closed extends Schema.TaggedError<Closed>()("Closed", {
  description: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return this.description ?? "the poller is closed (its layer's scope has ended)"
  }
}

/**
 * The thread that waited in the kernel has died; this poller reports nothing any more.
 *
 * @category errors
 * @since 0.1.0
 */
export class WorkerFailed extends Schema.TaggedError<WorkerFailed>()("WorkerFailed", {
  description: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `${this.description} (build the layer anew to go on)`
  }
}

/**
 * There is no poller for this system.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnsupportedPlatform extends Schema.TaggedError<UnsupportedPlatform>()("UnsupportedPlatform", {
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
export class SystemError extends Schema.TaggedError<SystemError>()("SystemError", kernelFields) {
  override get message(): string {
    return sentence(this, "the system refused this call (see its manual page for the error's name)")
  }
}

/**
 * Everything that a `PollerError` may be about.
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
  PermissionDenied,
  AddressInUse,
  AddressNotAvailable,
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
 * Everything that a `PollerError` may be about.
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
export class PollerError extends Schema.TaggedError<PollerError>()("PollerError", { reason: PollerErrorReason }) {
  readonly [TypeId]: typeof TypeId = TypeId

  override get message(): string {
    return this.reason.message
  }
}

/**
 * Whether a value is a `PollerError`.
 *
 * @category guards
 * @since 0.1.0
 */
export const isPollerError = (u: unknown): u is PollerError => Predicate.hasProperty(u, TypeId)
