/**
 * libcurl (Debian: libcurl4): transfers that a fiber waits for, any number at once.
 *
 * The library names its sockets and its time limit in callbacks, and is called when a socket is
 * ready or the time is over.
 */
import { Data, Effect } from "effect"
import { ForeignFd } from "effect-amy"
import koffi from "koffi"

// Node exports symbols of libraries that libcurl uses: "deep" keeps the two apart.
const library = koffi.load("libcurl.so.4", { deep: true })
koffi.opaque("CURL")
koffi.opaque("CURLM")
koffi.proto("int curl_socket_callback(CURL *easy, int fd, int what, void *data, void *socket_data)")
koffi.proto("int curl_multi_timer_callback(CURLM *multi, long timeout, void *data)")
koffi.proto("size_t curl_write_callback(void *bytes, size_t size, size_t count, void *data)")
const Message = koffi.struct("CURLMsg", { msg: "int", easy_handle: "CURL *", result: "int" })

declare const brand: unique symbol
/** A transfer. koffi gives the pointer to it as a `bigint`. */
type Easy = bigint & { readonly [brand]: "CURL" }
type Multi = bigint & { readonly [brand]: "CURLM" }
const bind = <F>(prototype: string): F => library.func(prototype) as F
const curl_global_init = bind<(flags: number) => number>("int curl_global_init(long flags)")
const curl_easy_init = bind<() => Easy>("CURL *curl_easy_init(void)")
// Variadic: each argument comes with its type.
const curl_easy_setopt = bind<(easy: Easy, option: number, type: string, value: unknown) => number>(
  "int curl_easy_setopt(CURL *easy, int option, ...)"
)
const curl_easy_cleanup = bind<(easy: Easy) => void>("void curl_easy_cleanup(CURL *easy)")
const curl_easy_strerror = bind<(code: number) => string>("const char *curl_easy_strerror(int code)")
const curl_multi_init = bind<() => Multi>("CURLM *curl_multi_init(void)")
const curl_multi_setopt = bind<(multi: Multi, option: number, type: string, value: unknown) => number>(
  "int curl_multi_setopt(CURLM *multi, int option, ...)"
)
const curl_multi_add_handle = bind<(multi: Multi, easy: Easy) => number>(
  "int curl_multi_add_handle(CURLM *multi, CURL *easy)"
)
const curl_multi_remove_handle = bind<(multi: Multi, easy: Easy) => number>(
  "int curl_multi_remove_handle(CURLM *multi, CURL *easy)"
)
const curl_multi_socket_action = bind<(multi: Multi, fd: number, events: number, running: Int32Array) => number>(
  "int curl_multi_socket_action(CURLM *multi, int fd, int events, void *running)"
)
const curl_multi_info_read = bind<(multi: Multi, left: Int32Array) => unknown>(
  "void *curl_multi_info_read(CURLM *multi, void *left)"
)
const curl_multi_cleanup = bind<(multi: Multi) => number>("int curl_multi_cleanup(CURLM *multi)")

const Option = { Url: 10_002, WriteFunction: 20_011, NoSignal: 99 } as const
const MultiOption = { SocketFunction: 20_001, TimerFunction: 20_004 } as const
const timeout = -1
/** What libcurl waits for at a socket. */
const events = { 0: "None", 1: "Read", 2: "Write", 3: "Both", 4: "None" } as const
const flags = { Read: 1, Write: 2, Both: 3 } as const

export class TransferError extends Data.TaggedError("TransferError")<{ readonly message: string }> {}

export interface Client {
  /** Gives the body of what is at a URL. An interruption ends the transfer. */
  readonly get: (url: string) => Effect.Effect<Uint8Array, TransferError>
}

curl_global_init(3)

/** Makes a client. The scope closes it, and its connections. */
export const make = Effect.gen(function* () {
  const set = yield* ForeignFd.makeSet
  const onSocket = koffi.register((_: Easy, fd: number, what: keyof typeof events) => {
    set.update(fd, events[what])
    return 0
  }, "curl_socket_callback *")
  const onTimer = koffi.register((_: Multi, millis: number) => {
    set.updateTimeout(millis < 0 ? undefined : millis)
    return 0
  }, "curl_multi_timer_callback *")
  const multi = yield* Effect.acquireRelease(Effect.sync(curl_multi_init), (multi) =>
    Effect.sync(() => {
      curl_multi_cleanup(multi)
      koffi.unregister(onSocket)
      koffi.unregister(onTimer)
    })
  )
  curl_multi_setopt(multi, MultiOption.SocketFunction, "curl_socket_callback *", onSocket)
  curl_multi_setopt(multi, MultiOption.TimerFunction, "curl_multi_timer_callback *", onTimer)

  /** What to do once a transfer has ended, by its pointer. */
  const ended = new Map<bigint, (code: number) => void>()
  const running = new Int32Array(1)
  const step = Effect.map(set.wait(), (ready) => {
    if (ready.length === 0) curl_multi_socket_action(multi, timeout, 0, running)
    for (const { event, fd } of ready) curl_multi_socket_action(multi, fd, flags[event], running)
    const finished: Array<readonly [(code: number) => void, number]> = []
    for (;;) {
      const pointer = curl_multi_info_read(multi, running)
      if (pointer === null) break
      const { easy_handle, result } = koffi.decode(pointer, Message) as {
        readonly easy_handle: bigint
        readonly result: number
      }
      const end = ended.get(easy_handle)
      if (end !== undefined) finished.push([end, result])
    }
    for (const [end, code] of finished) end(code)
  })
  yield* Effect.forkScoped(Effect.forever(step))

  const client: Client = {
    get: (url) =>
      Effect.callback((resume) => {
        const easy = curl_easy_init()
        const chunks: Array<Uint8Array> = []
        const onBytes = koffi.register((bytes: unknown, size: number, count: number) => {
          // Valid only in the callback.
          chunks.push(Uint8Array.from(koffi.decode(bytes, "uint8_t", size * count) as Uint8Array))
          return size * count
        }, "curl_write_callback *")
        const end = () => {
          ended.delete(easy)
          curl_multi_remove_handle(multi, easy)
          curl_easy_cleanup(easy)
          koffi.unregister(onBytes)
        }
        ended.set(easy, (code) => {
          end()
          resume(
            code === 0
              ? Effect.sync(() => Buffer.concat(chunks))
              : Effect.fail(new TransferError({ message: curl_easy_strerror(code) }))
          )
        })
        curl_easy_setopt(easy, Option.Url, "const char *", url)
        curl_easy_setopt(easy, Option.NoSignal, "long", 1)
        curl_easy_setopt(easy, Option.WriteFunction, "curl_write_callback *", onBytes)
        curl_multi_add_handle(multi, easy)
        return Effect.sync(end)
      })
  }
  return client
})
