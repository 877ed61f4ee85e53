/** The one implementation of `Notification`: two numbers, and getters over them. */
import type { Event } from "../../Event.ts"
import type { Notification, RegistrationId } from "../../Notification.ts"
import { Readiness } from "../kernel/selector.ts"
import { NodeInspectSymbol } from "effect/Inspectable"

export const TypeId = "~effect-amy/Notification"

// Of no base class: one is made for each report, and a derived constructor costs more.
export class NotificationImpl implements Notification {
  readonly id: RegistrationId
  /** Grows while the notification waits to be taken, and never afterwards. */
  bits: number

  constructor(id: RegistrationId, bits: number) {
    this.id = id
    this.bits = bits
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  get event(): Event {
    const readable = (this.bits & Readiness.Readable) !== 0
    const writable = (this.bits & Readiness.Writable) !== 0
    return readable === writable ? "Both" : readable ? "Read" : "Write"
  }

  get readClosed(): boolean {
    return (this.bits & Readiness.ReadClosed) !== 0
  }

  get writeClosed(): boolean {
    return (this.bits & Readiness.WriteClosed) !== 0
  }

  get error(): boolean {
    return (this.bits & Readiness.Error) !== 0
  }

  get priority(): boolean {
    return (this.bits & Readiness.Priority) !== 0
  }

  toJSON() {
    const { error, event, id, priority, readClosed, writeClosed } = this
    return { _id: "effect-amy/Notification", id, event, readClosed, writeClosed, error, priority }
  }

  toString(): string {
    const flags = (["readClosed", "writeClosed", "error", "priority"] as const).filter((flag) => this[flag])
    return `Notification(${[this.id, this.event, ...flags].join(", ")})`
  }

  [NodeInspectSymbol](): string {
    return this.toString()
  }
}
