/**
 * What the library has to know about an operating system beside the prototypes of its functions:
 * constants and layouts, as data. Each system has one file, in which all of it stands.
 */
import type { AfdProfile } from "./afdProfile.ts"
import type { EpollProfile } from "./epollProfile.ts"
import type { KqueueProfile } from "./kqueueProfile.ts"

export type Profile = EpollProfile | KqueueProfile | AfdProfile
