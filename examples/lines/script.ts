/**
 * A conversation of three clients. Each step waits until the one before was seen, so it always goes
 * the same way.
 */
import { Effect, type Scope } from "effect"
import { type ChatClient, type ClientError, connect } from "./client.ts"

const allSee = (line: string, ...people: ReadonlyArray<ChatClient>) =>
  Effect.forEach(people, (person) => person.sees(line), { discard: true })

/** Runs the conversation, and returns the three clients. */
export const converse = Effect.fnUntraced(function* (
  port: number
): Effect.fn.Return<ReadonlyArray<ChatClient>, ClientError, Scope.Scope> {
  const [ann, ben, cleo] = yield* Effect.all([connect("ann", port), connect("ben", port), connect("cleo", port)])

  yield* allSee("* what is your name?", ann, ben, cleo)
  yield* ann.says("ann")
  yield* ann.sees("* welcome, ann; you are alone")
  yield* ben.says("ben")
  yield* allSee("* ben has joined", ann)
  yield* allSee("* welcome, ben; you are with ann", ben)
  yield* cleo.says("ben")
  yield* cleo.sees("! the name ben is taken: try again")
  yield* cleo.says("cleo")
  yield* allSee("* cleo has joined", ann, ben)
  yield* cleo.sees("* welcome, cleo; you are with ann, ben")

  // The bytes of a line may be cut anywhere, even in the middle of a character.
  const bytes = Buffer.from("a café?\n")
  yield* ann.says("a café?", bytes.subarray(0, 6), bytes.subarray(6))
  yield* allSee("ann: a café?", ben, cleo)

  // Several lines may arrive together.
  yield* ben.says("yes\nwhen?")
  yield* allSee("ben: when?", ann, cleo)

  yield* cleo.says("(1000 times the letter o)", `${"o".repeat(1000)}\n`)
  yield* cleo.sees("! that line is longer than 400 bytes; it was not delivered")
  yield* cleo.says("(four bytes, the last two of which are not UTF-8)", Uint8Array.of(0x6e, 0x6f, 0xc3, 0x28, 0x0a))
  yield* cleo.sees("! that line is not UTF-8 from its byte 3 on; it was not delivered")
  yield* cleo.says("now")
  yield* allSee("cleo: now", ann, ben)

  yield* ben.breaksOff
  yield* allSee("* ben has left", ann, cleo)
  yield* ann.leaves
  yield* cleo.sees("* ann has left")
  yield* cleo.leaves
  return [ann, ben, cleo]
}, Effect.scoped)
