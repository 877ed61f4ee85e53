/** Finds the Unix address among the options that say where to connect to, or to listen. */
import type { UnixAddressInput } from "../../net/Unix.ts"
import type { PollerError } from "../../PollerError.ts"
import { readArgument } from "../errors/arguments.ts"

/**
 * Returns the Unix address, or undefined if the options are of TCP. Returns the error if the address
 * cannot be read.
 */
export const unixTarget = ({
  address,
  path
}: {
  readonly address?: unknown
  readonly path?: string | undefined
}): UnixAddressInput | PollerError | undefined =>
  readArgument("the address", () => path ?? (isUnixAddress(address) ? address : undefined))

const isUnixAddress = (address: unknown): address is Exclude<UnixAddressInput, string> =>
  typeof address === "object" &&
  address !== null &&
  ("path" in address ||
    "abstract" in address ||
    ("_tag" in address && typeof address._tag === "string" && address._tag.startsWith("Unix")))
