/** The structures of Linux byte for byte, on machines of 64 and of 32 bits. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { epollEventLayout } from "../../src/internal/kernel/epollEvent.ts"
import { makeIovec, setIovec } from "../../src/internal/kernel/iovec.ts"
import { itimerspec } from "../../src/internal/kernel/timerfd.ts"
import type { Libc } from "../../src/internal/libc/koffi.ts"
import { makePointers, pointerBytesOf, setPointer } from "../../src/internal/libc/prototypes/pointers.ts"
import { linux, linux32 } from "../../src/internal/libc/profiles/linux.ts"
import { pidfdInfoLayout, siginfoLayout } from "../../src/internal/libc/prototypes/system/pidfd.ts"
import { layoutOf } from "../../src/internal/net/messageVector.ts"
import * as Multicast from "../../src/internal/net/multicast.ts"
import { capacity, encodeInet, encodeUnix } from "../../src/internal/net/sockaddr.ts"
import { NetAddress } from "effect/net"
import { inotifyEvent } from "../../src/internal/system/inotifyQueue.ts"
import type { Layout } from "../../src/internal/system/layout.ts"
import * as netlink from "../../src/internal/system/netlinkLayouts.ts"
import * as terminal from "../../src/internal/system/terminalCalls.ts"
import { epollEvent, everywhere, type Figures, of32Bits, of64Bits } from "../support/linuxStructures.ts"

/** Returns the member that ends last, as the bytes up to there. */
const endOf = (layout: Layout): number =>
  Math.max(...Object.values(layout).map(([at, type]) => at + Number(type.slice(1)) / 8))

/** Checks a table of members against the figures of the C compiler. */
const expectLayout = (layout: Layout, size: number, figures: Figures[string]) => {
  const { size: expected, ...members } = figures
  for (const [name, [at]] of Object.entries(layout)) expect([name, at]).toEqual([name, members[name] ?? 0])
  expect(size).toBe(expected)
  expect(endOf(layout)).toBeLessThanOrEqual(size)
}

it("an architecture has the pointers that C has there", () => {
  expect((["x64", "arm64", "riscv64", "loong64", "ppc64", "s390x"] as const).map(pointerBytesOf)).toEqual(
    Array.from({ length: 6 }, () => 8)
  )
  expect((["ia32", "arm", "mips", "mipsel"] as const).map(pointerBytesOf)).toEqual([4, 4, 4, 4])
})

describe.each([
  ["64", linux, of64Bits],
  ["32", linux32, of32Bits]
] as const)("with pointers of %s bits", (_, profile, figures) => {
  const { pointerBytes, socket } = profile
  const libc = { profile, addressOf: (bytes: Uint8Array) => 0xf7f0_0000n + BigInt(bytes.length) } as unknown as Libc

  it("an array has a pointer in each member, above 2 GiB, too", () => {
    const pointers = makePointers(pointerBytes, 3)
    setPointer(pointers, 1, 0xf7f0_1234n)
    setPointer(pointers, 2, 5)
    expect(pointers.byteLength).toBe(3 * figures.pointer.size)
    expect(Array.from(pointers, Number)).toEqual([0, 0xf7f0_1234, 5])
  })

  it("struct iovec is an address and a length", () => {
    const vector = makeIovec(libc, 2)
    setIovec(libc, vector, 0, new Uint8Array(7))
    setIovec(libc, vector, 1, new Uint8Array(9), 3)
    expect(vector.byteLength).toBe(2 * figures.iovec.size)
    const view = new DataView(vector.buffer)
    const { size, iov_len } = figures.iovec
    expect([0, iov_len, size, size + iov_len].map((at) => view.getUint32(at, true))).toEqual([
      0xf7f0_0007, 7, 0xf7f0_0009, 3
    ])
  })

  it("struct msghdr and struct cmsghdr have their members where the kernel reads them", () => {
    const { cmsghdr, msghdr, pointer } = figures
    expect(socket.message).toEqual({
      size: msghdr.size,
      vector: msghdr.msg_iov,
      vectorCount: msghdr.msg_iovlen,
      control: msghdr.msg_control,
      controlLength: msghdr.msg_controllen,
      flags: msghdr.msg_flags,
      vectorCountBytes: pointer.size,
      controlLengthBytes: pointer.size,
      header: {
        lengthBytes: pointer.size,
        level: cmsghdr.cmsg_level,
        type: cmsghdr.cmsg_type,
        data: cmsghdr.size,
        alignment: pointer.size
      }
    })
  })

  it("struct mmsghdr is a struct msghdr and a length", () => {
    const { cmsghdr, mmsghdr, msghdr, pointer } = figures
    expect(Object.entries(layoutOf(profile)).map(([name, words]) => [name, words * 4])).toEqual(
      Object.entries({
        pointer: pointer.size,
        nameLength: msghdr.msg_namelen,
        vector: msghdr.msg_iov,
        vectorCount: msghdr.msg_iovlen,
        control: msghdr.msg_control,
        controlLength: msghdr.msg_controllen,
        received: mmsghdr.msg_len,
        stride: mmsghdr.size,
        level: cmsghdr.cmsg_level,
        type: cmsghdr.cmsg_type,
        data: cmsghdr.size
      })
    )
  })

  it.effect("struct group_source_req has its addresses where they belong", () =>
    Effect.gen(function* () {
      const { gsr_group, gsr_source, size } = figures.group_source_req
      const { join } = yield* Multicast.membership(socket, true, {
        group: "ff35::1234",
        source: "2001:db8::5",
        interface: 3
      })
      const expected = Buffer.alloc(size)
      expected.writeUInt32LE(3, 0)
      for (const [at, first, last] of [
        [gsr_group, [0xff, 0x35], 0x1234],
        [gsr_source, [0x20, 0x01, 0x0d, 0xb8], 0x5]
      ] as const) {
        expected.writeUInt16LE(socket.AF_INET6, at)
        expected.set(first, at + everywhere.sockaddr_in6.sin6_addr)
        expected.writeUInt16BE(last, at + everywhere.sockaddr_in6.sin6_addr + 14)
      }
      expect(Buffer.from(join.value as Uint8Array)).toEqual(expected)
    })
  )

  it("struct itimerspec counts time in as many bits", () => {
    const [seconds, nanos] = [0x7fff_ffff, 999_999_999]
    const { it_value, it_value_tv_nsec, size } = figures.itimerspec
    const expected = Buffer.alloc(size)
    expected.writeUInt32LE(seconds, it_value)
    expected.writeUInt32LE(nanos, it_value_tv_nsec)
    expect(Buffer.from(itimerspec(profile, seconds, nanos).buffer)).toEqual(expected)
  })

  it("siginfo_t has how a child ended after a pointer's width", () => {
    expectLayout(siginfoLayout[pointerBytes].members, siginfoLayout[pointerBytes].size, figures.siginfo_t)
  })

  it("Dl_info is four pointers", () => {
    expect(makePointers(pointerBytes, 4).byteLength).toBe(figures.Dl_info.size)
  })
})

