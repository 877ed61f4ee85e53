/**
 * B5 and B6: a plain echo server with `Bun.listen`. It prints its port, then serves until it is
 * ended. A socket takes what it has room for, and the program keeps the rest.
 */
const noBytes = new Uint8Array(0)

const send = (socket, bytes) => {
  const sent = Math.max(0, socket.write(bytes))
  socket.data.rest = sent < bytes.length ? bytes.slice(sent) : noBytes
}

const server = Bun.listen({
  hostname: "127.0.0.1",
  port: 0,
  socket: {
    open(socket) {
      socket.setNoDelay(true)
      socket.data = { rest: noBytes }
    },
    data(socket, bytes) {
      const { rest } = socket.data
      if (rest.length === 0) send(socket, bytes)
      else socket.data.rest = Buffer.concat([rest, bytes])
    },
    drain(socket) {
      send(socket, socket.data.rest)
    },
    // The load may close its connections at any time.
    error(socket) {
      socket.end()
    }
  }
})
console.log(server.port)
