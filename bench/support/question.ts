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
  /** Builds an echo server in another language if its tool is there. */
  readonly peer: (name: "bun" | "go" | "tokio") => Command | undefined
  /** Returns an echo server under load. */
  readonly loaded: (load: Load, server: Command | undefined) => Command | undefined
  /** Returns the command without io_uring, as in a container that forbids it. */
  readonly forbidden: (command: Command) => Command | undefined
  /** Returns the command pinned to one CPU. */
  readonly pinned: (command: Command | undefined) => Command | undefined
}

/** What the clients of an echo server do. */
export interface Load {
  readonly connections: number
  /** Length of a request. */
  readonly bytes: number
  /** Requests of a connection that wait for their reply. */
  readonly outstanding: number
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

/** All figures of several sides beside one another, for information. */
export interface Sheet {
  readonly title: string
  readonly lines: ReadonlyArray<{ readonly label: string; readonly side: string }>
  readonly columns: ReadonlyArray<Column>
}

export interface Column {
  readonly label: string
  /** The name of the figure. */
  readonly name: string
  readonly unit: Row["unit"]
}

export interface Question {
  readonly name: string
  readonly title: string
  /** Milliseconds of the warm-up and of the measured time, if they differ from the usual ones. */
  readonly millis?: Millis
  /** The sides, in the order in which they take turns. */
  readonly sides: (toolbox: Toolbox) => Readonly<Record<string, Command | undefined>>
  readonly rows: ReadonlyArray<Row>
  readonly sheets?: ReadonlyArray<Sheet>
}

export interface Millis {
  readonly warmUp: number
  readonly measured: number
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
