/** Gives a socket an owner: opens one, or takes over one that is open. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { PollerError } from "../../PollerError.ts"
import type { Registrar } from "../../Registrar.ts"
import { type OwnedFd, scoped } from "../descriptor/ownedFd.ts"
import type { Libc } from "../libc/koffi.ts"
import { check, type Found, type Kind } from "./foreignSocket.ts"
import { type Network, network } from "./network.ts"
import * as Socket from "./socketCalls.ts"

/** Opens a socket, and closes it again if `use` fails or is interrupted. */
export const open = <A>(
  libc: Libc,
  domain: number,
  type: number,
  use: (fd: number) => Effect.Effect<A, PollerError>
): Effect.Effect<A, PollerError> =>
  Effect.flatMap(Socket.open(libc, domain, type), (fd) => Socket.closeOnFailure(libc, fd, use(fd)))

/**
 * Takes over an open socket until the scope closes. A descriptor of another kind stays its owner's.
 */
export const adopt = <A extends { readonly owned: OwnedFd }>(
  fd: number,
  kind: Kind,
  make: (net: Network, fd: number, found: Found) => A
): Effect.Effect<A, PollerError, Registrar | Scope.Scope> =>
  Effect.flatMap(network, (net) => scoped(Effect.map(check(net.libc, fd, kind), (found) => make(net, fd, found))))
