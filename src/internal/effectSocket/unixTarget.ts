/** Finds the Unix address among the options that say where to connect to, or to listen. */
import type { UnixAddressInput } from "../../net/Unix.ts"

/** Returns the Unix address, or undefined if the options are of TCP. */
export const unixTarget = ({
  address,
  path
}: {
  readonly address?: unknown
  readonly path?: string | undefined
}): UnixAddressInput | undefined => path ?? (isUnixAddress(address) ? address : undefined)

const isUnixAddress = (address: unknown): address is Exclude<UnixAddressInput, string> =>
  typeof address === "object" &&
  address !== null &&
  ("path" in address || "abstract" in address || ("_tag" in address && String(address._tag).startsWith("Unix")))
