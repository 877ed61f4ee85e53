/** The people in the chat, and the lines that they see. It knows nothing about sockets. */
import { Result } from "effect"
import type { CodecError } from "effect-amy"

/** A received line, or the error in its place. */
export type Line = Result.Result<string, CodecError.CodecError>

/** A person in the room. */
export interface Listener {
  readonly say: (line: string) => void
}

export class ChatRoom {
  readonly #names = new Map<Listener, string>()

  greet(person: Listener): void {
    person.say("* what is your name?")
  }

  /**
   * Handles a line. A person's first line is their name, and every other line goes to the others.
   */
  hear(person: Listener, line: Line): void {
    if (Result.isFailure(line)) {
      // One bad line does not end the conversation. The lines after it are read as usual.
      return person.say(`! ${refusal(line.failure)}; it was not delivered`)
    }
    // A control character could move the cursor in another person's terminal.
    const text = line.success.replace(/\p{Cc}/gu, "\u{FFFD}").trim()
    const name = this.#names.get(person)
    if (name === undefined) this.#join(person, text)
    else if (text !== "") this.#tellOthers(person, `${name}: ${text}`)
  }

  leave(person: Listener): void {
    const name = this.#names.get(person)
    if (name === undefined) return
    this.#names.delete(person)
    this.#tellOthers(person, `* ${name} has left`)
  }

  #join(person: Listener, name: string): void {
    const others = [...this.#names.values()]
    if (!/^\p{L}{1,20}$/u.test(name)) return person.say("! a name is 1 to 20 letters: try again")
    if (others.includes(name)) return person.say(`! the name ${name} is taken: try again`)
    this.#names.set(person, name)
    person.say(`* welcome, ${name}; ${others.length === 0 ? "you are alone" : `you are with ${others.join(", ")}`}`)
    this.#tellOthers(person, `* ${name} has joined`)
  }

  #tellOthers(person: Listener, line: string): void {
    for (const other of this.#names.keys()) if (other !== person) other.say(line)
  }
}

const refusal = ({ message, reason }: CodecError.CodecError): string => {
  switch (reason._tag) {
    case "LineTooLong":
      return `that line is longer than ${reason.limit} bytes`
    case "InvalidUtf8":
      return `that line is not UTF-8 from its byte ${reason.offsetInLine + 1} on`
    default:
      return message
  }
}
