/**
 * The public types, as they were agreed on: what this file says is checked by the compiler, not at
 * run time.
 */
import { describe, expect, expectTypeOf, it } from "@effect/vitest"
import type { Cause, Duration, Effect, Inspectable, Layer, Queue, Scope, Stream } from "effect"
import { Event, Notification, Poller, PollerError, Registrar, type UserEvent } from "effect-amy"
import { type Loose, same, type Same } from "../support/types.ts"

type Failure = PollerError.PollerError
type Services = Poller.Poller | Registrar.Registrar
type PollerLayer = Layer.Layer<Services, Failure>

describe("Poller", () => {
  it("is a service of six members", () => {
    type Service = Poller.Poller["Service"]
    same<
      Same<
        Service,
        {
          readonly wait: (timeout: Duration.Input) => Effect.Effect<ReadonlyArray<Notification.Notification>, Failure>
          readonly queue: Queue.Dequeue<Notification.Notification, Failure | Cause.Done>
          readonly notifications: Stream.Stream<Notification.Notification, Failure>
          readonly batches: Stream.Stream<
            readonly [Notification.Notification, ...Array<Notification.Notification>],
            Failure
          >
          readonly handle: Poller.PollerHandle
          readonly stats: Effect.Effect<Poller.PollerStats>
        }
      >
    >(true)
    expectTypeOf<Loose<Service>>().toBeNever()
    expect(Poller.Poller.key).toBe("effect-amy/Poller")
  })

  it("has five layers, each of both services", () => {
    expectTypeOf(Poller.layer).toEqualTypeOf<PollerLayer>()
    expectTypeOf(Poller.layerWorker).toEqualTypeOf<(options?: Poller.LayerOptions) => PollerLayer>()
    expectTypeOf(Poller.layerEventLoop).toEqualTypeOf<(options?: Poller.LayerOptions) => PollerLayer>()
    expectTypeOf(Poller.layerBlocking).toEqualTypeOf<(options?: Poller.LayerBlockingOptions) => PollerLayer>()
    expectTypeOf(Poller.layerAttach).toEqualTypeOf<(handle: Poller.PollerHandle) => PollerLayer>()
    expectTypeOf<Layer.Success<PollerLayer>>().toEqualTypeOf<Services>()
    expectTypeOf<Layer.Error<typeof Poller.layer>>().toEqualTypeOf<Failure>()
    expectTypeOf<Layer.Services<typeof Poller.layer>>().toBeNever()
    expectTypeOf<Loose<typeof Poller>>().toBeNever()
  })

  it("has options and figures that cannot be assigned to", () => {
    const options: Poller.LayerBlockingOptions = { mailboxSize: 1, maxThreads: undefined, allowMainThread: true }
    // @ts-expect-error it is read-only
    options.mailboxSize = 2
    // @ts-expect-error there is no such option
    const unknown: Poller.LayerOptions = { mailbox: 1 }
    // @ts-expect-error it is for layerBlocking alone
    Poller.layerWorker({ allowMainThread: true })
    // @ts-expect-error a handle cannot be made by hand
    Poller.layerAttach({ fd: 3 })
    same<Same<Poller.PollerStats, Readonly<Record<keyof Poller.PollerStats, number>>>>(true)
    same<Same<keyof Poller.PollerHandle, "~effect-amy/PollerHandle">>(true)
    expectTypeOf(Poller.isPollerHandle).guards.toEqualTypeOf<Poller.PollerHandle>()
    expect([options, unknown]).toHaveLength(2)
  })
})

