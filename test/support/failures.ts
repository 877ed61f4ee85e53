/**
 * What each public operation can fail with, as doc comments say. They say it in sentences or items
 * of a list that begin with "Fails with". A list in the comment of an interface is for the members
 * that the line above it names (`read`, `write`:), or for all of them if it names none.
 */
import { globSync, readFileSync } from "node:fs"
import { basename } from "node:path"

export interface Operation {
  /** `Tcp`, the file without its ending. */
  readonly module: string
  /** `Tcp.listen`, `TcpStream.read`: a service's members are named like the module's functions. */
  readonly name: string
  /** The file, and the line where it is declared. */
  readonly source: string
  /** Tags of reasons, each once. */
  readonly reasons: ReadonlySet<string>
}

interface Declaration {
  readonly name: string
  readonly line: number
  readonly doc: string
  readonly text: string
}

interface Container extends Declaration {
  readonly isService: boolean
  readonly members: ReadonlyArray<Declaration>
}

const exported = /^export (?:declare )?(?:abstract )?(interface|class|const|function) (\w+)/
const member = /^(\s+)(?:readonly |get )?(?:(\w+)|\[\w+\])\??\s*[:(<]/

/**
 * Splits a formatted file into its exported declarations, each with its doc comment and its
 * members.
 */
const declarations = (source: string): ReadonlyArray<Container> => {
  const lines = source.split("\n")
  const found: Array<Container> = []
  let doc = ""
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!
    if (line.startsWith("/**")) {
      const end = lines.findIndex((other, at) => at >= i && other.includes("*/"))
      doc = lines.slice(i, end + 1).join("\n")
      i = end
      continue
    }
    const match = exported.exec(line)
    if (match === null) {
      if (line !== "" && !line.startsWith(" ")) doc = ""
      continue
    }
    let end = i
    while (end + 1 < lines.length && !/^(export|\/\*\*|const |function |type |interface |class )/.test(lines[end + 1]!))
      end++
    const body = lines.slice(i, end + 1)
    found.push({
      name: match[2]!,
      line: i + 1,
      doc,
      text: body.join("\n"),
      isService: body.slice(0, 3).join("\n").includes("Context.Service"),
      members: match[1] === "interface" || match[1] === "class" ? membersOf(body, i) : []
    })
    doc = ""
    i = end
  }
  return found
}

/** Splits the members that are indented least. */
const membersOf = (body: ReadonlyArray<string>, offset: number): ReadonlyArray<Declaration> => {
  const indents = body.slice(1).flatMap((line) => (/^\s+readonly /.test(line) ? [line.search(/\S/)] : []))
  const indent = Math.min(...indents)
  const found: Array<{ name: string; line: number; doc: string; text: string }> = []
  let doc = ""
  let current: { text: string } | undefined
  for (let i = 1; i < body.length; i++) {
    const line = body[i]!
    if (line.trimStart().startsWith("/**") && line.search(/\S/) === indent) {
      const end = body.findIndex((other, at) => at >= i && other.includes("*/"))
      doc = body.slice(i, end + 1).join("\n")
      current = undefined
      i = end
      continue
    }
    const match = member.exec(line)
    if (match !== null && match[1]!.length === indent && match[2] !== undefined) {
      const next = { name: match[2], line: offset + i + 1, doc, text: line }
      found.push(next)
      current = next
      doc = ""
    } else if (line.search(/\S/) >= indent && current !== undefined) current.text += `\n${line}`
    else current = undefined
  }
  return found
}

/** Returns the text of a doc comment, without its examples. */
const proseOf = (doc: string): string =>
  doc
    .replaceAll(/^\s*(\/\*\*|\*\/|\*)? ?/gm, "")
    .replaceAll(/\*\/\s*$/g, "")
    .replaceAll(/```[\s\S]*?```/g, "")

interface Failure {
  readonly text: string
  /** The members that it is for, where the line above the list names some. */
  readonly of: ReadonlySet<string> | undefined
}

const names = (text: string): ReadonlyArray<string> => Array.from(text.matchAll(/`(\w+)`/g), (match) => match[1]!)

