/**
 * Random sequences of operations that have the same meaning in every world, and the notifications
 * that follow.
 */
import { Effect } from "effect"
import { type Event, Registrar } from "effect-amy"
import { readyNow } from "./layers.ts"
import { outcome } from "./opened.ts"
import { said } from "./said.ts"
import type { Socket, Test } from "./worlds.ts"

type Mode = "edge" | "oneshot"

/** An operation on one of several sockets. */
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

/**
 * Returns a linear congruential generator of numbers from 0 to 1. The same seed gives the same
 * numbers.
 */
export const numbers = (seed: number): (() => number) => {
  let state = seed
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 0x1_0000_0000
  }
  // The first numbers of neighbouring seeds are alike.
  for (let i = 0; i < 5; i++) next()
  return next
}

const events = ["Read", "Write", "Both"] as const

export const socketCount = 4

/**
 * Chooses steps that are possible on a real connection, too. A "look" comes before each step that
 * takes readiness back, and after each step of a oneshot registration. Otherwise the result would
 * depend on the time at which the kernel is asked.
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
      // Ends are rarer than the other steps, because little can happen after them.
      if (random() < 0.5 || state.gone) continue
      const both = state.ended || random() < 0.5
      if (both && state.filled) {
        // Otherwise the real peer would have to read first, which could be reported in between.
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
      // If it is refused, the further looks do no harm.
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

/** Takes the steps. Returns the outcome of each, and what was reported. */
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
