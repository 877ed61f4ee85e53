/** Loads the C library as an effect, which fails with a `PollerError` where there is none. */
import * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import { type Libc, libc } from "../libc/koffi.ts"
import { fromThrown } from "./pollerErrors.ts"

export const loadLibc: Effect.Effect<Libc, PollerError> = Effect.try({ try: libc, catch: fromThrown })
