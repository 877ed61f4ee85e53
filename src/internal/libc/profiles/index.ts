/** The systems on which the library runs. */
import { darwin } from "./darwin.ts"
import { freebsd } from "./freebsd.ts"
import { linux } from "./linux.ts"
import { openbsd } from "./openbsd.ts"
import type { Profile } from "./profile.ts"

const profiles: ReadonlyArray<Profile> = [linux, darwin, freebsd, openbsd]

/** Returns the profile of a system, or `undefined` if the library does not run on it. */
export const profileOf = (platform: NodeJS.Platform): Profile | undefined =>
  profiles.find((profile) => profile.platform === platform)
