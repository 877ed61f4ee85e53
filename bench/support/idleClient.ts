/**
 * The clients of B12: `idleClient.ts PORT`. Each message from the parent is how many connections
 * to have open. Replies once they are, and each has sent one request and received its echo.
 */
import { once } from "node:events"
import { connect, type Socket } from "node:net"

const port = Number(process.argv[2])
const request = Buffer.alloc(64, "idle")
/** Fewer than fit into the backlog of a listener. */
const together = 100

let open: Array<Socket> = []

const opened = async (): Promise<Socket> => {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true })
  let received = 0
  socket.write(request)
  while (received < request.length) {
    const [chunk] = (await once(socket, "data")) as [Buffer]
    received += chunk.length
  }
  return socket
}

const become = async (count: number): Promise<void> => {
  const closed = open.map((socket) => once(socket, "close"))
  for (const socket of open) socket.destroy()
  await Promise.all(closed)
  open = []
  while (open.length < count) {
    open.push(...(await Promise.all(Array.from({ length: Math.min(together, count - open.length) }, opened))))
  }
}

process.on("message", (count: number) => void become(count).then(() => process.send!("open")))
