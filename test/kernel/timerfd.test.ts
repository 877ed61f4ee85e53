/** `struct itimerspec`, on other machines than this one, too. */
import { describe, expect, it } from "@effect/vitest"
import { itimerspec } from "../../src/internal/kernel/timerfd.ts"
import type { EpollProfile } from "../../src/internal/libc/profiles/epollProfile.ts"
import { profileOf } from "../../src/internal/libc/profiles/index.ts"
import { linux } from "../../src/internal/libc/profiles/linux.ts"

describe("struct itimerspec", () => {
  it.each([
    ["x64", 8],
    ["arm64", 8],
    ["arm", 4],
    ["ia32", 4]
  ] as const)("on %s has members of %i bytes", (arch, bytes) => {
    const [seconds, nanos] = [0x7fff_ffff, 999_999_999]
    const expected = new DataView(new ArrayBuffer(4 * bytes))
    expected.setUint32(2 * bytes, seconds, true)
    expected.setUint32(3 * bytes, nanos, true)
    expect(new Uint8Array(itimerspec(profileOf("linux", arch) as EpollProfile, seconds, nanos).buffer)).toEqual(
      new Uint8Array(expected.buffer)
    )
  })

  it("has room for a time of more than 32 bits of seconds", () => {
    expect([...itimerspec(linux, 2 ** 32 + 5, 7)]).toEqual([0, 0, 0, 0, 5, 1, 7, 0])
  })
})