it.each(["x64", "ia32", "arm", "arm64"] as const)("struct epoll_event is aligned as C does on %s", (arch) => {
  const { data, stride } = epollEventLayout(linux, arch)
  expect({ size: stride * 4, data: data * 4 }).toEqual(epollEvent[arch])
})

describe("on every architecture", () => {
  it.each([
    ["winsize", terminal.winsize, terminal.winsizeBytes, everywhere.winsize],
    ["termios2", terminal.termios2, terminal.termios2Bytes, everywhere.termios2],
    ["sockaddr_nl", netlink.sockaddrNl, netlink.sockaddrNlSize, everywhere.sockaddr_nl],
    ["nlmsghdr", netlink.nlmsghdr, netlink.nlmsghdrSize, everywhere.nlmsghdr],
    ["nlattr", netlink.nlattr, netlink.nlattrSize, everywhere.nlattr],
    ["ifinfomsg", netlink.ifinfomsg, netlink.ifinfomsgSize, everywhere.ifinfomsg],
    ["ifaddrmsg", netlink.ifaddrmsg, netlink.ifaddrmsgSize, everywhere.ifaddrmsg],
    ["inotify_event", inotifyEvent, 16, everywhere.inotify_event],
    ["pidfd_info", pidfdInfoLayout.members, pidfdInfoLayout.size, everywhere.pidfd_info]
  ] as const)("struct %s is the same", (_, layout, size, figures) => expectLayout(layout, size, figures))

  it("struct io_uring_params is the same", () => {
    const { params, paramsWords } = linux.ioUring
    const { features, flags, size } = everywhere.io_uring_params
    expect([paramsWords, params.flags, params.features].map((word) => word * 4)).toEqual([size, flags, features])
  })

  it("socket addresses are the same", () => {
    const inet = encodeInet(linux.socket, NetAddress.inetAddressFromInputUnsafe({ address: "1.2.3.4", port: 0x1234 }))
    const { sin_addr, sin_port, size } = everywhere.sockaddr_in
    expect(inet).toHaveLength(size)
    expect([...inet.subarray(sin_port, sin_port + 2)]).toEqual([0x12, 0x34])
    expect([...inet.subarray(sin_addr, sin_addr + 4)]).toEqual([1, 2, 3, 4])
    const inet6 = encodeInet(
      linux.socket,
      NetAddress.inetAddressFromInputUnsafe({ address: "fe80::1", port: 0x1234, scopeId: 5 })
    )
    const { sin6_addr, sin6_port, sin6_scope_id, size: size6 } = everywhere.sockaddr_in6
    expect(inet6).toHaveLength(size6)
    expect([...inet6.subarray(sin6_port, sin6_port + 2)]).toEqual([0x12, 0x34])
    expect([inet6[sin6_addr], inet6[sin6_addr + 15], inet6[sin6_scope_id]]).toEqual([0xfe, 1, 5])
    const longest = encodeUnix(linux.socket, { _tag: "Path", path: "p".repeat(linux.socket.pathCapacity - 1) })
    expect((longest as Uint8Array).length).toBe(everywhere.sockaddr_un.size)
    expect((longest as Uint8Array).indexOf("p".charCodeAt(0))).toBe(everywhere.sockaddr_un.sun_path)
    expect(capacity).toBe(everywhere.sockaddr_storage.size)
  })
})
