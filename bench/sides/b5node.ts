/**
 * B5's peer: a plain echo server with `node:net`. Prints its port, then serves until it is ended.
 */
import { createServer, type AddressInfo } from "node:net"

const server = createServer({ noDelay: true }, (socket) => {
  socket.on("data", (data) => socket.write(data))
  // The load may close its connections at any time.
  socket.on("error", () => socket.destroy())
})
server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port))
