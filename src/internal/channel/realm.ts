/**
 * Ports that belong to another realm: a context of `node:vm`, as test runners make one for each
 * file. Such a port is not an instance of this realm's `MessagePort`, and emits no events.
 */
import { MessageChannel, MessagePort, receiveMessageOnPort } from "node:worker_threads"

/** Whether a value is a port of any realm. Node's methods throw on everything else. */
export const isMessagePort = (u: unknown): u is MessagePort => {
  try {
    MessagePort.prototype.hasRef.call(u as MessagePort)
    return true
  } catch {
    return false
  }
}

/** Returns a port of this realm: the same one, or one that takes the other's place. */
export const portHere = (port: MessagePort): MessagePort => {
  if (port instanceof MessagePort) return port
  const { port1, port2 } = new MessageChannel()
  port1.postMessage(port, [port])
  const received = receiveMessageOnPort(port2) as { readonly message: MessagePort }
  port1.close()
  return received.message
}
