/**
 * Two reports of a socket in one batch: a polling thread that was faster than the consumer delivers
 * them so.
 */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Batch } from "../../src/internal/delivery/batch.ts"
import { ByteReader } from "../../src/internal/bytes/byteReader.ts"
import { WatchedFd } from "../../src/internal/descriptor/watchedFd.ts"
import { libc } from "../../src/internal/libc/koffi.ts"
import type { Attachment } from "../../src/internal/delivery/attachment.ts"

const refuse = () => expect.fail("it makes a call of its own")

it.effect("two reports in one batch cause one read, because a second would replace the result of the first", () =>
  Effect.sync(() => {
    const rooms: Array<number> = []
    const batch = { read: (_, room) => void rooms.push(room) } satisfies Pick<Batch, "read"> as unknown as Batch
    const calls = { reading: "recv", read: refuse, writing: "send", write: refuse, isStream: true }
    const reader = new ByteReader(new WatchedFd({ selector: {} } as Attachment, -1), libc(), calls)
    reader.readIn(batch, 8)
    reader.readIn(batch, 8)
    expect(rooms).toEqual([8])

    // The read would have blocked, so the next report may cause another one.
    reader.received(-libc().profile.errno.EAGAIN, Buffer.alloc(8), 0, 8)
    reader.readIn(batch, 8)
    expect(rooms).toEqual([8, 8])

    // Bytes that have come are taken first.
    reader.received(3, Buffer.from("abcdefgh"), 0, 8)
    reader.readIn(batch, 8)
    expect(rooms).toEqual([8, 8])
    expect(reader.takeChunk()).toEqual(new Uint8Array(Buffer.from("abc")))
    reader.readIn(batch, 8)
    expect(rooms).toEqual([8, 8, 8])
  })
)
