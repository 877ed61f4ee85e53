/** The peer of B11 on `node:dgram`: `b11node.ts echo|sink`. */
import { createSocket } from "node:dgram"

const isSink = process.argv[2] === "sink"
const socket = createSocket("udp4")
const count = new Uint32Array(1)
socket.on("message", (payload, { address, port }) => {
  count[0]!++
  if (!isSink) socket.send(payload, port, address)
  else if (payload[0] === 1) socket.send(new Uint8Array(count.buffer), port, address)
})
socket.bind(0, "127.0.0.1", () => console.log(socket.address().port))
