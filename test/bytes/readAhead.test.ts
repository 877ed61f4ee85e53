/** Two reports of one socket in one batch, as a polling thread delivers them when it was faster than their consumer. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Batch } from "../../src/internal/delivery/batch.ts"
import { ByteReader } from "../../src/internal/bytes/byteReader.ts"
import { WatchedFd } from "../../src/internal/descriptor/watchedFd.ts"
import { libc } from "../../src/internal/libc/koffi.ts"
import type { Attachment } from "../../src/internal/delivery/attachment.ts"

const refuse = () => expect.fail("it makes no call of its own")

it.effect("it is read once for both, for a second read would take the place of the first", () =>
  Effect.sync(() => {
    const rooms: Array<number> = []
    const batch = { read: (_, room) => void rooms.push(room) } satisfies Pick<Batch, "read"> as unknown as Batch
    const calls = { reading: "recv", read: refuse, writing: "send", write: refuse, isStream: true }
    const reader = new ByteReader(new WatchedFd({} as Attachment, -1), libc(), calls)
    reader.readIn(batch, 8)
    reader.readIn(batch, 8)
    expect(rooms).toEqual([8])

    // It would have blocked, and so the next report may lead to another one.
    reader.received(-libc().profile.errno.EAGAIN, Buffer.alloc(8), 0, 8)
    reader.readIn(batch, 8)
    expect(rooms).toEqual([8, 8])

    // What has come is taken first.
    reader.received(3, Buffer.from("abcdefgh"), 0, 8)
    reader.readIn(batch, 8)
    expect(rooms).toEqual([8, 8])
    expect(reader.takeChunk()).toEqual(new Uint8Array(Buffer.from("abc")))
    reader.readIn(batch, 8)
    expect(rooms).toEqual([8, 8, 8])
  })
)
