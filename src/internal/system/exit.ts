/** How a process ended, and what signals are called. */
import { constants } from "node:os"
import type { Exit } from "../../system/ProcessExit.ts"
import type { Ended } from "./pidfd.ts"

const signals: { readonly [name: string]: number } = constants.signals

/** The highest number of a signal. */
export const lastSignal = 64

/** Returns a signal's name, or its number if it has none. */
const signalName = (number: number): NodeJS.Signals | number =>
  (Object.keys(signals).find((name) => signals[name] === number) as NodeJS.Signals | undefined) ?? number

/** Returns a signal's number, or `undefined` if there is no such signal. */
export const signalNumber = (signal: NodeJS.Signals | number): number | undefined => {
  if (typeof signal === "string") return Object.hasOwn(signals, signal) ? signals[signal] : undefined
  return Number.isInteger(signal) && signal >= 0 && signal <= lastSignal ? signal : undefined
}

/** Returns how a process ended, as a program sees it. */
export const toExit = (ended: Ended | undefined): Exit => {
  if (ended === undefined) return { _tag: "Unknown" }
  return "code" in ended
    ? { _tag: "Exited", code: ended.code }
    : { _tag: "Signaled", signal: signalName(ended.signal), coreDumped: ended.coreDumped }
}
