/**
 * Puts the program of the polling thread into the built package as text. A bundle or a single
 * executable then has it, too, and needs no other file. `embedThread.ts [DIST]` names another folder
 * than dist.
 */
import { rmSync, writeFileSync } from "node:fs"
import { resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { threadModule } from "./threadModule.ts"

const dist = process.argv[2] ?? fileURLToPath(new URL("../dist", import.meta.url))
const internal = resolve(dist, "internal")

writeFileSync(`${internal}/layers/threadProgram.js`, await threadModule(`${internal}/shared/pollingThread.js`))
rmSync(`${internal}/layers/threadProgram.js.map`)
