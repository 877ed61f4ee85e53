/** Gives a socket an owner: opens one, or takes over one that is open. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { PollerError } from "../../PollerError.ts"
import type { Registrar } from "../../Registrar.ts"
import { type OwnedFd, scoped } from "../descriptor/ownedFd.ts"
import type { Libc } from "../libc/koffi.ts"
import type { Family } from "./addresses.ts"
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
 * Takes over an open socket until the scope closes. `make` is called with the address that the
 * socket is bound to.
 *
 * A descriptor of another kind stays its owner's.
 */
export const adopt = <Address, A extends { readonly owned: OwnedFd }>(
  fd: number,
  type: "SOCK_STREAM" | "SOCK_DGRAM",
  family: Family<Address>,
  what: string,
  make: (net: Network, fd: number, bound: Address) => A
): Effect.Effect<A, PollerError, Registrar | Scope.Scope> =>
  Effect.flatMap(network, (net) => {
    const { libc } = net
    const check = Socket.check(libc, fd, libc.profile.socket[type], family, what)
    return scoped(Effect.map(check, (bound) => make(net, fd, family.decode(libc, bound))))
  })
