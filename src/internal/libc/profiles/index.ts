/** The systems on which the library runs. */
import { pointerBytesOf } from "../prototypes/pointers.ts"
import { darwin } from "./darwin.ts"
import { freebsd } from "./freebsd.ts"
import { linux, linux32 } from "./linux.ts"
import { openbsd } from "./openbsd.ts"
import type { Profile } from "./profile.ts"
import { win32 } from "./win32.ts"

const profiles: ReadonlyArray<Profile> = [linux, linux32, darwin, freebsd, openbsd, win32]

/** Returns the profile of a system, or `undefined` if the library does not run on it. */
export const profileOf = (platform: NodeJS.Platform, arch: NodeJS.Architecture = process.arch): Profile | undefined =>
  profiles.find((profile) => profile.platform === platform && profile.pointerBytes === pointerBytesOf(arch))
