/** Socket addresses byte for byte, with and without the byte that holds their length. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { NetAddress } from "effect/net"
import type { Libc } from "../../src/internal/libc/koffi.ts"
import { linux } from "../../src/internal/libc/profiles/linux.ts"
import type { SocketProfile } from "../../src/internal/libc/profiles/socketProfile.ts"
import { toUnixName } from "../../src/internal/net/addresses.ts"
import * as Sockaddr from "../../src/internal/net/sockaddr.ts"
import { reasonOf } from "../support/outcome.ts"

/** The profiles differ in the first two bytes, in the number of a family, and in Unix addresses. */
const withLength: SocketProfile = {
  ...linux.socket,
  AF_INET6: 30,
  hasLengthByte: true,
  hasAbstractNames: false,
  pathCapacity: 104
}

const profiles = { "the Linux profile": linux.socket, "a profile with a length byte": withLength }

const begin = (profile: SocketProfile, family: number, size: number) =>
  profile.hasLengthByte ? [size, family] : [family, 0]

const inet = (input: NetAddress.InetAddressInput) => NetAddress.inetAddressFromInputUnsafe(input)

const text = (value: string) => [...new TextEncoder().encode(value)]

/** Copies bytes as the kernel returns them: into another buffer, at an offset. */
const asAnswer = (bytes: Uint8Array): Uint8Array => {
  const memory = new Uint8Array(bytes.length + 3).fill(0xff)
  memory.set(bytes, 3)
  return memory.subarray(3)
}

const encodeUnix = (profile: SocketProfile, name: Sockaddr.UnixName) => {
  const bytes = Sockaddr.encodeUnix(profile, name)
  if (typeof bytes === "string") throw new Error(bytes)
  return bytes
}

for (const [name, profile] of Object.entries(profiles)) {
  describe(`IP addresses (${name})`, () => {
    it("IPv4: family, port and address, padded to 16 bytes", () => {
      const bytes = Sockaddr.encodeInet(profile, inet("192.0.2.7:8080"))
      expect([...bytes]).toEqual([
        ...begin(profile, profile.AF_INET, 16),
        0x1f,
        0x90,
        192,
        0,
        2,
        7,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0
      ])
    })

    it("IPv6: family, port, no flow, address, scope", () => {
      const address = { address: "fe80::1:ff02", port: 258, scopeId: 0x0102_0304 }
      const bytes = Sockaddr.encodeInet(profile, inet(address))
      expect([...bytes]).toEqual([
        ...begin(profile, profile.AF_INET6, 28),
        1,
        2,
        0,
        0,
        0,
        0,
        0xfe,
        0x80,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        1,
        0xff,
        2,
        // In the byte order of this machine.
        4,
        3,
        2,
        1
      ])
    })

    it("decoding reverses encoding, also at an offset in memory", () => {
      for (const input of [
        "0.0.0.0:0",
        "255.255.255.255:65535",
        "127.0.0.1:1",
        "[::]:0",
        "[::1]:443",
        "[2001:db8::7]:65535",
        "[::ffff:192.0.2.1]:80",
        { address: "fe80::1", port: 1, scopeId: 0xffff_ffff }
      ]) {
        const address = inet(input)
        const bytes = Sockaddr.encodeInet(profile, address)
        expect(Sockaddr.decodeInet(profile, asAnswer(bytes))).toEqual(address)
      }
    })

    it("an address of another family decodes to undefined", () => {
      expect(Sockaddr.decodeInet(profile, Uint8Array.from(begin(profile, profile.AF_UNIX, 2)))).toBeUndefined()
      expect(Sockaddr.decodeInet(profile, new Uint8Array([...begin(profile, 99, 16), 0, 0]))).toBeUndefined()
    })
  })

  describe(`Unix addresses (${name})`, () => {
    it("a path ends with its zero byte", () => {
      const bytes = encodeUnix(profile, { _tag: "Path", path: "/tmp/ü" })
      expect([...bytes]).toEqual([...begin(profile, profile.AF_UNIX, 10), ...text("/tmp/ü"), 0])
    })

    it("an address without a name has only its family", () => {
      const bytes = encodeUnix(profile, { _tag: "Unnamed" })
      expect([...bytes]).toEqual(begin(profile, profile.AF_UNIX, 2))
      expect(Sockaddr.decodeUnix(profile, bytes)).toEqual({ _tag: "Unnamed" })
    })

    it("decoding reverses encoding, also at an offset in memory", () => {
      const longest = "x".repeat(profile.pathCapacity - 1)
      for (const path of ["a", "/run/user/0/socket", "relative/ü €", longest]) {
        expect(Sockaddr.decodeUnix(profile, asAnswer(encodeUnix(profile, { _tag: "Path", path })))).toEqual({
          _tag: "Path",
          path
        })
      }
    })

    it("a path is decoded without its zero byte, and with several", () => {
      const head = begin(profile, profile.AF_UNIX, 7)
      const path = { _tag: "Path", path: "/a/bc" }
      expect(Sockaddr.decodeUnix(profile, Uint8Array.from([...head, ...text("/a/bc")]))).toEqual(path)
      expect(Sockaddr.decodeUnix(profile, Uint8Array.from([...head, ...text("/a/bc"), 0, 0, 0]))).toEqual(path)
    })

    it("the longest path fits, and one byte more does not: the error says both lengths", () => {
      const most = profile.pathCapacity - 1
      expect(encodeUnix(profile, { _tag: "Path", path: "x".repeat(most) })).toHaveLength(2 + profile.pathCapacity)
      const tooLong = Sockaddr.encodeUnix(profile, { _tag: "Path", path: `${"x".repeat(most - 1)}ü` })
      expect(tooLong).toContain(`${most + 1} bytes`)
      expect(tooLong).toContain(`at most ${most}`)
      expect(Sockaddr.encodeUnix(profile, { _tag: "Abstract", name: "x".repeat(most + 1) })).toBeTypeOf("string")
    })

    it("an address of another family decodes to undefined", () => {
      const bytes = Sockaddr.encodeInet(profile, inet("127.0.0.1:80"))
      expect(Sockaddr.decodeUnix(profile, bytes)).toBeUndefined()
    })

    it("no bytes at all decode to no name", () => {
      expect(Sockaddr.decodeUnix(profile, new Uint8Array(0))).toEqual({ _tag: "Unnamed" })
    })
  })
}

