/** What the library has to know about a system's sockets: constants of its headers, and layouts. */
export interface SocketProfile {
  readonly AF_UNIX: number
  readonly AF_INET: number
  readonly AF_INET6: number
  readonly SOCK_STREAM: number
  readonly SOCK_DGRAM: number
  /**
   * Flags of socket(2), socketpair(2) and accept4(2). `undefined` if fcntl(2) must set them
   * afterwards.
   */
  readonly SOCK_NONBLOCK: number | undefined
  readonly SOCK_CLOEXEC: number | undefined
  readonly hasAccept4: boolean
  /** Whether a socket address begins with a byte for its length and one for its family. */
  readonly hasLengthByte: boolean
  /** Bytes for the path in a `struct sockaddr_un`, including its terminating zero. */
  readonly pathCapacity: number
  /** Whether Unix addresses can be abstract names instead of paths. */
  readonly hasAbstractNames: boolean
  readonly SOL_SOCKET: number
  readonly SO_ACCEPTCONN: number
  readonly SO_BROADCAST: number
  readonly SO_ERROR: number
  readonly SO_KEEPALIVE: number
  readonly SO_RCVBUF: number
  /** Lets a socket take an address that was in use a moment ago. */
  readonly SO_REUSEADDR: number
  /**
   * The option that does so for a stream socket. Windows always lets it, and has an option in this
   * place that keeps other programs from taking the address as well.
   */
  readonly streamReuse: number
  /** Lets sockets share an address. `undefined` if no option does. */
  readonly SO_REUSEPORT: number | undefined
  /**
   * The option that lets sockets share a port, so that what comes is dealt out to them where the
   * system can do that.
   */
  readonly portSharing: number | undefined
  readonly SO_SNDBUF: number
  readonly SO_TYPE: number
  /** Gives the protocol of a socket. `undefined` where only UDP has datagrams. */
  readonly SO_PROTOCOL: number | undefined
  readonly IPPROTO_TCP: number
  readonly TCP_NODELAY: number
  /**
   * Options for the seconds of silence before the first probe, the seconds between probes, and
   * their number. `undefined` if they cannot be set for one socket.
   */
  readonly TCP_KEEPIDLE: number | undefined
  readonly TCP_KEEPINTVL: number | undefined
  readonly TCP_KEEPCNT: number | undefined
  readonly IPPROTO_IP: number
  readonly IP_TTL: number
  readonly IP_MULTICAST_IF: number
  readonly IP_MULTICAST_TTL: number
  readonly IP_MULTICAST_LOOP: number
  /** Size in bytes of the values of `IP_MULTICAST_TTL` and `IP_MULTICAST_LOOP`. */
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
  /** Options for source-specific IPv6 multicast, which take a `struct group_source_req`. */
  readonly MCAST_JOIN_SOURCE_GROUP: number | undefined
  readonly MCAST_LEAVE_SOURCE_GROUP: number | undefined
  /** The size of `struct group_source_req`, and the offsets of its two addresses. */
  readonly groupSourceRequest: { readonly size: number; readonly group: number; readonly source: number }
  readonly MSG_DONTWAIT: number
  readonly MSG_NOSIGNAL: number
  readonly MSG_PEEK: number
  readonly MSG_CTRUNC: number
  /** Makes received descriptors close-on-exec. `undefined` if fcntl(2) must do so afterwards. */
  readonly MSG_CMSG_CLOEXEC: number | undefined
  readonly SCM_RIGHTS: number
  readonly message: MessageLayout
  /** What moves many datagrams by one call. `undefined` if each takes a call. */
  readonly manyDatagrams: ManyDatagrams | undefined
}

/** Options of UDP, which are also the types of its control messages. */
export interface ManyDatagrams {
  readonly IPPROTO_UDP: number
  /** The kernel cuts one message into datagrams of this size. */
  readonly UDP_SEGMENT: number
  /** The kernel may join datagrams into one message, and says their size. */
  readonly UDP_GRO: number
}

/** Offsets in bytes in `struct msghdr` and `struct cmsghdr`. */
export interface MessageLayout {
  readonly size: number
  readonly vector: number
  readonly vectorCount: number
  readonly control: number
  readonly controlLength: number
  readonly flags: number
  /** Sizes in bytes of `vectorCount` and `controlLength`. */
  readonly vectorCountBytes: 4 | 8
  readonly controlLengthBytes: 4 | 8
  readonly header: {
    readonly lengthBytes: 4 | 8
    readonly level: number
    readonly type: number
    readonly data: number
    /** The next header begins at a multiple of this. */
    readonly alignment: 4 | 8
  }
}
