/** The systems that the library runs on. */
import { darwin } from "./darwin.ts"
import { freebsd } from "./freebsd.ts"
import { linux } from "./linux.ts"
import { openbsd } from "./openbsd.ts"
import type { Profile } from "./profile.ts"

const profiles: ReadonlyArray<Profile> = [linux, darwin, freebsd, openbsd]

/** The profile of a system, or `undefined` where this library does not run. */
export const profileOf = (platform: NodeJS.Platform): Profile | undefined =>
  profiles.find((profile) => profile.platform === platform)