/**
 * Returns what a doc comment says about failing. Sentences and items go on over the lines that
 * follow.
 */
const failuresOf = (doc: string): ReadonlyArray<Failure> => {
  const found: Array<Failure> = []
  let of: ReadonlySet<string> | undefined
  for (const block of proseOf(doc).split(/\n[ \t]*\n|\n(?=- )|\n(?=@)/)) {
    const text = block.replaceAll(/\s+/g, " ").trim()
    if (text === "" || text.startsWith("@")) continue
    const isItem = text.startsWith("- ")
    if (!isItem) of = text.endsWith(":") && names(text).length > 0 ? new Set(names(text)) : undefined
    for (const [sentence] of text.matchAll(/\bFails with .*?(?:\.(?= |$)|$)/g)) {
      found.push({ text: sentence, of: isItem ? of : undefined })
    }
  }
  return found
}

const tagsOf = (failures: ReadonlyArray<Failure>, tags: ReadonlySet<string>, member?: string): ReadonlyArray<string> =>
  failures
    .filter(({ of }) => of === undefined || member === undefined || of.has(member))
    .flatMap(({ text }) => names(text).filter((name) => tags.has(name)))

/**
 * Modules whose operations fail with the errors of `effect/socket`, with a `PollerError` as the
 * cause.
 */
const ofEffectSocket = new Set(["PollerSocket", "PollerSocketServer", "PollerDatagramSocket"])

/**
 * Reads the public files, and returns every operation whose type says that it fails with a
 * `PollerError`.
 */
export const publicOperations = (tags: ReadonlySet<string>): ReadonlyArray<Operation> => {
  const found = new Map<string, { module: string; name: string; source: string; reasons: Set<string> }>()
  const add = (module: string, name: string, file: string, line: number, reasons: ReadonlyArray<string>) => {
    const known = found.get(name)
    if (known === undefined) found.set(name, { module, name, source: `${file}:${line}`, reasons: new Set(reasons) })
    else for (const reason of reasons) known.reasons.add(reason)
  }
  for (const file of globSync(["src/*.ts", "src/{net,system,testing}/*.ts"]).toSorted()) {
    const module = basename(file, ".ts")
    if (module === "index" || module === "PollerError" || ofEffectSocket.has(module)) continue
    for (const declaration of declarations(readFileSync(file, "utf8"))) {
      const shared = failuresOf(declaration.doc)
      if (declaration.members.length === 0) {
        if (mayFail(declaration.text))
          add(module, `${module}.${declaration.name}`, file, declaration.line, tagsOf(shared, tags))
        continue
      }
      for (const { doc, line, name, text } of declaration.members) {
        if (!mayFail(text)) continue
        add(module, `${declaration.name}.${name}`, file, line, [
          ...tagsOf(shared, tags, name),
          ...tagsOf(failuresOf(doc), tags)
        ])
      }
    }
  }
  return Array.from(found.values())
}

/** Whether a type has the error in the place of an error. */
const mayFail = (text: string): boolean => /\b(Effect|Layer|Stream|Sink|Dequeue)<[^=]*\bPollerError\b/.test(text)

/** Everything that the public files say about failing, with where it stands. */
export const failureSentences = (): ReadonlyArray<{ readonly source: string; readonly text: string }> =>
  globSync(["src/*.ts", "src/{net,system,testing}/*.ts"])
    .toSorted()
    .flatMap((file) =>
      Array.from(readFileSync(file, "utf8").matchAll(/\/\*\*[\s\S]*?\*\//g)).flatMap(([doc]) =>
        failuresOf(doc).map(({ text }) => ({ source: file, text }))
      )
    )

/** Returns the first paragraph of an exported declaration's doc comment, on one line. */
export const docSummary = (source: string, name: string): string => {
  const declaration = declarations(source).find((declaration) => declaration.name === name)
  return proseOf(declaration?.doc ?? "")
    .trim()
    .split(/\n\s*\n/)[0]!
    .replaceAll(/\{@link (\w+)\}/g, "`$1`")
    .replaceAll(/\s+/g, " ")
}
