/** The structures of netlink(7) and rtnetlink(7), in the byte order of the machine. */
import type { Layout } from "./layout.ts"

export const sockaddrNlSize = 12
export const sockaddrNl = {
  nl_family: [0, "u16"],
  nl_pid: [4, "u32"],
  nl_groups: [8, "u32"]
} as const satisfies Layout

export const nlmsghdrSize = 16
export const nlmsghdr = {
  nlmsg_len: [0, "u32"],
  nlmsg_type: [4, "u16"],
  nlmsg_flags: [6, "u16"],
  nlmsg_seq: [8, "u32"],
  nlmsg_pid: [12, "u32"]
} as const satisfies Layout

/** `struct nlattr`, and `struct rtattr`, which is the same. */
export const nlattrSize = 4
export const nlattr = {
  nla_len: [0, "u16"],
  nla_type: [2, "u16"]
} as const satisfies Layout

export const ifinfomsgSize = 16
export const ifinfomsg = {
  ifi_family: [0, "u8"],
  ifi_type: [2, "u16"],
  ifi_index: [4, "i32"],
  ifi_flags: [8, "u32"],
  ifi_change: [12, "u32"]
} as const satisfies Layout

export const ifaddrmsgSize = 8
export const ifaddrmsg = {
  ifa_family: [0, "u8"],
  ifa_prefixlen: [1, "u8"],
  ifa_flags: [2, "u8"],
  ifa_scope: [3, "u8"],
  ifa_index: [4, "u32"]
} as const satisfies Layout
