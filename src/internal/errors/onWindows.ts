/** What Windows has not: there, a descriptor is a socket. */
import * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import type { Libc } from "../libc/koffi.ts"
import { unsupported } from "./pollerErrors.ts"

/** Fails with `UnsupportedPlatform` on Windows. */
export const exceptOnWindows = (libc: Libc, description: string): Effect.Effect<void, PollerError> =>
  libc.profile.selector === "afd" ? Effect.fail(unsupported(description)) : Effect.void
