/** The zone of an IPv6 address: the network interface that it is meant for, by name. */
import type { PollerError } from "../../PollerError.ts"
import { invalidArgument } from "../errors/pollerErrors.ts"
import type { Libc } from "../libc/koffi.ts"

/** Returns the index of a network interface, or 0 if there is none of this name. */
export const interfaceIndex = (libc: Libc, name: string): number =>
  name.includes("\0") ? 0 : libc.functions.if_nametoindex(Buffer.from(`${name}\0`))

/** The parts of `fe80::1%eth0` and `[fe80::1%eth0]:80`, where the zone is not a number. */
const named = /^(.*?)%(?!\d+(?:\]|$))([^\]]+)(.*)$/s

/** Replaces the name of an interface in the text of an address by its index. */
export const resolveZone = (libc: Libc, text: string): string | PollerError => {
  const match = named.exec(text)
  if (match === null) return text
  const [, before, name, after] = match
  const index = interfaceIndex(libc, name!)
  return index === 0
    ? invalidArgument(`invalid address "${text}": this machine has no network interface "${name}"`)
    : `${before}%${index}${after}`
}
