/** Binds the functions of Windows' sockets. */
import koffi from "koffi"

type AddressCall = (socket: number, address: Uint8Array, length: number) => number

export const bindWinsock = () => {
  const winsock = koffi.load("ws2_32.dll")
  const kernel = koffi.load("kernel32.dll")
  return {
    WSASocketW: winsock.func(
      "intptr_t WSASocketW(int domain, int type, int protocol, void *info, uint32_t group, uint32_t flags)"
    ) as (domain: number, type: number, protocol: number, info: null, group: number, flags: number) => number,
    WSAGetLastError: winsock.func("int WSAGetLastError()") as () => number,
    WSAPoll: winsock.func("int WSAPoll(void *entries, uint32_t count, int timeout)") as (
      entries: Uint8Array,
      count: number,
      timeout: number
    ) => number,
    bind: winsock.func("int bind(intptr_t socket, void *address, int length)") as AddressCall,
    connect: winsock.func("int connect(intptr_t socket, void *address, int length)") as AddressCall,
    listen: winsock.func("int listen(intptr_t socket, int backlog)") as (socket: number, backlog: number) => number,
    accept: winsock.func("intptr_t accept(intptr_t socket, void *address, void *length)") as (
      socket: number,
      address: null,
      length: null
    ) => number,
    getsockname: winsock.func("int getsockname(intptr_t socket, void *address, void *length)") as (
      socket: number,
      address: Uint8Array,
      length: Int32Array
    ) => number,
    getsockopt: winsock.func("int getsockopt(intptr_t socket, int level, int name, void *value, void *length)") as (
      socket: number,
      level: number,
      name: number,
      value: Int32Array,
      length: Int32Array
    ) => number,
    setsockopt: winsock.func("int setsockopt(intptr_t socket, int level, int name, void *value, int length)") as (
      socket: number,
      level: number,
      name: number,
      value: Int32Array | Uint16Array,
      length: number
    ) => number,
    ioctlsocket: winsock.func("int ioctlsocket(intptr_t socket, int32_t command, void *value)") as (
      socket: number,
      command: number,
      value: Int32Array
    ) => number,
    send: winsock.func("int send(intptr_t socket, void *buffer, int count, int flags)") as (
      socket: number,
      buffer: Uint8Array,
      count: number,
      flags: number
    ) => number,
    recv: winsock.func("int recv(intptr_t socket, void *buffer, int count, int flags)") as (
      socket: number,
      buffer: Uint8Array,
      count: number,
      flags: number
    ) => number,
    shutdown: winsock.func("int shutdown(intptr_t socket, int how)") as (socket: number, how: number) => number,
    closesocket: winsock.func("int closesocket(intptr_t socket)") as (socket: number) => number,
    SetHandleInformation: kernel.func("int SetHandleInformation(intptr_t handle, uint32_t mask, uint32_t flags)") as (
      handle: number,
      mask: number,
      flags: number
    ) => number
  }
}
