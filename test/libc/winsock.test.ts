/** Sockets of Windows behind the names of other systems. */
import { describe, expect, it } from "@effect/vitest"
import { win32 } from "../../src/internal/libc/profiles/win32.ts"
import type { WinsockFunctions } from "../../src/internal/libc/prototypes/winsock.ts"
import { errnoOf } from "../../src/internal/libc/windowsErrors.ts"
import { bindWinsock } from "../../src/internal/libc/winsock.ts"

const FIONBIO = 0x8004_667e | 0
const { SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM, SOL_SOCKET, SO_ERROR } = win32.socket

/** Binds functions that note their calls, and return what a test says. */
const start = (results: { readonly [name: string]: number }, error = 0) => {
  const calls: Array<readonly [name: string, ...args: ReadonlyArray<unknown>]> = []
  const ws = new Proxy({} as WinsockFunctions, {
    get: (_, name: string) => {
      if (name === "WSAGetLastError") return () => error
      return (...args: ReadonlyArray<unknown>) => {
        calls.push([name, ...args])
        return results[name] ?? 0
      }
    }
  })
  const { errno, functions } = bindWinsock(ws, win32)
  calls.length = 0
  return { calls, errno, functions: functions as Required<typeof functions>, names: () => calls.map(([name]) => name) }
}

