/**
 * Puts the program of the polling thread into the built package as text. A bundle or a single
 * executable then has it, too, and needs no other file.
 */
import { rmSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { threadModule } from "./threadModule.ts"

const internal = fileURLToPath(new URL("../dist/internal", import.meta.url))

writeFileSync(`${internal}/layers/threadProgram.js`, await threadModule(`${internal}/shared/pollingThread.js`))
rmSync(`${internal}/layers/threadProgram.js.map`)
