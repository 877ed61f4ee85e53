/**
 * Measures how fast this library is, always as a ratio against a peer beside it: `npm run bench`.
 *
 * Each question is a file, which says what is measured and against what. The measured programs are
 * in sides/ (ours) and baseline/ (C). In each run the sides of a question take turns, each in a
 * fresh process. The table shows medians over the runs. A figure alone depends on the machine and
 * its load. A ratio depends on them much less.
 */
import { writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { b1 } from "./b1.ts"
import { b2 } from "./b2.ts"
import { b3 } from "./b3.ts"
import { b4 } from "./b4.ts"
import { b5 } from "./b5.ts"
import { b6 } from "./b6.ts"
import { b7 } from "./b7.ts"
import { b8 } from "./b8.ts"
import { b9 } from "./b9.ts"
import { b10 } from "./b10.ts"
import { b11 } from "./b11.ts"
import { b12 } from "./b12.ts"
import type { Command, Question, Toolbox } from "./support/question.ts"
import type { Figures } from "./support/side.ts"
import { measure } from "./support/side.ts"
import type { Result, Run, SheetResult } from "./support/table.ts"
import { print, printSheet, sumUp, sumUpSheet } from "./support/table.ts"
import { prepare } from "./support/toolbox.ts"

const questions: ReadonlyArray<Question> = [b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11, b12]

const usage = `usage: npm run bench -- [name...] [--runs N] [--quick] [--only TEXT]... [--json FILE]

  name     the questions to measure (all)
  --runs   the number of runs to take the median of (5); a run takes up to a minute for each question,
           and two to three for b5, b6, b8 and b11
  --quick  makes one run
  --only   measures only the sides that have one of the texts in their names, such as "node:net" or "pipelined"
  --json   also writes the figures of every run to a file

BENCH_WARMUP_MS and BENCH_MEASURE_MS in the environment replace how long a side warms up, and is measured.

${questions.map(({ name, title }) => `  ${name}  ${title}`).join("\n")}`

/** Returns the sides of a question that are to be measured. Says which of the others cannot be. */
const sidesOf = (
  question: Question,
  toolbox: Toolbox,
  only: ReadonlyArray<string>
): ReadonlyArray<readonly [side: string, command: Command]> => {
  const all = Object.entries(question.sides(toolbox))
  const asked = all.filter(([side]) => only.length === 0 || only.some((text) => side.includes(text)))
  const without = asked.filter(([, command]) => command === undefined).map(([side]) => side)
  if (asked.length === 0) process.stderr.write(`  no side has such a name: ${all.map(([side]) => side).join("; ")}\n`)
  if (without.length > 0) process.stderr.write(`  not measured, because a tool is missing: ${without.join("; ")}\n`)
  return asked.flatMap(([side, command]) => (command === undefined ? [] : [[side, command] as const]))
}

const ask = async (
  question: Question,
  toolbox: Toolbox,
  runs: number,
  only: ReadonlyArray<string>
): Promise<ReadonlyArray<Run>> => {
  const sides = sidesOf(question, toolbox, only)
  const done: Array<Run> = []
  for (let run = 1; run <= runs; run++) {
    const figures: Record<string, Figures> = {}
    for (const [side, command] of sides) {
      process.stderr.write(`${question.name}, run ${run} of ${runs}: ${side}`)
      try {
        figures[side] = await measure(command, question.millis)
        const values = Object.entries(figures[side]).map(([name, value]) => `${name} ${value.toPrecision(4)}`)
        process.stderr.write(`: ${values.join(", ")}\n`)
      } catch (error) {
        // The other sides' figures, which took minutes, are still of use.
        process.stderr.write(`: ${error instanceof Error ? error.message : String(error)}\n`)
        process.exitCode = 1
      }
    }
    done.push(figures)
  }
  return done
}

const main = async (): Promise<void> => {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      runs: { type: "string", default: "5" },
      quick: { type: "boolean", default: false },
      only: { type: "string", multiple: true, default: [] },
      json: { type: "string" },
      help: { type: "boolean", short: "h", default: false }
    }
  })
  if (values.help) return console.log(usage)
  const runs = values.quick ? 1 : Number(values.runs)
  if (!Number.isInteger(runs) || runs < 1)
    throw new Error(`--runs is "${values.runs}": expected an integer of at least 1`)
  const unknown = positionals.filter((name) => !questions.some((question) => question.name === name))
  if (unknown.length > 0) throw new Error(`there is no question ${unknown.join(", ")}\n\n${usage}`)
  const asked = positionals.length === 0 ? questions : questions.filter(({ name }) => positionals.includes(name))

  const { lacking, toolbox } = prepare()
  const results: Array<Result> = []
  const sheets: Array<SheetResult> = []
  const details: Record<string, ReadonlyArray<Run>> = {}
  for (const question of asked) {
    process.stderr.write(`\n${question.name}: ${question.title}\n`)
    details[question.name] = await ask(question, toolbox, runs, values.only)
    results.push(...sumUp(question, details[question.name]!))
    for (const sheet of question.sheets ?? []) sheets.push(sumUpSheet(question, sheet, details[question.name]!))
  }
  if (Object.values(details).every((all) => all.every((run) => Object.keys(run).length === 0))) process.exitCode = 1
  if (results.length > 0) console.log(`\n${print(results)}`)
  for (const sheet of sheets) if (sheet.lines.length > 0) console.log(`\n${printSheet(sheet)}`)
  for (const line of lacking) console.log(line)
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify({ results, sheets, runs: details }, null, 2)}\n`)
}

await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
