/** Random sequences of operations that mean the same in every world, and what is reported of them. */
import { Effect } from "effect"
import { type Event, Registrar } from "effect-amy"
import { readyNow } from "./layers.ts"
import { outcome } from "./opened.ts"
import { said, type Socket, type Test } from "./worlds.ts"

type Mode = "edge" | "oneshot"

/** What is done to one of several sockets. */
export type Step =
  | {
      readonly do: "register" | "reregister"
      readonly socket: number
      readonly event: Event.Event
      readonly mode: Mode
    }
  | {
      readonly do: "receive" | "drain" | "fill" | "makeRoom" | "endInput" | "hangUp" | "deregister" | "replace" | "look"
      readonly socket: number
    }

/** Numbers from 0 to 1, the same ones for the same seed: a linear congruential generator. */
const numbers = (seed: number): (() => number) => {
  let state = seed
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 0x1_0000_0000
  }
  // Neighbouring seeds begin alike.
  for (let i = 0; i < 5; i++) next()
  return next
}

const events = ["Read", "Write", "Both"] as const

export const socketCount = 4

/**
 * Chooses steps that a real connection can take, too. A look comes before whatever takes readiness back, and after each
 * step of a oneshot registration: there it would matter when the kernel was asked.
 */
export const randomSteps = (seed: number, count: number): ReadonlyArray<Step> => {
  const random = numbers(seed)
  const below = (limit: number) => Math.floor(random() * limit)
  const sockets = Array.from({ length: socketCount }, () => ({
    filled: false,
    ended: false,
    gone: false,
    oneshot: false
  }))
  const steps: Array<Step> = []
  while (steps.length < count) {
    const socket = below(socketCount)
    const state = sockets[socket]!
    const look = () => steps.push({ do: "look", socket })
    const choice = below(10)
    if (choice < 3) {
      if (state.ended) continue
      steps.push({ do: "receive", socket })
    } else if (choice === 3) {
      look()
      steps.push({ do: "drain", socket })
    } else if (choice === 4) {
      if (state.gone) continue
      if (!state.filled) look()
      steps.push({ do: state.filled ? "makeRoom" : "fill", socket })
      state.filled = !state.filled
    } else if (choice === 5) {
      // Ends are rarer than all the rest, for not much can happen after them.
      if (random() < 0.5 || state.gone) continue
      const both = state.ended || random() < 0.5
      if (both && state.filled) {
        // Otherwise the real peer would have to read what there is first, and that could be seen in between.
        steps.push({ do: "makeRoom", socket })
        look()
        state.filled = false
      }
      steps.push({ do: both ? "hangUp" : "endInput", socket })
      state.ended = true
      state.gone = both
    } else if (choice < 8) {
      look()
      const mode = random() < 0.25 ? "oneshot" : "edge"
      steps.push({ do: choice === 6 ? "register" : "reregister", socket, event: events[below(3)]!, mode })
      // It may be refused; then a look too many does no harm.
      state.oneshot ||= mode === "oneshot"
    } else if (choice === 8) {
      steps.push({ do: "deregister", socket })
    } else {
      look()
      steps.push({ do: "replace", socket })
      sockets[socket] = { filled: false, ended: false, gone: false, oneshot: false }
    }
    if (state.oneshot || random() < 0.5) look()
  }
  steps.push({ do: "look", socket: 0 })
  return steps
}

/** Takes the steps, and answers how each came out and what was reported. */
export const play =
  (steps: ReadonlyArray<Step>): Test<ReadonlyArray<unknown>> =>
  (world) =>
    Effect.gen(function* () {
      const sockets: Array<Socket> = []
      const ids: Array<number> = []
      for (let i = 0; i < socketCount; i++) sockets.push(yield* world.socket)
      const log: Array<unknown> = []
      for (const step of steps) {
        const socket = sockets[step.socket]!
        switch (step.do) {
          case "register": {
            const { event, mode } = step
            const register = Effect.tap(Registrar.register(socket, event, { mode }), (id) =>
              Effect.sync(() => {
                ids[step.socket] = id
              })
            )
            log.push([step, yield* outcome(register), ids[step.socket]])
            break
          }
          case "reregister": {
            const { event, mode } = step
            const id = ids[step.socket] ?? 1
            log.push([
              step,
              yield* outcome(Registrar.reregister(socket, Registrar.RegistrationId(id), event, { mode }))
            ])
            break
          }
          case "deregister":
            log.push([step, yield* outcome(Registrar.deregister(socket))])
            break
          case "replace":
            yield* socket.close
            sockets[step.socket] = yield* world.socketAt(socket.fd)
            log.push([step])
            break
          case "look": {
            const reported = (yield* readyNow).map(said).toSorted((a, b) => a.id - b.id)
            log.push(["look", ...reported])
            break
          }
          default:
            yield* socket[step.do]
            log.push([step])
        }
      }
      return log
    })
