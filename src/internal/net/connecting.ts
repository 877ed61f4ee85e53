/** Connects a stream socket, TCP or Unix: connect(2), and the wait until the connection is made. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { constants } from "node:os"
import type { PollerError } from "../../PollerError.ts"
import type { OwnedFd } from "../descriptor/ownedFd.ts"
import type { WatchedFd } from "../descriptor/watchedFd.ts"
import { textOf } from "../errors/arguments.ts"
import { fromErrno, invalidArgument, timedOut } from "../errors/pollerErrors.ts"
import { toMillis } from "../errors/timeout.ts"
import { retryInterrupted } from "../kernel/retry.ts"
import type { Libc } from "../libc/koffi.ts"
import * as Socket from "./socketCalls.ts"

const { errno } = constants

/**
 * Limits the time that connecting may take. Fails with `InvalidArgument` if the timeout is invalid.
 */
export const within = <A, R>(
  connecting: Effect.Effect<A, PollerError, R>,
  timeout: Duration.Input | undefined,
  addressText: () => string | undefined
): Effect.Effect<A, PollerError, R> => {
  if (timeout === undefined) return connecting
  const duration = toMillis(timeout)
  return duration === undefined
    ? Effect.fail(
        invalidArgument(`invalid timeout ${textOf(timeout)}: expected a duration of zero or more, such as "5 seconds"`)
      )
    : Effect.timeoutOrElse(connecting, { duration, orElse: () => Effect.fail(timedOut("connect", addressText())) })
}

/**
 * Connects the socket that `open` opens. Closes it with the scope, or at once if it cannot be
 * connected.
 */
export const connected = <S extends { readonly owned: OwnedFd; readonly watchedFd: WatchedFd }>(
  libc: Libc,
  open: Effect.Effect<S, PollerError>,
  address: Uint8Array,
  timeout?: Duration.Input
): Effect.Effect<S, PollerError, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(open, (socket) => {
      const close = Effect.sync(() => void socket.owned.closeUnsafe())
      return restore(within(connection(libc, socket.watchedFd, address), timeout, () => socket.watchedFd.address)).pipe(
        Effect.onError(() => close),
        Effect.andThen(Effect.addFinalizer(() => close)),
        Effect.as(socket)
      )
    })
  )

const connection = (libc: Libc, watchedFd: WatchedFd, address: Uint8Array): Effect.Effect<void, PollerError> =>
  Effect.suspend(() => {
    const { fd } = watchedFd
    const result = retryInterrupted(libc, () => libc.functions.connect(fd, address, address.length))
    // A connect that a signal interrupts goes on by itself: the second call finds it under way.
    if (result === -errno.EINPROGRESS || result === -errno.EALREADY) return whenConnected(libc, watchedFd)
    if (result >= 0 || result === -errno.EISCONN) return Effect.void
    return Effect.fail(fromErrno("connect", -result, watchedFd))
  })

/** Waits until the connection is made. Fails with the reason why it could not be. */
const whenConnected = (libc: Libc, watchedFd: WatchedFd): Effect.Effect<void, PollerError> => {
  watchedFd.writing.mayTry = false
  return watchedFd.attempt(watchedFd.writing, () => {
    const error = Socket.takeError(libc, "connect", watchedFd)
    return error === undefined ? Effect.void : Effect.fail(error)
  })
}
