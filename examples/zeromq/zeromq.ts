/**
 * ZeroMQ (Debian: libzmq5): messages between sockets, as effects.
 *
 * The descriptor of a ZeroMQ socket says only that something may have changed. What the socket is
 * ready for is its option ZMQ_EVENTS, and any call on the socket may take the change in. So after
 * each call, the fibers that wait look again.
 */
import { Effect, Latch, Option } from "effect"
import { ForeignFd, type PollerError, Syscall } from "effect-amy"
import koffi from "koffi"

const library = koffi.load("libzmq.so.5")
koffi.opaque("zmq_socket")
koffi.opaque("zmq_context")
declare const brand: unique symbol
interface Context {
  readonly [brand]: "context"
}
interface Handle {
  readonly [brand]: "socket"
}
const bind = <F>(prototype: string): F => library.func(prototype) as F
const zmq_ctx_new = bind<() => Context>("zmq_context *zmq_ctx_new(void)")
const zmq_ctx_term = bind<(context: Context) => number>("int zmq_ctx_term(zmq_context *context)")
const zmq_socket = bind<(context: Context, type: number) => Handle>(
  "zmq_socket *zmq_socket(zmq_context *context, int type)"
)
const zmq_close = bind<(socket: Handle) => number>("int zmq_close(zmq_socket *socket)")
const zmq_bind = bind<(socket: Handle, address: string) => number>(
  "int zmq_bind(zmq_socket *socket, const char *address)"
)
const zmq_connect = bind<(socket: Handle, address: string) => number>(
  "int zmq_connect(zmq_socket *socket, const char *address)"
)
const zmq_send = bind<(socket: Handle, bytes: Uint8Array, length: number, flags: number) => number>(
  "int zmq_send(zmq_socket *socket, const void *bytes, size_t length, int flags)"
)
const zmq_recv = bind<(socket: Handle, buffer: Uint8Array, length: number, flags: number) => number>(
  "int zmq_recv(zmq_socket *socket, void *buffer, size_t length, int flags)"
)
const zmq_getsockopt = bind<
  (socket: Handle, option: number, value: Int32Array | Uint8Array, size: BigUint64Array) => number
>("int zmq_getsockopt(zmq_socket *socket, int option, void *value, void *size)")
const zmq_setsockopt = bind<(socket: Handle, option: number, value: Int32Array, size: number) => number>(
  "int zmq_setsockopt(zmq_socket *socket, int option, void *value, size_t size)"
)
const Name = { Fd: 14, Events: 15, Linger: 17, LastEndpoint: 32 } as const
const Flag = { DontWait: 1 } as const
export const Type = { Pair: 0, Dealer: 5, Pull: 7, Push: 8 } as const
const Ready = { In: 1, Out: 2 } as const

const context = Effect.acquireRelease(Effect.sync(zmq_ctx_new), (context) => Effect.sync(() => zmq_ctx_term(context)))

export interface Socket {
  /** Gives the address, with the port that was chosen for `*`. */
  readonly bind: (address: string) => Effect.Effect<string, PollerError.PollerError>
  readonly connect: (address: string) => Effect.Effect<void, PollerError.PollerError>
  /** Waits while the peer's queue is full. */
  readonly send: (message: Uint8Array) => Effect.Effect<void, PollerError.PollerError>
  readonly receive: Effect.Effect<Uint8Array, PollerError.PollerError>
}

/** Opens a socket. The scope closes it, and drops what has not been sent by then. */
export const open = (type: (typeof Type)[keyof typeof Type]) =>
  Effect.gen(function* () {
    const handle = yield* Effect.map(context, (context) => zmq_socket(context, type)).pipe(
      Effect.flatMap((handle) =>
        Effect.acquireRelease(Effect.succeed(handle), () => Effect.sync(() => zmq_close(handle)))
      )
    )
    zmq_setsockopt(handle, Name.Linger, Int32Array.of(0), 4)
    const option = (name: number): number => {
      const value = new Int32Array(1)
      zmq_getsockopt(handle, name, value, BigUint64Array.of(4n))
      return value[0]!
    }
    const readable = Latch.makeUnsafe()
    const writable = Latch.makeUnsafe()
    /** Takes in what has changed. Fibers that wait for it try again. */
    const takeIn = Effect.sync(() => {
      const events = option(Name.Events)
      if ((events & Ready.In) !== 0) readable.openUnsafe()
      if ((events & Ready.Out) !== 0) writable.openUnsafe()
    })
    const foreign = yield* ForeignFd.make(option(Name.Fd))
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(foreign.wait("Read"), takeIn)))

    /** Tries a call again whenever the socket may have become ready for it. */
    const retry = (
      name: string,
      call: () => number,
      latch: Latch.Latch
    ): Effect.Effect<number, PollerError.PollerError> =>
      Effect.flatMap(
        Syscall.unlessBlocked(name, () => {
          // Closed before the call: what changes after it opens the latch.
          latch.closeUnsafe()
          return call()
        }),
        (result) =>
          // The call itself may have taken in a change that another fiber waits for.
          Effect.andThen(
            takeIn,
            Option.isSome(result)
              ? Effect.succeed(result.value)
              : Effect.andThen(
                  latch.await,
                  Effect.suspend(() => retry(name, call, latch))
                )
          )
      )
    const buffer = new Uint8Array(1 << 16)
    const socket: Socket = {
      bind: (address) =>
        Effect.map(
          Syscall.call("zmq_bind", () => zmq_bind(handle, address), { address }),
          () => {
            const text = Buffer.alloc(256)
            const size = BigUint64Array.of(256n)
            zmq_getsockopt(handle, Name.LastEndpoint, text, size)
            return text.toString("utf8", 0, Number(size[0]) - 1)
          }
        ),
      connect: (address) => Effect.asVoid(Syscall.call("zmq_connect", () => zmq_connect(handle, address), { address })),
      send: (message) =>
        Effect.asVoid(retry("zmq_send", () => zmq_send(handle, message, message.length, Flag.DontWait), writable)),
      receive: Effect.map(
        retry("zmq_recv", () => zmq_recv(handle, buffer, buffer.length, Flag.DontWait), readable),
        (length) => buffer.slice(0, length)
      )
    }
    return socket
  })
