/** What the library has to know of a system's sockets: the constants of its headers, and how its structures lie in memory. */
export interface SocketProfile {
  readonly AF_UNIX: number
  readonly AF_INET: number
  readonly AF_INET6: number
  readonly SOCK_STREAM: number
  readonly SOCK_DGRAM: number
  /** Flags of socket(2), socketpair(2) and accept4(2), or `undefined` where fcntl(2) has to say so afterwards. */
  readonly SOCK_NONBLOCK: number | undefined
  readonly SOCK_CLOEXEC: number | undefined
  readonly hasAccept4: boolean
  /** Whether a socket address starts with a byte that says how long it is, and the family is one byte after it. */
  readonly hasLengthByte: boolean
  /** Bytes that a path in a `struct sockaddr_un` may have, its end included. */
  readonly pathCapacity: number
  /** Whether there are Unix addresses that are no paths. */
  readonly hasAbstractNames: boolean
  readonly SOL_SOCKET: number
  readonly SO_BROADCAST: number
  readonly SO_ERROR: number
  readonly SO_KEEPALIVE: number
  readonly SO_LINGER: number
  readonly SO_RCVBUF: number
  readonly SO_REUSEADDR: number
  readonly SO_REUSEPORT: number
  readonly SO_SNDBUF: number
  readonly SO_TYPE: number
  readonly IPPROTO_TCP: number
  readonly TCP_NODELAY: number
  /** Seconds of silence before the first probe, between two of them, and how many there are; where it can be said. */
  readonly TCP_KEEPIDLE: number | undefined
  readonly TCP_KEEPINTVL: number | undefined
  readonly TCP_KEEPCNT: number | undefined
  readonly IPPROTO_IP: number
  readonly IP_TTL: number
  readonly IP_MULTICAST_IF: number
  readonly IP_MULTICAST_TTL: number
  readonly IP_MULTICAST_LOOP: number
  /** Bytes of the values of the two above: some systems take one byte only. */
  readonly multicastValueBytes: 1 | 4
  readonly IP_ADD_MEMBERSHIP: number
  readonly IP_DROP_MEMBERSHIP: number
  readonly IP_ADD_SOURCE_MEMBERSHIP: number | undefined
  readonly IP_DROP_SOURCE_MEMBERSHIP: number | undefined
  /** The order of the three addresses in a `struct ip_mreq_source`. */
  readonly sourceMembership: ReadonlyArray<"group" | "interface" | "source">
  readonly IPPROTO_IPV6: number
  readonly IPV6_V6ONLY: number
  readonly IPV6_UNICAST_HOPS: number
  readonly IPV6_MULTICAST_IF: number
  readonly IPV6_MULTICAST_HOPS: number
  readonly IPV6_MULTICAST_LOOP: number
  readonly IPV6_JOIN_GROUP: number
  readonly IPV6_LEAVE_GROUP: number
  /** For IPv6 groups of one source: `struct group_source_req`, with its two addresses at these offsets. */
  readonly MCAST_JOIN_SOURCE_GROUP: number | undefined
  readonly MCAST_LEAVE_SOURCE_GROUP: number | undefined
  readonly groupSourceRequest: { readonly size: number; readonly group: number; readonly source: number }
  readonly MSG_DONTWAIT: number
  readonly MSG_NOSIGNAL: number
  readonly MSG_TRUNC: number
  readonly MSG_CTRUNC: number
  /** Received descriptors are close-on-exec from the start, where that can be said. */
  readonly MSG_CMSG_CLOEXEC: number | undefined
  readonly SCM_RIGHTS: number
  readonly message: MessageLayout
}

/** How `struct msghdr` and `struct cmsghdr` lie in memory on a 64-bit machine. */
export interface MessageLayout {
  readonly size: number
  readonly vector: number
  readonly vectorCount: number
  readonly control: number
  readonly controlLength: number
  readonly flags: number
  /** Bytes of the two lengths above, each. */
  readonly vectorCountBytes: 4 | 8
  readonly controlLengthBytes: 4 | 8
  readonly header: {
    readonly lengthBytes: 4 | 8
    readonly level: number
    readonly type: number
    readonly data: number
    /** What the start of the next one is rounded up to. */
    readonly alignment: 4 | 8
  }
}
