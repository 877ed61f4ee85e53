/**
 * Numbers of netlink(7) and rtnetlink(7): those of Linux, the only system that has them. They are
 * the same on every architecture.
 */
export const netlink = {
  AF_NETLINK: 16,
  SOCK_RAW: 3,
  SOL_NETLINK: 270,
  NETLINK_ADD_MEMBERSHIP: 1,
  MSG_TRUNC: 0x20,
  /** The family of an address in a message: of none, IPv4 or IPv6. */
  AF_UNSPEC: 0,
  AF_INET: 2,
  AF_INET6: 10,

  NETLINK_ROUTE: 0,
  NETLINK_NETFILTER: 12,
  NETLINK_GENERIC: 16,

  NLMSG_ERROR: 2,
  NLMSG_DONE: 3,

  NLM_F_REQUEST: 0x1,
  NLM_F_MULTI: 0x2,
  NLM_F_ACK: 0x4,
  NLM_F_ECHO: 0x8,
  NLM_F_DUMP_INTR: 0x10,
  NLM_F_DUMP: 0x300,
  NLM_F_REPLACE: 0x100,
  NLM_F_EXCL: 0x200,
  NLM_F_CREATE: 0x400,
  NLM_F_APPEND: 0x800,

  NLA_F_NESTED: 0x8000,
  /** The bits of an attribute's type that are its type. */
  NLA_TYPE_MASK: 0x3fff,

  RTM_NEWLINK: 16,
  RTM_DELLINK: 17,
  RTM_GETLINK: 18,
  RTM_NEWADDR: 20,
  RTM_DELADDR: 21,
  RTM_GETADDR: 22,

  RTNLGRP_LINK: 1,
  RTNLGRP_IPV4_IFADDR: 5,
  RTNLGRP_IPV6_IFADDR: 9,

  IFF_UP: 0x1,
  IFF_RUNNING: 0x40,

  IFLA_ADDRESS: 1,
  IFLA_BROADCAST: 2,
  IFLA_IFNAME: 3,
  IFLA_MTU: 4,
  IFLA_LINK: 5,
  IFLA_QDISC: 6,
  IFLA_MASTER: 10,
  IFLA_OPERSTATE: 16,
  IFLA_LINKINFO: 18,
  IFLA_INFO_KIND: 1,

  IFA_ADDRESS: 1,
  IFA_LOCAL: 2,
  IFA_LABEL: 3,
  IFA_BROADCAST: 4,
  IFA_FLAGS: 8
} as const
