/**
 * Prototypes of the sockets and threads of Windows, as ws2_32 and kernel32 have them. A socket is a
 * handle. `winsock.ts` makes of them what other systems have under the same names.
 */
export interface WinsockFunctions {
  readonly WSAStartup: (version: number, data: Uint8Array) => number
  readonly WSAGetLastError: () => number
  readonly WSASetLastError: (error: number) => void
  readonly WSASocketW: (
    domain: number,
    type: number,
    protocol: number,
    info: null,
    group: number,
    flags: number
  ) => number
  readonly WSAIoctl: (
    socket: number,
    code: number,
    input: Uint32Array,
    inputLength: number,
    output: null,
    outputLength: number,
    returned: Uint32Array,
    overlapped: null,
    routine: null
  ) => number
  readonly accept: (socket: number, address: Uint8Array, length: Uint32Array) => number
  readonly bind: (socket: number, address: Uint8Array, length: number) => number
  readonly closesocket: (socket: number) => number
  readonly connect: (socket: number, address: Uint8Array | null, length: number) => number
  readonly getpeername: (socket: number, address: Uint8Array, length: Uint32Array) => number
  readonly getsockname: (socket: number, address: Uint8Array, length: Uint32Array) => number
  readonly getsockopt: (socket: number, level: number, name: number, value: Uint8Array, length: Uint32Array) => number
  /** Takes the name as bytes that end with a zero. Returns 0 if there is no such interface. */
  readonly if_nametoindex: (name: Uint8Array) => number
  readonly ioctlsocket: (socket: number, command: number, argument: Uint32Array) => number
  readonly listen: (socket: number, backlog: number) => number
  readonly recv: (socket: number, buffer: Uint8Array, count: number, flags: number) => number
  readonly recvfrom: (
    socket: number,
    buffer: Uint8Array,
    count: number,
    flags: number,
    address: Uint8Array,
    length: Uint32Array
  ) => number
  readonly send: (socket: number, buffer: Uint8Array, count: number, flags: number) => number
  readonly sendto: (
    socket: number,
    buffer: Uint8Array,
    count: number,
    flags: number,
    address: Uint8Array,
    length: number
  ) => number
  readonly setsockopt: (socket: number, level: number, name: number, value: Uint8Array, length: number) => number
  readonly shutdown: (socket: number, how: number) => number
  readonly SetHandleInformation: (handle: number, mask: number, flags: number) => number
  readonly CloseHandle: (handle: number) => number
  readonly GetCurrentThreadId: () => number
  /** Returns 0 if it cannot tell. */
  readonly GetProcessIdOfThread: (thread: number) => number
  /** Returns a handle of a thread of any process, or 0. */
  readonly OpenThread: (access: number, inherit: number, thread: number) => number
  /** Returns 0 if the object is signalled, as a thread is that has ended. */
  readonly WaitForSingleObject: (handle: number, milliseconds: number) => number
}

export const winsockPrototypes: { readonly [Name in keyof WinsockFunctions]: string } = {
  WSAStartup: "int WSAStartup(uint16_t version, void *data)",
  WSAGetLastError: "int WSAGetLastError()",
  WSASetLastError: "void WSASetLastError(int error)",
  WSASocketW: "intptr_t WSASocketW(int domain, int type, int protocol, void *info, uint32_t group, uint32_t flags)",
  WSAIoctl:
    "int WSAIoctl(intptr_t socket, uint32_t code, void *input, uint32_t input_length, void *output, uint32_t output_length, void *returned, void *overlapped, void *routine)",
  accept: "intptr_t accept(intptr_t socket, void *address, void *length)",
  bind: "int bind(intptr_t socket, void *address, int length)",
  closesocket: "int closesocket(intptr_t socket)",
  connect: "int connect(intptr_t socket, void *address, int length)",
  getpeername: "int getpeername(intptr_t socket, void *address, void *length)",
  getsockname: "int getsockname(intptr_t socket, void *address, void *length)",
  getsockopt: "int getsockopt(intptr_t socket, int level, int name, void *value, void *length)",
  if_nametoindex: "uint32_t if_nametoindex(void *name)",
  ioctlsocket: "int ioctlsocket(intptr_t socket, int32_t command, void *argument)",
  listen: "int listen(intptr_t socket, int backlog)",
  recv: "int recv(intptr_t socket, void *buffer, int count, int flags)",
  recvfrom: "int recvfrom(intptr_t socket, void *buffer, int count, int flags, void *address, void *length)",
  send: "int send(intptr_t socket, void *buffer, int count, int flags)",
  sendto: "int sendto(intptr_t socket, void *buffer, int count, int flags, void *address, int length)",
  setsockopt: "int setsockopt(intptr_t socket, int level, int name, void *value, int length)",
  shutdown: "int shutdown(intptr_t socket, int how)",
  SetHandleInformation: "int SetHandleInformation(intptr_t handle, uint32_t mask, uint32_t flags)",
  CloseHandle: "int CloseHandle(intptr_t handle)",
  GetCurrentThreadId: "uint32_t GetCurrentThreadId()",
  GetProcessIdOfThread: "uint32_t GetProcessIdOfThread(intptr_t thread)",
  OpenThread: "intptr_t OpenThread(uint32_t access, int inherit, uint32_t thread)",
  WaitForSingleObject: "uint32_t WaitForSingleObject(intptr_t handle, uint32_t milliseconds)"
}
