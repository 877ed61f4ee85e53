/**
 * c-ares (Debian: libc-ares2): DNS queries that a fiber waits for.
 *
 * The library names its sockets in a callback as it goes, says how long to wait, and is called when
 * one of them is ready or the time is over.
 */
import { Data, Effect } from "effect"
import { ForeignFd } from "effect-amy"
import koffi from "koffi"

// Node has a c-ares of its own, and exports its symbols: "deep" keeps the two apart.
const library = koffi.load("libcares.so.2", { deep: true })
koffi.opaque("ares_channel")
koffi.proto("void ares_sock_state_cb(void *data, int fd, int readable, int writable)")
koffi.proto("void ares_host_callback(void *argument, int status, int timeouts, void *host)")
const Options = koffi.struct("ares_options", {
  flags: "int",
  timeout: "int",
  tries: "int",
  ndots: "int",
  udp_port: "unsigned short",
  tcp_port: "unsigned short",
  socket_send_buffer_size: "int",
  socket_receive_buffer_size: "int",
  servers: "void *",
  nservers: "int",
  domains: "void *",
  ndomains: "int",
  lookups: "const char *",
  sock_state_cb: "ares_sock_state_cb *",
  sock_state_cb_data: "void *",
  sortlist: "void *",
  nsort: "int",
  ednspsz: "int",
  resolvconf_path: "void *"
})
const Timeval = koffi.struct("timeval", { tv_sec: "long", tv_usec: "long" })
const Host = koffi.struct("hostent", {
  h_name: "const char *",
  h_aliases: "void *",
  h_addrtype: "int",
  h_length: "int",
  h_addr_list: "void **"
})
void [Options, Timeval]

declare const brand: unique symbol
interface Channel {
  readonly [brand]: "channel"
}
const bind = <F>(prototype: string): F => library.func(prototype) as F
const ares_library_init = bind<(flags: number) => number>("int ares_library_init(int flags)")
const ares_init_options = bind<(channel: [Channel | null], options: object, mask: number) => number>(
  "int ares_init_options(_Out_ ares_channel **channel, ares_options *options, int mask)"
)
const ares_destroy = bind<(channel: Channel) => void>("void ares_destroy(ares_channel *channel)")
const ares_set_servers_ports_csv = bind<(channel: Channel, servers: string) => number>(
  "int ares_set_servers_ports_csv(ares_channel *channel, const char *servers)"
)
const ares_gethostbyname = bind<
  (channel: Channel, name: string, family: number, callback: bigint, argument: bigint) => void
>(
  "void ares_gethostbyname(ares_channel *channel, const char *name, int family, ares_host_callback *callback, void *argument)"
)
const ares_timeout = bind<(channel: Channel, most: null, time: [object]) => unknown>(
  "void *ares_timeout(ares_channel *channel, void *most, _Out_ timeval *time)"
)
const ares_process_fd = bind<(channel: Channel, readable: number, writable: number) => void>(
  "void ares_process_fd(ares_channel *channel, int readable, int writable)"
)
const ares_strerror = bind<(status: number) => string>("const char *ares_strerror(int status)")

const Option = { Tries: 1 << 2, Lookups: 1 << 8, SocketState: 1 << 9, TimeoutMillis: 1 << 13 } as const
const AF_INET = 2
/** In place of a descriptor: there is none. */
const none = -1

export class LookupError extends Data.TaggedError("LookupError")<{ readonly message: string }> {}

export interface Resolver {
  /** Gives the IPv4 addresses of a name. */
  readonly lookup: (name: string) => Effect.Effect<ReadonlyArray<string>, LookupError>
}

/** Reads the addresses of a `struct hostent`. It is valid only in the callback. */
const addressesOf = (host: unknown): ReadonlyArray<string> => {
  const { h_addr_list } = koffi.decode(host, Host) as { readonly h_addr_list: unknown }
  const addresses: Array<string> = []
  for (let offset = 0; ; offset += 8) {
    const address = koffi.decode(h_addr_list, offset, "void *") as unknown
    if (address === null) return addresses
    addresses.push((koffi.decode(address, "uint8_t", 4) as ReadonlyArray<number>).join("."))
  }
}

ares_library_init(1)

/** Makes a resolver that asks these servers, each for a time in milliseconds. The scope closes it. */
export const make = (servers: ReadonlyArray<string>, timeout: number) =>
  Effect.gen(function* () {
    const set = yield* ForeignFd.makeSet
    const onState = koffi.register((_: unknown, fd: number, readable: number, writable: number) => {
      const event = readable !== 0 ? (writable !== 0 ? "Both" : "Read") : writable !== 0 ? "Write" : "None"
      set.update(fd, event)
    }, "ares_sock_state_cb *")

    const waiting = new Map<bigint, (status: number, addresses: ReadonlyArray<string>) => void>()
    let queries = 0n
    const onHost = koffi.register((query: bigint, status: number, _: number, host: unknown) => {
      const addresses = status === 0 ? addressesOf(host) : []
      const resume = waiting.get(query)
      waiting.delete(query)
      // Not now: a fiber that runs inside of a library's callback may call the library again.
      setImmediate(() => resume?.(status, addresses))
    }, "ares_host_callback *")

    const channel = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const made: [Channel | null] = [null]
        const options = { timeout, tries: 1, lookups: "b", sock_state_cb: onState, sock_state_cb_data: null }
        const mask = Option.TimeoutMillis | Option.Tries | Option.Lookups | Option.SocketState
        const status = ares_init_options(made, options, mask)
        if (status !== 0) throw new Error(ares_strerror(status))
        ares_set_servers_ports_csv(made[0]!, servers.join(","))
        return made[0]!
      }),
      (channel) =>
        Effect.sync(() => {
          // Its callbacks run once more.
          ares_destroy(channel)
          koffi.unregister(onState)
          koffi.unregister(onHost)
        })
    )

    const updateTimeout = () => {
      const time = [{ tv_sec: 0, tv_usec: 0 }] as [{ tv_sec: number; tv_usec: number }]
      const { tv_sec, tv_usec } =
        ares_timeout(channel, null, time) === null ? { tv_sec: Infinity, tv_usec: 0 } : time[0]
      set.updateTimeout(tv_sec * 1000 + tv_usec / 1000)
    }
    const process = Effect.map(set.wait(), (ready) => {
      // With no descriptor, it looks at what has taken too long.
      if (ready.length === 0) ares_process_fd(channel, none, none)
      for (const { event, fd } of ready) {
        ares_process_fd(channel, event === "Write" ? none : fd, event === "Read" ? none : fd)
      }
      updateTimeout()
    })
    yield* Effect.forkScoped(Effect.forever(process))

    const resolver: Resolver = {
      lookup: (name) =>
        Effect.callback((resume) => {
          const query = ++queries
          waiting.set(query, (status, addresses) =>
            resume(
              status === 0
                ? Effect.succeed(addresses)
                : Effect.fail(new LookupError({ message: ares_strerror(status) }))
            )
          )
          ares_gethostbyname(channel, name, AF_INET, onHost, query)
          updateTimeout()
          return Effect.sync(() => void waiting.delete(query))
        })
    }
    return resolver
  })
