/**
 * The worker of amy's own example: a thread that does not poll, but registers, accepts, reads and
 * writes. It echoes one line to one client, and posts each notification that it receives.
 */
import { Effect } from "effect"
import { Poller, Registrar } from "effect-amy"
import { parentPort, workerData } from "node:worker_threads"
import * as Kernel from "./kernel.ts"

const tell = (message: unknown) => parentPort!.postMessage(message)

const next = Effect.gen(function* () {
  const poller = yield* Poller.Poller
  const notifications = yield* poller.wait("100 seconds")
  tell(notifications.map(({ event, id }) => [id, event]))
})

const program = Effect.gen(function* () {
  const listener = Kernel.listen()
  yield* Registrar.register(listener, "Read")
  tell({ port: listener.port })

  yield* next
  const connection = Kernel.accept(listener.fd)
  tell({ acceptedAgain: Kernel.accept(listener.fd) })
  const id = yield* Registrar.register(connection, "Read")

  yield* next
  const line = Kernel.readText(connection)
  yield* Registrar.reregister(connection, id, "Write")

  yield* next
  Kernel.writeText(connection, line)

  const poller = yield* Poller.Poller
  tell({ left: (yield* poller.wait(0)).length })
  yield* Registrar.deregister(connection)
  yield* Registrar.deregister(listener)
  Kernel.close(connection)
  Kernel.close(listener.fd)
})

await Effect.runPromise(Effect.provide(program, Poller.layerAttach(workerData)))
