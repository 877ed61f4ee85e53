/** Sums up the runs of a question as the rows of the table. */
import type { Question, Row, Sheet, Target } from "./question.ts"
import { units } from "./question.ts"
import type { Figures } from "./side.ts"
import { median } from "./statistics.ts"

/** The figures of each side in one run. A side that this machine cannot run is missing. */
export type Run = Readonly<Record<string, Figures>>

export interface Result {
  readonly question: string
  readonly label: string
  readonly unit: Row["unit"]
  readonly ours: number | undefined
  readonly peer: number | undefined
  /**
   * The median of the ratios of all runs, because a disturbance of a run affects both of its sides.
   */
  readonly ratio: number | undefined
  readonly target: Target | undefined
  readonly met: boolean | undefined
}

export const sumUp = (question: Question, runs: ReadonlyArray<Run>): ReadonlyArray<Result> =>
  question.rows
    .filter(({ ours }) => runs.some((run) => run[ours.side] !== undefined))
    .map((row) => sumUpRow(question, row, runs))

const sumUpRow = (question: Question, row: Row, runs: ReadonlyArray<Run>): Result => {
  const { label, ours, peer, target, unit } = row
  const pairs = runs.map((run) => ({
    ours: run[ours.side]?.[ours.name],
    peer: peer === undefined ? undefined : run[peer.side]?.[peer.name]
  }))
  const sums = {
    ours: medianOf(pairs.map((pair) => pair.ours)),
    peer: medianOf(pairs.map((pair) => pair.peer)),
    ratio: medianOf(
      pairs.map((pair) => (pair.ours === undefined || pair.peer === undefined ? undefined : pair.ours / pair.peer))
    )
  }
  const above = medianOf(
    pairs.map((pair) => (pair.ours === undefined || pair.peer === undefined ? undefined : pair.ours - pair.peer))
  )
  return { question: question.name, label, unit, ...sums, target, met: isMet(target, sums.ours, sums.ratio, above) }
}

/** The lines of a sheet whose sides were measured, with the medians of their figures. */
export interface SheetResult extends Pick<Sheet, "title" | "columns"> {
  readonly lines: ReadonlyArray<{ readonly label: string; readonly values: ReadonlyArray<number | undefined> }>
}

export const sumUpSheet = (question: Question, sheet: Sheet, runs: ReadonlyArray<Run>): SheetResult => ({
  title: `${question.name}: ${sheet.title}`,
  columns: sheet.columns,
  lines: sheet.lines
    .filter(({ side }) => runs.some((run) => run[side] !== undefined))
    .map(({ label, side }) => ({
      label,
      values: sheet.columns.map(({ name }) => medianOf(runs.map((run) => run[side]?.[name])))
    }))
})

const medianOf = (values: ReadonlyArray<number | undefined>): number | undefined => {
  const known = values.filter((value) => value !== undefined)
  return known.length === 0 ? undefined : median(known)
}

const isMet = (
  target: Target | undefined,
  ours: number | undefined,
  ratio: number | undefined,
  above: number | undefined
) => {
  if (target === undefined || ours === undefined) return undefined
  if ("below" in target) return ours < target.below
  if ("aboveAtMost" in target) return above === undefined ? undefined : above <= target.aboveAtMost
  if (ratio === undefined) return undefined
  return "ratioAtLeast" in target ? ratio >= target.ratioAtLeast : ratio <= target.ratioAtMost
}

export const print = (results: ReadonlyArray<Result>): string => {
  const header = ["", "question", "ours", "peer", "ratio", "target", "met"]
  const lines = results.map(({ label, met, ours, peer, question, ratio, target, unit }) => [
    question,
    label,
    ours === undefined ? "-" : units[unit](ours),
    peer === undefined ? "-" : units[unit](peer),
    ratio === undefined ? "-" : ratio.toFixed(2),
    target === undefined ? "" : describeTarget(target, unit),
    target === undefined ? "" : met === undefined ? "-" : met ? "yes" : "NO"
  ])
  return layOut([header, ...lines], (column) => column < 2 || column === 6)
}

export const printSheet = ({ columns, lines, title }: SheetResult): string => {
  const cells = lines.map(({ label, values }) => [
    label,
    ...values.map((value, column) => (value === undefined ? "-" : units[columns[column]!.unit](value)))
  ])
  return layOut([[title, ...columns.map(({ label }) => label)], ...cells], (column) => column === 0)
}

/** Returns lines whose columns are aligned. The first is the header. */
const layOut = (lines: ReadonlyArray<ReadonlyArray<string>>, isText: (column: number) => boolean): string => {
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)))
  const [header, ...rest] = lines.map((line) =>
    line
      .map((cell, column) => (isText(column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join("  ")
      .trimEnd()
  )
  return [header, widths.map((width) => "-".repeat(width)).join("  "), ...rest].join("\n")
}

const describeTarget = (target: Target, unit: Row["unit"]): string => {
  if ("below" in target) return `< ${units[unit](target.below)}`
  if ("aboveAtMost" in target) return `<= peer + ${units[unit](target.aboveAtMost)}`
  return "ratioAtLeast" in target ? `>= ${target.ratioAtLeast}` : `<= ${target.ratioAtMost}`
}
