/** The page of errors says what the doc comments say, and the doc comments leave nothing out. */
import { describe, expect, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { fromErrno } from "../../src/internal/errors/pollerErrors.ts"
import { errnoOf, expectedPage, kinds, operations, page, tags } from "../support/errorsPage.ts"
import { failureSentences } from "../support/failures.ts"

const reasonsOf = (name: string) => operations.find((operation) => operation.name === name)?.reasons

describe("the page of errors", () => {
  it("is what `npm run docs:errors` writes", async () => {
    expect(readFileSync(page, "utf8")).toBe(await expectedPage())
  })

  it("has every public operation that fails with a PollerError", () => {
    const names = operations.map(({ name }) => name)
    expect(names.length).toBeGreaterThan(80)
    for (const known of ["Fd.open", "Registrar.register", "Poller.layer", "TcpStream.read", "Unix.connect"]) {
      expect(names).toContain(known)
    }
  })

  it("has the reasons of an interface's list only where the line above the list names the member", () => {
    expect(reasonsOf("TcpStream.close")).toEqual(new Set(["Closed"]))
    for (const member of ["read", "tryWrite", "stream"]) {
      expect(reasonsOf(`TcpStream.${member}`)).toContain("ConnectionReset")
    }
  })

  it("has every reason at some operation", () => {
    expect(tags.filter((tag) => !operations.some(({ reasons }) => reasons.has(tag)))).toEqual([])
  })
})

describe("a doc comment", () => {
  it("says what each operation that may fail fails with", () => {
    expect(
      operations.filter(({ reasons }) => reasons.size === 0).map(({ name, source }) => `${source} ${name}`)
    ).toEqual([])
  })

  it("names what it fails with, in code, right after the words", () => {
    const sentences = failureSentences()
    expect(sentences.length).toBeGreaterThan(100)
    expect(sentences.filter(({ text }) => !/^Fails with (an? )?`\w+`/.test(text))).toEqual([])
  })
})

describe("every error of the kernel that has a meaning", () => {
  it.each(kinds.flatMap(({ codes, name, syscall }) => codes.map((code) => [code, name, syscall] as const)))(
    "%s of %s gives a reason of its own",
    (code, _, syscall) => {
      const { message, reason } = fromErrno(syscall, errnoOf(code))
      expect(reason._tag).not.toBe("SystemError")
      expect(reason).toMatchObject({ code, syscall, errno: errnoOf(code) })
      expect(message.startsWith(`${syscall}: ${code}, `)).toBe(true)
    }
  )
})