describe("a socket of Windows", () => {
  it("is opened so that no child inherits it, and non-blocking", () => {
    const { calls, functions } = start({ WSASocketW: 400 })
    expect(functions.socket(2, SOCK_STREAM | SOCK_NONBLOCK! | SOCK_CLOEXEC!, 0)).toBe(400)
    expect(calls).toEqual([
      ["WSASocketW", 2, SOCK_STREAM, 0, null, 0, 0x81],
      ["ioctlsocket", 400, FIONBIO, new Uint32Array([1])]
    ])
  })

  it("for datagrams does not fail because no program awaited one", () => {
    const { calls, functions } = start({ WSASocketW: 404 })
    expect(functions.socket(2, SOCK_DGRAM, 17)).toBe(404)
    expect(calls.map(([name, , code]) => [name, code])).toEqual([
      ["WSASocketW", SOCK_DGRAM],
      ["WSAIoctl", 0x9800_000c]
    ])
  })

  it("is closed again if it cannot be made non-blocking", () => {
    const { errno, functions, names } = start({ WSASocketW: 400, ioctlsocket: -1 }, 10055)
    expect(functions.socket(2, SOCK_STREAM | SOCK_NONBLOCK!, 0)).toBe(-1)
    expect(errno()).toBe(119)
    expect(names()).toEqual(["WSASocketW", "ioctlsocket", "closesocket"])
  })

  it("that is accepted is as it was asked for", () => {
    const { functions, names } = start({ accept: 500, SetHandleInformation: 1 })
    expect(functions.accept4(400, new Uint8Array(16), new Uint32Array(1), SOCK_NONBLOCK! | SOCK_CLOEXEC!)).toBe(500)
    expect(names()).toEqual(["accept", "SetHandleInformation", "ioctlsocket"])
    expect(start({ accept: -1 }, 10035).functions.accept(400, new Uint8Array(16), new Uint32Array(1))).toBe(-1)
  })

  it("that is being connected says so as elsewhere", () => {
    const { errno, functions } = start({ connect: -1 }, 10035)
    expect(functions.connect(400, new Uint8Array(16), 16)).toBe(-1)
    expect(errno()).toBe(112)
    const refused = start({ connect: -1 }, 10061)
    refused.functions.connect(400, new Uint8Array(16), 16)
    expect(refused.errno()).toBe(107)
  })

  it("tells its pending error by the number that it has elsewhere", () => {
    const value = new Uint8Array(new Int32Array([10061]).buffer)
    expect(start({}).functions.getsockopt(400, SOL_SOCKET, SO_ERROR, value, new Uint32Array([4]))).toBe(0)
    expect(new Int32Array(value.buffer)[0]).toBe(107)
    const type = new Uint8Array(new Int32Array([10061]).buffer)
    start({}).functions.getsockopt(400, SOL_SOCKET, 0x1008, type, new Uint32Array([4]))
    expect(new Int32Array(type.buffer)[0]).toBe(10061)
  })

  it("is read, written and closed by its own functions", () => {
    const { calls, functions } = start({ recv: 3, send: 2 })
    const buffer = new Uint8Array(8)
    expect([functions.read(400, buffer, 8), functions.write(400, buffer, 2), functions.close(400)]).toEqual([3, 2, 0])
    expect(calls.map(([name]) => name)).toEqual(["recv", "send", "closesocket"])
    const closed = start({ closesocket: -1, recv: -1 }, 10038)
    expect(closed.functions.close(400)).toBe(-1)
    expect(closed.errno()).toBe(9)
    const blocked = start({ recv: -1 }, 10035)
    expect(blocked.functions.recv(400, buffer, 8, 0)).toBe(-1)
    expect(blocked.errno()).toBe(win32.errno.EAGAIN)
  })

  it("that is not open is told from what is no socket, in every call", () => {
    const bytes = new Uint8Array(16)
    const length = new Uint32Array([16])
    const failing = { accept: -1, bind: -1, connect: -1, getsockopt: -1, listen: -1, recv: -1, send: -1, shutdown: -1 }
    for (const [isOpen, errno] of [
      [0, win32.errno.EBADF],
      [1, 128]
    ] as const) {
      const socket = start({ ...failing, recvfrom: -1, sendto: -1, SetHandleInformation: isOpen }, 10038)
      const { functions } = socket
      const calls = [
        () => functions.accept(400, bytes, length),
        () => functions.accept4(400, bytes, length, SOCK_CLOEXEC!),
        () => functions.bind(400, bytes, 16),
        () => functions.connect(400, bytes, 16),
        () => functions.getsockopt(400, SOL_SOCKET, SO_ERROR, bytes, length),
        () => functions.listen(400, 1),
        () => functions.shutdown(400, 1),
        () => functions.recv(400, bytes, 16, 0),
        () => functions.send(400, bytes, 16, 0),
        () => functions.recvfrom(400, bytes, 16, 0, bytes, length),
        () => functions.sendto(400, bytes, 16, 0, bytes, 16)
      ]
      for (const call of calls) {
        socket.errno(0)
        expect([call(), socket.errno()]).toEqual([-1, errno])
      }
    }
  })

  it("has nothing more to read once it was shut down for reading", () => {
    const bytes = new Uint8Array(8)
    const { errno, functions } = start({ recv: -1, recvfrom: -1, send: -1 }, 10058)
    expect([functions.recv(400, bytes, 8, 0), functions.read(400, bytes, 8)]).toEqual([0, 0])
    expect(functions.recvfrom(400, bytes, 8, 0, bytes, new Uint32Array([8]))).toBe(0)
    expect([functions.send(400, bytes, 8, 0), errno()]).toEqual([-1, 32])
  })

  it("takes the commands of fcntl that it can carry out", () => {
    const { F_DUPFD_CLOEXEC, F_GETFL, F_SETFD, F_SETFL, O_NONBLOCK } = win32.fcntl
    const { calls, errno, functions } = start({ SetHandleInformation: 1 })
    expect(functions.fcntl(400, F_GETFL, "int", 0)).toBe(O_NONBLOCK)
    expect(functions.fcntl(400, F_SETFL, "int", 0)).toBe(0)
    expect(calls.at(-1)).toEqual(["ioctlsocket", 400, FIONBIO, new Uint32Array([0])])
    expect(functions.fcntl(400, F_SETFD, "int", 1)).toBe(0)
    expect(calls.at(-1)).toEqual(["SetHandleInformation", 400, 1, 0])
    expect(functions.fcntl(400, F_DUPFD_CLOEXEC, "int", 0)).toBe(-1)
    expect(errno()).toBe(win32.errno.EINVAL)
    expect(start({ getsockopt: -1 }, 10038).functions.fcntl(400, F_GETFL, "int", 0)).toBe(-1)
  })
})

describe("an error of Windows", () => {
  it("is that of the last call, also of one that is the program's own", () => {
    const { calls, errno, functions } = start({ recv: -1 }, 10054)
    functions.recv(400, new Uint8Array(8), 8, 0)
    expect(errno()).toBe(108)
    expect(errno(0)).toBe(0)
    expect(calls.at(-1)).toEqual(["WSASetLastError", 0])
    expect(errno()).toBe(108)
    expect([errno(11), errno()]).toEqual([11, 11])
  })

  it("has the number of the same error in its C library", () => {
    expect([2, 5, 6, 87].map(errnoOf)).toEqual([2, 13, 9, 22])
    expect([10004, 10009, 10013, 10022, 10024, 10035].map(errnoOf)).toEqual([4, 9, 13, 22, 24, 11])
    expect([10048, 10049, 10053, 10054, 10057, 10058, 10060, 10061].map(errnoOf)).toEqual([
      100, 101, 106, 108, 126, 32, 138, 107
    ])
    expect(errnoOf(9999)).toBe(9999)
  })
})
