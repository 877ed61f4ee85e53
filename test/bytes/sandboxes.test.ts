/** The sockets of a batch, where a container forbids io_uring, or Linux AIO, or both. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { fileURLToPath } from "node:url"
import { linux } from "../../src/internal/libc/profiles/linux.ts"
import { hasAio, hasUring } from "../support/batch.ts"
import { programUrl } from "../support/programUrl.ts"
import { runProgram } from "../support/programs.ts"

const EPERM = 1
const ENOSYS = 38
const { enter, setup } = linux.ioUring
const io_uring_register = enter + 1
const uring = [setup, enter, io_uring_register]
const calls = linux.aio.calls[process.arch]
const aio = calls === undefined ? [] : Object.values(calls)
const submit = calls === undefined ? [] : [calls.submit]

const first = hasAio ? "Linux AIO" : "single calls"

describe("an echo server on each layer", () => {
  it.live.each([
    ["is not restricted", [], EPERM, hasUring ? "io_uring" : first],
    ["is forbidden io_uring, as Docker does it", uring, EPERM, first],
    ["is forbidden io_uring, as older Dockers do it", uring, ENOSYS, first],
    ["is forbidden Linux AIO", aio, EPERM, hasUring ? "io_uring" : "single calls"],
    ["is forbidden both", [...uring, ...aio], EPERM, "single calls"],
    ["is forbidden to submit, but not to prepare it", [...uring, ...submit], EPERM, "single calls"]
  ] as const)("serves its clients if it %s", ([, forbidden, errno, expected]) =>
    Effect.gen(function* () {
      const program = fileURLToPath(programUrl("programs/manyEchoes"))
      const ended = yield* runProgram("sandbox", [JSON.stringify(forbidden), String(errno), program])
      expect(ended).toMatchObject({ code: 0, signal: null, errors: "" })
      const kinds = JSON.parse(ended.output.at(-1)!) as Record<string, string>
      expect(kinds).toEqual({
        layerWorker: expected,
        layerEventLoop: expected,
        layerBlocking: expected,
        layerAttach: expected
      })
    })
  )
})
