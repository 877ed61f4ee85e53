/** What a caller asks for as the selector's bits of interest. */
import type { Event } from "../../Event.ts"
import type { PollerError } from "../../PollerError.ts"
import type { RegisterOptions } from "../../Registrar.ts"
import { readArgument } from "../errors/arguments.ts"
import { invalidArgument } from "../errors/pollerErrors.ts"
import { Interest } from "../kernel/selector.ts"

const events: { readonly [Name in Event]: number } = {
  Read: Interest.Read,
  Write: Interest.Write,
  Both: Interest.Read | Interest.Write
}

/** Why an interest is invalid, by the negative number that stands for it. */
const refusals = {
  [-1]: 'the event to watch for must be "Read", "Write" or "Both"',
  [-2]: 'the mode of a registration must be "edge" or "oneshot"',
  [-3]: "exclusive cannot be combined with oneshot or priority: the kernel has no such registration",
  [-4]: "the options priority and exclusive of a registration must be true or false"
} as const

/**
 * Returns the bits of an interest, or a negative number that `interestError` explains. Returns the
 * error if the options cannot be read.
 */
export function toInterest(event: Event, options: undefined): number
export function toInterest(event: Event, options: RegisterOptions | undefined): number | PollerError
export function toInterest(event: Event, options: RegisterOptions | undefined): number | PollerError {
  const interest = typeof event === "string" && Object.hasOwn(events, event) ? events[event] : undefined
  if (interest === undefined) return -1
  // Programs that are not type-checked may pass null.
  if (options === undefined || options === null) return interest
  return readArgument("an option of the registration", () => withOptions(interest, options))
}

const withOptions = (event: number, options: RegisterOptions): number => {
  let interest = event
  if (options.mode === "oneshot") interest |= Interest.Oneshot
  else if (options.mode !== undefined && options.mode !== "edge") return -2
  const { exclusive, priority } = options
  if (priority === true) interest |= Interest.Priority
  else if (priority !== undefined && priority !== false) return -4
  if (exclusive === true) {
    if ((interest & (Interest.Oneshot | Interest.Priority)) !== 0) return -3
    interest |= Interest.Exclusive
  } else if (exclusive !== undefined && exclusive !== false) return -4
  return interest
}

/** Returns the error for a negative result of `toInterest`. */
export const interestError = (interest: number): PollerError =>
  invalidArgument(refusals[interest as keyof typeof refusals])
