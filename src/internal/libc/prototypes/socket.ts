/** Prototypes of the calls on sockets. Addresses are the bytes of a `struct sockaddr`. */
export interface SocketFunctions {
  readonly accept: (fd: number, address: Uint8Array, length: Uint32Array) => number
  readonly accept4: (fd: number, address: Uint8Array, length: Uint32Array, flags: number) => number
  readonly bind: (fd: number, address: Uint8Array, length: number) => number
  readonly connect: (fd: number, address: Uint8Array | null, length: number) => number
  readonly getpeername: (fd: number, address: Uint8Array, length: Uint32Array) => number
  readonly getsockname: (fd: number, address: Uint8Array, length: Uint32Array) => number
  readonly getsockopt: (fd: number, level: number, name: number, value: Uint8Array, length: Uint32Array) => number
  /** Takes the name as bytes that end with a zero. Returns 0 if there is no such interface. */
  readonly if_nametoindex: (name: Uint8Array) => number
  readonly listen: (fd: number, backlog: number) => number
  readonly recv: (fd: number, buffer: Uint8Array, count: number, flags: number) => number
  readonly recvfrom: (
    fd: number,
    buffer: Uint8Array,
    count: number,
    flags: number,
    address: Uint8Array,
    length: Uint32Array
  ) => number
  /** Takes the messages as an array of `struct mmsghdr`. Returns the number of messages. */
  readonly recvmmsg: (fd: number, messages: Uint8Array, count: number, flags: number, timeout: null) => number
  /** Takes the message as a `struct msghdr`. */
  readonly recvmsg: (fd: number, message: Uint8Array, flags: number) => number
  readonly send: (fd: number, buffer: Uint8Array, count: number, flags: number) => number
  readonly sendmmsg: (fd: number, messages: Uint8Array, count: number, flags: number) => number
  readonly sendmsg: (fd: number, message: Uint8Array, flags: number) => number
  readonly sendto: (
    fd: number,
    buffer: Uint8Array,
    count: number,
    flags: number,
    address: Uint8Array,
    length: number
  ) => number
  readonly setsockopt: (fd: number, level: number, name: number, value: Uint8Array, length: number) => number
  readonly shutdown: (fd: number, how: number) => number
  readonly socket: (domain: number, type: number, protocol: number) => number
  readonly socketpair: (domain: number, type: number, protocol: number, fds: Int32Array) => number
}

export const socketPrototypes: { readonly [Name in keyof SocketFunctions]: string } = {
  accept: "int accept(int fd, void *address, void *length)",
  accept4: "int accept4(int fd, void *address, void *length, int flags)",
  bind: "int bind(int fd, void *address, unsigned int length)",
  connect: "int connect(int fd, void *address, unsigned int length)",
  getpeername: "int getpeername(int fd, void *address, void *length)",
  getsockname: "int getsockname(int fd, void *address, void *length)",
  getsockopt: "int getsockopt(int fd, int level, int name, void *value, void *length)",
  if_nametoindex: "unsigned int if_nametoindex(void *name)",
  listen: "int listen(int fd, int backlog)",
  recv: "intptr_t recv(int fd, void *buffer, size_t count, int flags)",
  recvfrom: "intptr_t recvfrom(int fd, void *buffer, size_t count, int flags, void *address, void *length)",
  recvmmsg: "int recvmmsg(int fd, void *messages, unsigned int count, int flags, void *timeout)",
  recvmsg: "intptr_t recvmsg(int fd, void *message, int flags)",
  send: "intptr_t send(int fd, void *buffer, size_t count, int flags)",
  sendmmsg: "int sendmmsg(int fd, void *messages, unsigned int count, int flags)",
  sendmsg: "intptr_t sendmsg(int fd, void *message, int flags)",
  sendto: "intptr_t sendto(int fd, void *buffer, size_t count, int flags, void *address, unsigned int length)",
  setsockopt: "int setsockopt(int fd, int level, int name, void *value, unsigned int length)",
  shutdown: "int shutdown(int fd, int how)",
  socket: "int socket(int domain, int type, int protocol)",
  socketpair: "int socketpair(int domain, int type, int protocol, void *fds)"
}
