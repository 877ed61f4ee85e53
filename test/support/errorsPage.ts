/** The tables of docs/errors.md, from the doc comments and from what the code maps. */
import { PollerError } from "effect-amy"
import { readFileSync } from "node:fs"
import { constants } from "node:os"
import { getSystemErrorMap } from "node:util"
import { format, resolveConfig } from "prettier"
import {
  fromErrno,
  pathReasonByCode,
  processReasonByCode,
  programReasonByCode,
  reasonByCode,
  selectorReasonByCode
} from "../../src/internal/errors/pollerErrors.ts"
import { docSummary, type Operation, publicOperations } from "./failures.ts"

export const page = "docs/errors.md"

/** The tags of all reasons, in the order of their union. */
export const tags: ReadonlyArray<PollerError.PollerErrorReason["_tag"]> = PollerError.PollerErrorReason.members.map(
  (member) => member.fields._tag.schema.literal
)

export const operations: ReadonlyArray<Operation> = publicOperations(new Set(tags))

/** Returns the number that an error's name stands for on this system. */
export const errnoOf = (code: string): number => {
  for (const [number, [name]] of getSystemErrorMap()) if (name === code) return -number
  const number = Object.entries(constants.errno).find(([name]) => name === code)?.[1]
  if (number !== undefined) return number
  throw new Error(`this system has no ${code}`)
}

/**
 * Calls that stand for all of their kind, each with the error names that have a meaning of their
 * own there.
 */
export const kinds: ReadonlyArray<{
  readonly name: string
  readonly syscall: string
  readonly codes: ReadonlyArray<string>
}> = [
  { name: "registering a descriptor", syscall: "epoll_ctl(ADD)", codes: Object.keys(selectorReasonByCode) },
  { name: "a call on a path", syscall: 'open("/path")', codes: Object.keys(pathReasonByCode) },
  { name: "a call on a process", syscall: "pidfd_open", codes: Object.keys(processReasonByCode) },
  { name: "starting a program", syscall: 'posix_spawn("sh")', codes: Object.keys(programReasonByCode) },
  { name: "any call", syscall: "other", codes: Object.keys(reasonByCode) }
]

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n")

const reasonsTable = (): string => {
  const source = readFileSync("src/PollerError.ts", "utf8")
  return table(
    ["reason", "meaning"],
    tags.map((tag) => [`\`${tag}\``, docSummary(source, tag)])
  )
}

const operationsTables = (): string =>
  Array.from(Map.groupBy(operations, ({ module }) => module))
    .map(([module, rows]) => {
      const used = tags.filter((tag) => rows.some(({ reasons }) => reasons.has(tag)))
      return `### ${module}\n\n${table(
        ["", ...used.map((tag) => `\`${tag}\``)],
        rows.map(({ name, reasons }) => [`\`${name}\``, ...used.map((tag) => (reasons.has(tag) ? "✓" : ""))])
      )}`
    })
    .join("\n\n")

const isSpecial = (code: string): boolean =>
  Object.hasOwn(selectorReasonByCode, code) || Object.hasOwn(pathReasonByCode, code)

const codesTable = (): string =>
  table(
    ["error", "returned by", "reason"],
    kinds
      .flatMap(({ codes, name, syscall }) =>
        codes.map((code) => [
          `\`${code}\``,
          name === "any call" && isSpecial(code) ? "any other call" : name,
          `\`${fromErrno(syscall, errnoOf(code)).reason._tag}\``
        ])
      )
      .toSorted(([one], [other]) => one!.localeCompare(other!))
  )

/** Returns the page with its tables as they should be. */
export const expectedPage = async (): Promise<string> => {
  let text = readFileSync(page, "utf8")
  for (const [name, make] of Object.entries({
    reasons: reasonsTable,
    operations: operationsTables,
    codes: codesTable
  })) {
    const [begin, end] = [`<!-- begin ${name} -->`, `<!-- end ${name} -->`]
    const [before, rest] = text.split(begin)
    const [, after] = rest!.split(end)
    text = `${before}${begin}\n\n${make()}\n\n${end}${after}`
  }
  return format(text, { ...(await resolveConfig(page)), parser: "markdown" })
}
