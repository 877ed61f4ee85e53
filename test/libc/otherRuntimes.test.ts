/** Runtimes whose event loop is not Node's: layerEventLoop is refused there, and all else works. */
import { afterEach, describe, expect, it, vi } from "@effect/vitest"
import { Effect } from "effect"
import { Poller } from "effect-amy"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { libc, load, provideLibc } from "../../src/internal/libc/koffi.ts"
import { UnsupportedSystem } from "../../src/internal/libc/unsupportedSystem.ts"
import * as Kernel from "../support/kernel.ts"
import { layerAttached } from "../support/layers.ts"

/** Writes a koffi that finds no function of libuv. */
const koffiWithoutLibuv = (directory: string): string => {
  const path = join(directory, "koffi.cjs")
  const real = JSON.stringify(createRequire(import.meta.url).resolve("koffi"))
  writeFileSync(
    path,
    `const koffi = require(${real})
    const load = (...args) => {
      const library = koffi.load(...args)
      const func = (...args) => {
        if (/uv_/.test(args[0])) throw new Error("Cannot find function '" + args[0] + "' in shared library")
        return library.func(...args)
      }
      return { func }
    }
    module.exports = { ...koffi, load }`
  )
  return path
}

const bindWatchReadable = () => {
  throw new UnsupportedSystem("layerEventLoop does not run here (use layerWorker)")
}

const directory = mkdtempSync(join(tmpdir(), "effect-amy-"))
const before = libc()

afterEach(() => {
  provideLibc(before)
})

describe("a runtime whose event loop is not Node's", () => {
  it("has a C library, and only watching with the event loop is refused", () => {
    const other = load("linux", koffiWithoutLibuv(directory))
    expect(other.functions.close(-1)).toBe(-1)
    expect(() => other.bindWatchReadable()).toThrow(UnsupportedSystem)
    rmSync(directory, { recursive: true })
  })

  it.live("layerEventLoop is refused before it opens anything, and the other layers are built", () =>
    Effect.gen(function* () {
      let opened = 0
      const { functions } = before
      const epoll_create1 = (flags: number) => {
        opened++
        return functions.epoll_create1(flags)
      }
      const descriptors = Kernel.openDescriptors()
      provideLibc({ ...before, bindWatchReadable, functions: { ...functions, epoll_create1 } })

      const { reason } = yield* Effect.flip(Effect.provide(Effect.void, Poller.layerEventLoop()))
      expect(reason).toMatchObject({
        _tag: "UnsupportedPlatform",
        message: "layerEventLoop does not run here (use layerWorker)"
      })
      expect(opened).toBe(0)

      for (const layer of [Poller.layerWorker(), layerAttached(), Poller.layerBlocking({ allowMainThread: true })]) {
        expect(yield* Effect.provide(Poller.stats, layer)).toMatchObject({ registrations: 0 })
      }
      expect(opened).toBe(3)
      expect(Kernel.openDescriptors()).toEqual(descriptors)
    })
  )

  it.each([
    ["bun", "Bun 9.9.9"],
    ["deno", "Deno 9.9.9"]
  ])("is known by its entry in process.versions: %s", async (name, shown) => {
    const versions = Object.getOwnPropertyDescriptor(process, "versions")!
    vi.resetModules()
    Object.defineProperty(process, "versions", { ...versions, value: { ...process.versions, [name]: "9.9.9" } })
    try {
      const { load } = await import("../../src/internal/libc/koffi.ts")
      expect(() => load("linux").bindWatchReadable()).toThrow(
        `layerEventLoop needs the event loop of Node.js, which ${shown} does not have (use layerWorker, which needs none)`
      )
    } finally {
      Object.defineProperty(process, "versions", versions)
    }
  })
})
