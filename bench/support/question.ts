/** The parts of a question: the programs that it measures, and its rows in the table. */

/** A program and its arguments. It prints one line: an object of figures in JSON. */
export type Command = ReadonlyArray<string>

/**
 * Makes the commands of a question. Its functions return `undefined` if the machine lacks a tool.
 */
export interface Toolbox {
  /** Returns a program of bench/sides, with the sources of the library. */
  readonly side: (file: string, argument?: string | ReadonlyArray<string>, nodeOption?: string) => Command
  /** Compiles the library as it is published, and returns its main module. */
  readonly compiled: () => string
  /** Returns a program of bench/baseline. */
  readonly baseline: (name: string) => Command | undefined
  /**
   * Returns the command with descriptors that the writer makes ready. Without a writer, returns the
   * command unchanged.
   */
  readonly written: (mode: "each" | "burst", command: Command | undefined) => Command | undefined
  /** Returns an echo server under the load of a number of connections. */
  readonly loaded: (connections: number, server: Command | undefined) => Command | undefined
  /** Returns the command pinned to one CPU. */
  readonly pinned: (command: Command | undefined) => Command | undefined
}

export type Target =
  | { readonly ratioAtLeast: number }
  | { readonly ratioAtMost: number }
  /** The figure may exceed the peer's by this much. */
  | { readonly aboveAtMost: number }
  /** The figure itself has to be below this. */
  | { readonly below: number }

/** One figure of one side. */
export interface Figure {
  readonly side: string
  readonly name: string
}

export interface Row {
  readonly label: string
  readonly ours: Figure
  readonly peer?: Figure
  readonly unit: keyof typeof units
  /** A row without a target is for information. */
  readonly target?: Target
}

export interface Question {
  readonly name: string
  readonly title: string
  /** The sides, in the order in which they take turns. */
  readonly sides: (toolbox: Toolbox) => Readonly<Record<string, Command | undefined>>
  readonly rows: ReadonlyArray<Row>
}

/** Formats figures. */
export const units = {
  perSecond: (value: number) => `${(value / 1e6).toFixed(2)} M/s`,
  thousandsPerSecond: (value: number) => `${(value / 1e3).toFixed(1)} k/s`,
  micros: (value: number) => `${value.toFixed(value < 10 ? 2 : 1)} µs`,
  millis: (value: number) => `${value.toFixed(1)} ms`,
  bytes: (value: number) => `${value.toFixed(0)} B`,
  kilobytes: (value: number) => `${(value / 1e3).toFixed(0)} KB`,
  percent: (value: number) => `${value.toFixed(2)} %`,
  count: (value: number) => value.toFixed(0)
} as const
