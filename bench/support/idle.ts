/** Measures what the connections of an echo server in this process take while they are idle. */
import { fork } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import type { Figures } from "./side.ts"

const wanted = 5000
/** Descriptors for Node, for the poller, and for what the shell left open. */
const spare = 200
/** What is compiled and cached with the first connections is not a cost of a connection. */
const warmUp = 500
/** Until then, closed connections have been noticed, and the compiler's threads have finished. */
const settleMillis = 300

const used = async (): Promise<NodeJS.MemoryUsage> => {
  if (globalThis.gc === undefined) throw new Error("start this with --expose-gc")
  for (let i = 0; i < 4; i++) {
    await setTimeout(settleMillis / 4)
    globalThis.gc()
  }
  return process.memoryUsage()
}

/** Opens connections to the server, sends one request on each, and leaves them open. */
export const measure = async (port: number): Promise<Figures> => {
  const limit = Number(/^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? 1024)
  const count = Math.min(wanted, limit - spare)
  const client = fork(fileURLToPath(new URL("./idleClient.ts", import.meta.url)), [String(port)], { execArgv: [] })
  const open = async (connections: number): Promise<void> => {
    const done = once(client, "message")
    client.send(connections)
    await done
  }
  try {
    await open(warmUp)
    await open(0)
    const before = await used()
    await open(count)
    const after = await used()
    return {
      connections: count,
      heapBytes: (after.heapUsed - before.heapUsed) / count,
      externalBytes: (after.external - before.external) / count,
      residentBytes: (after.rss - before.rss) / count
    }
  } finally {
    client.kill()
  }
}
