/** The public types of `Netlink`. The compiler checks this file; little of it is checked at run time. */
import { describe, expect, expectTypeOf, it } from "@effect/vitest"
import type { Effect, Inspectable, Scope, Stream } from "effect"
import type { NetAddress } from "effect/net"
import { Netlink, type PollerError, type Registrar } from "effect-amy"
import { same, type Members, type Same } from "../support/types.ts"

type Failure = PollerError.PollerError
type Of<A> = Stream.Stream<A, Failure, Registrar.Registrar>

describe("Netlink", () => {
  it("has streams of what changes, told apart by their tags", () => {
    expectTypeOf(Netlink.changes).toEqualTypeOf<Of<Netlink.Change>>()
    expectTypeOf(Netlink.links).toEqualTypeOf<Of<Netlink.LinkChange>>()
    expectTypeOf(Netlink.addresses).toEqualTypeOf<Of<Netlink.AddressChange>>()
    expectTypeOf(Netlink.changesWith).toEqualTypeOf<(options: Netlink.ChangesOptions) => Of<Netlink.Change>>()
    expectTypeOf<Netlink.LinkChange["_tag"]>().toEqualTypeOf<
      "LinkAdded" | "LinkChanged" | "LinkRemoved" | "Overrun" | "Current"
    >()
    expectTypeOf<Netlink.AddressChange["_tag"]>().toEqualTypeOf<
      "AddressAdded" | "AddressChanged" | "AddressRemoved" | "Overrun" | "Current"
    >()
    expectTypeOf<Netlink.LinkRemoved>().toExtend<Netlink.Link>()
    expectTypeOf<Netlink.Address["address"]>().toEqualTypeOf<NetAddress.IpAddress>()
    // @ts-expect-error it has no such option
    Netlink.changesWith({ routes: true })
  })

  it("opens a socket in a scope, with a Registrar", () => {
    expectTypeOf(Netlink.open).toEqualTypeOf<
      (
        protocol: number,
        options?: Netlink.OpenOptions
      ) => Effect.Effect<Netlink.NetlinkSocket, Failure, Registrar.Registrar | Scope.Scope>
    >()
    same<
      Same<
        Members<Netlink.NetlinkSocket>,
        {
          readonly fd: number
          readonly pid: number
          readonly request: (
            type: number,
            flags?: number,
            payload?: Uint8Array
          ) => Effect.Effect<ReadonlyArray<Netlink.Message>, Failure>
          readonly send: (message: Netlink.Outgoing) => Effect.Effect<number, Failure>
          readonly messages: Stream.Stream<Netlink.Message, Failure>
          readonly close: Effect.Effect<void, Failure>
        }
      >
    >(true)
    expectTypeOf<Netlink.NetlinkSocket>().toExtend<Inspectable.Inspectable>()
    expectTypeOf(Netlink.isNetlinkSocket).guards.toEqualTypeOf<Netlink.NetlinkSocket>()
  })

  it("exports its functions and the flags of messages", () => {
    expect(
      Object.keys(Netlink)
        .filter((name) => !/^(NLM_F|NETLINK)_/.test(name))
        .toSorted()
    ).toEqual([
      "addresses",
      "changes",
      "changesWith",
      "decodeAttributes",
      "encodeAttributes",
      "isNetlinkSocket",
      "links",
      "open",
      "readText",
      "readU32",
      "text",
      "u32"
    ])
  })
})
