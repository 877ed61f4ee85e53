/** Runs the example of a channel, and checks what it prints. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { runExample } from "../support/example.ts"

describe("examples/channel.ts", () => {
  it.live(
    "the example receives results and the FIFO in one stream, and the sender waits while the channel is full",
    () =>
      Effect.gen(function* () {
        const { stdout, ...rest } = yield* runExample("channel")
        expect(rest).toEqual({ code: 0, signal: null, stderr: "" })
        expect(stdout.split("\n")).toEqual([
          "1: a channel for 3 results; 2: a FIFO; one stream for both",
          '2: "the channel is full after 3 results; waiting"',
          "3 of 8 results are sent, none is received; receiving them now",
          "1: 4 primes below 10",
          "1: 25 primes below 100",
          "1: 168 primes below 1000",
          "1: 1229 primes below 10000",
          "1: 9592 primes below 100000",
          "1: 17984 primes below 200000",
          "1: 41538 primes below 500000",
          "1: 78498 primes below 1000000",
          "all results are here, and the thread has ended",
          ""
        ])
      })
  )
})