describe("Registrar", () => {
  it("is a service of nine members", () => {
    type Service = Registrar.Registrar["Service"]
    same<
      Same<
        Service,
        {
          readonly register: (
            fd: Registrar.FdLike,
            event: Event.Event,
            options?: Registrar.RegisterOptions
          ) => Effect.Effect<Registrar.RegistrationId, Failure>
          readonly registerScoped: (
            fd: Registrar.FdLike,
            event: Event.Event,
            options?: Registrar.RegisterOptions
          ) => Effect.Effect<Registrar.RegistrationId, Failure, Scope.Scope>
          readonly reregister: (
            fd: Registrar.FdLike,
            id: Registrar.RegistrationId,
            event: Event.Event,
            options?: Registrar.RegisterOptions
          ) => Effect.Effect<void, Failure>
          readonly deregister: (fd: Registrar.FdLike) => Effect.Effect<void, Failure>
          readonly watch: (
            fd: Registrar.FdLike,
            event: Event.Event,
            options?: Registrar.RegisterOptions
          ) => Stream.Stream<Notification.Notification, Failure>
          readonly timeout: (duration: Duration.Input) => Effect.Effect<Registrar.RegistrationId, Failure>
          readonly interval: (duration: Duration.Input) => Effect.Effect<Registrar.RegistrationId, Failure>
          readonly cancelTimer: (id: Registrar.RegistrationId) => Effect.Effect<void, Failure>
          readonly userEvent: Effect.Effect<UserEvent.UserEvent, Failure, Scope.Scope>
        }
      >
    >(true)
    expectTypeOf<Loose<Service>>().toBeNever()
    expect(Registrar.Registrar.key).toBe("effect-amy/Registrar")
  })

  it("has the same as functions that ask for the service", () => {
    type Service = Registrar.Registrar["Service"]
    expectTypeOf(Registrar.register).parameters.toEqualTypeOf<Parameters<Service["register"]>>()
    expectTypeOf(Registrar.registerScoped).parameters.toEqualTypeOf<Parameters<Service["registerScoped"]>>()
    expectTypeOf(Registrar.reregister).parameters.toEqualTypeOf<Parameters<Service["reregister"]>>()
    expectTypeOf(Registrar.deregister).parameters.toEqualTypeOf<Parameters<Service["deregister"]>>()
    expectTypeOf(Registrar.register).returns.toEqualTypeOf<
      Effect.Effect<Registrar.RegistrationId, Failure, Registrar.Registrar>
    >()
    expectTypeOf(Registrar.registerScoped).returns.toEqualTypeOf<
      Effect.Effect<Registrar.RegistrationId, Failure, Registrar.Registrar | Scope.Scope>
    >()
    expectTypeOf(Registrar.reregister).returns.toEqualTypeOf<Effect.Effect<void, Failure, Registrar.Registrar>>()
    expectTypeOf(Registrar.deregister).returns.toEqualTypeOf<Effect.Effect<void, Failure, Registrar.Registrar>>()
    expectTypeOf<Loose<typeof Registrar>>().toBeNever()
  })

  it("takes numbers and what has one, three events and two modes", () => {
    same<Same<Registrar.FdLike, number | { readonly fd: number }>>(true)
    same<
      Same<
        Registrar.RegisterOptions,
        {
          readonly mode?: "edge" | "oneshot" | undefined
          readonly priority?: boolean | undefined
          readonly exclusive?: boolean | undefined
        }
      >
    >(true)
    same<Same<Event.Event, "Read" | "Write" | "Both">>(true)
    // @ts-expect-error there is no such event
    Registrar.register(0, "read")
    // @ts-expect-error level triggering is left out on purpose
    Registrar.register(0, "Read", { mode: "level" })
    // @ts-expect-error a descriptor is a number
    Registrar.register("0", "Read")
    // @ts-expect-error the descriptor comes first, and an id is not any number
    Registrar.reregister(0, 1, "Read")
    expectTypeOf(Event.isReadable).toEqualTypeOf<(event: Event.Event) => boolean>()
    expectTypeOf(Event.fromPoll).toEqualTypeOf<(mask: number) => Event.Event | "None">()
    expectTypeOf(Event.toPoll).toEqualTypeOf<(event: Event.Event | "None") => number>()
    expectTypeOf(Event.isWritable).toEqualTypeOf<(event: Event.Event) => boolean>()
  })
})

describe("Notification", () => {
  it("is what was agreed on, and cannot be assigned to", () => {
    type Fields = Omit<Notification.Notification, "~effect-amy/Notification" | keyof Inspectable.Inspectable>
    same<
      Same<
        { [K in keyof Fields]: Fields[K] },
        {
          readonly id: Registrar.RegistrationId
          readonly event: Event.Event
          readonly readClosed: boolean
          readonly writeClosed: boolean
          readonly error: boolean
          readonly priority: boolean
        }
      >
    >(true)
    const notification = Notification.make({ id: 1, event: "Both", error: true })
    expectTypeOf(notification).toEqualTypeOf<Notification.Notification>()
    // What has only a getter cannot be assigned to at run time either.
    expect(() => {
      // @ts-expect-error it is read-only
      notification.event = "Read"
    }).toThrow(TypeError)
    expect(() => {
      // @ts-expect-error it is read-only
      notification.error = false
    }).toThrow(TypeError)
    // @ts-expect-error a structural double is not a notification
    const lookAlike: Notification.Notification = {
      id: Registrar.RegistrationId(1),
      event: "Both",
      readClosed: false,
      writeClosed: false,
      error: true,
      priority: false
    }
    expect(Notification.isNotification(notification)).toBe(true)
    expect(Notification.isNotification(lookAlike)).toBe(false)
    expectTypeOf(Notification.isNotification).guards.toEqualTypeOf<Notification.Notification>()
    expectTypeOf<Loose<typeof Notification>>().toBeNever()
  })
})

describe("PollerError", () => {
  it("has one reason, told by its tag", () => {
    expectTypeOf<Failure["reason"]>().toEqualTypeOf<PollerError.PollerErrorReason>()
    expectTypeOf<Failure["_tag"]>().toEqualTypeOf<"PollerError">()
    expectTypeOf<PollerError.PollerErrorReason["_tag"]>().toEqualTypeOf<
      | "AlreadyRegistered"
      | "NotRegistered"
      | "NotPollable"
      | "BadDescriptor"
      | "LimitReached"
      | "InvalidArgument"
      | "MessageTooLarge"
      | "NotFound"
      | "NotConnected"
      | "PermissionDenied"
      | "AddressInUse"
      | "AddressNotAvailable"
      | "ConnectionRefused"
      | "ConnectionReset"
      | "BrokenPipe"
      | "TimedOut"
      | "Unreachable"
      | "Closed"
      | "WorkerFailed"
      | "UnsupportedPlatform"
      | "SystemError"
    >()
    type Kernel = Pick<PollerError.BadDescriptor, "syscall" | "errno" | "code" | "fd" | "address">
    same<
      Same<
        { [K in keyof Kernel]: Kernel[K] },
        {
          readonly syscall: string
          readonly errno: number
          readonly code: string
          readonly fd?: number
          readonly address?: string
        }
      >
    >(true)
    expectTypeOf(PollerError.isPollerError).guards.toEqualTypeOf<Failure>()
    expectTypeOf<Loose<Pick<Failure, "_tag" | "reason" | "message">>>().toBeNever()
  })
})
