/** What a question is made of: the programs it measures, and the rows it has in the table. */

/** A program and its arguments; it prints one line, an object of figures in JSON. */
export type Command = ReadonlyArray<string>

/** What a question makes its commands of. Answers `undefined` where the machine lacks something. */
export interface Toolbox {
  /** A program of bench/sides, with the sources of the library. */
  readonly side: (file: string, argument?: string, nodeOption?: string) => Command
  /** Compiles the library as it is published, and answers its main module. */
  readonly compiled: () => string
  /** A program of bench/baseline. */
  readonly baseline: (name: string) => Command | undefined
  /** The same command with descriptors that the writer makes ready; the command as it is where there is no writer. */
  readonly written: (mode: "each" | "burst", command: Command | undefined) => Command | undefined
  /** An echo server, under the load of so many connections. */
  readonly loaded: (connections: number, server: Command | undefined) => Command | undefined
  /** The same command on one CPU. */
  readonly pinned: (command: Command | undefined) => Command | undefined
}

export type Target =
  | { readonly ratioAtLeast: number }
  | { readonly ratioAtMost: number }
  /** The figure itself has to stay below this. */
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
  /** A row without one is there to explain another. */
  readonly target?: Target
}

export interface Question {
  readonly name: string
  readonly title: string
  /** The sides, in the order in which they take turns. */
  readonly sides: (toolbox: Toolbox) => Readonly<Record<string, Command | undefined>>
  readonly rows: ReadonlyArray<Row>
}

/** How a figure is printed. */
export const units = {
  perSecond: (value: number) => `${(value / 1e6).toFixed(2)} M/s`,
  thousandsPerSecond: (value: number) => `${(value / 1e3).toFixed(1)} k/s`,
  micros: (value: number) => `${value.toFixed(value < 10 ? 2 : 1)} µs`,
  millis: (value: number) => `${value.toFixed(1)} ms`,
  bytes: (value: number) => `${value.toFixed(0)} B`,
  percent: (value: number) => `${value.toFixed(2)} %`,
  count: (value: number) => value.toFixed(0)
} as const
