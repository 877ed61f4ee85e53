/** The C library, typed failure included. */
import * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import { type Libc, libc } from "../libc/koffi.ts"
import { fromThrown } from "./pollerErrors.ts"

export const loadLibc: Effect.Effect<Libc, PollerError> = Effect.try({ try: libc, catch: fromThrown })