const unixAddress = (name: ReadonlyArray<number>) => Uint8Array.from([1, 0, ...name])

describe("a Unix address that its text does not stand for", () => {
  it("is encoded by the bytes that were decoded", () => {
    const names = [
      [0x2f, 0xff, 0x80],
      // What TextDecoder drops at the beginning.
      [0, 0xef, 0xbb, 0xbf, 0x61],
      [0, 0xc3, 0x28],
      Array.from({ length: 108 }, () => 0x61)
    ]
    for (const name of names) {
      const decoded = Sockaddr.decodeUnix(linux.socket, asAnswer(unixAddress(name)))!
      const [first, ...rest] = [...encodeUnix(linux.socket, decoded)].slice(2)
      expect([first, ...rest.slice(0, name.length - 1)]).toEqual(name)
    }
  })

  it("keeps its bytes when the memory of the answer is reused", () => {
    const answer = unixAddress([0, 0xff])
    const decoded = Sockaddr.decodeUnix(linux.socket, answer)!
    answer.fill(0x61)
    expect([...encodeUnix(linux.socket, decoded)]).toEqual([1, 0, 0, 0xff])
  })
})

describe("an abstract name of a caller, on a system that has none", () => {
  it("is refused in every form", () => {
    const libc = { profile: { socket: withLength } } as unknown as Libc
    const inputs = [
      { abstract: "name" },
      "\0name",
      { path: "\0name" },
      { _tag: "UnixAbstractAddress", name: "name" } as const
    ]
    for (const input of inputs) {
      expect(Effect.runSync(reasonOf(toUnixName(libc, input)))).toBe("UnsupportedPlatform")
    }
    expect(Effect.runSync(toUnixName(libc, "/path"))).toMatchObject({ _tag: "Path", path: "/path" })
  })
})

describe("abstract names", () => {
  it("may be empty, which is not the same as none", () => {
    const bytes = Sockaddr.encodeUnix(linux.socket, { _tag: "Abstract", name: "" })
    expect([...(bytes as Uint8Array)]).toEqual([1, 0, 0])
    expect(Sockaddr.decodeUnix(linux.socket, bytes as Uint8Array)).toEqual({ _tag: "Abstract", name: "" })
  })

  it("begin with a zero byte, and may contain others", () => {
    const bytes = Sockaddr.encodeUnix(linux.socket, { _tag: "Abstract", name: "a\0b" })
    expect([...(bytes as Uint8Array)]).toEqual([1, 0, 0, ...text("a"), 0, ...text("b")])
    expect(Sockaddr.decodeUnix(linux.socket, bytes as Uint8Array)).toEqual({ _tag: "Abstract", name: "a\0b" })
  })

  it("the longest fills the address", () => {
    const name = "n".repeat(107)
    const bytes = Sockaddr.encodeUnix(linux.socket, { _tag: "Abstract", name }) as Uint8Array
    expect(bytes).toHaveLength(110)
    expect(Sockaddr.decodeUnix(linux.socket, bytes)).toEqual({ _tag: "Abstract", name })
  })

  it("on a system without them, zero bytes are no name", () => {
    const bytes = Uint8Array.from([16, 1, 0, 0, 0, 0])
    expect(Sockaddr.decodeUnix(withLength, bytes)).toEqual({ _tag: "Unnamed" })
  })
})
