/** Runs the clients on a separate thread. */
import { Data, Effect } from "effect"
import { Worker } from "node:worker_threads"
import type { Kind } from "./client.ts"
import type { ClientOptions } from "./options.ts"

export interface ClientsInput extends ClientOptions {
  readonly port: number
}

export interface ClientsResult {
  readonly sent: number
  readonly received: number
  /** One sentence for each client that lost something. */
  readonly problems: ReadonlyArray<string>
  /** Figures for each kind of client, with round trips in milliseconds. */
  readonly kinds: ReadonlyArray<{
    readonly kind: Kind
    readonly clients: number
    readonly echoes: number
    readonly p50: number
    readonly p99: number
  }>
}

/** The clients' thread itself failed. */
export class ClientsError extends Data.TaggedError("ClientsError")<{ readonly cause: unknown }> {
  override get message(): string {
    return `the clients' thread failed: ${String(this.cause)}`
  }
}

/** Runs all clients, and returns once their thread has ended. */
export const run = (input: ClientsInput): Effect.Effect<ClientsResult, ClientsError> =>
  Effect.callback((resume) => {
    const worker = new Worker(new URL("./clientThread.ts", import.meta.url), { workerData: input, name: "clients" })
    let result: Effect.Effect<ClientsResult, ClientsError> | undefined
    worker.on("message", (value: ClientsResult) => (result = Effect.succeed(value)))
    worker.on("error", (cause) => (result = Effect.fail(new ClientsError({ cause }))))
    worker.on("exit", (code) => resume(result ?? Effect.fail(new ClientsError({ cause: `exit code ${code}` }))))
    return Effect.promise(() => worker.terminate())
  })
