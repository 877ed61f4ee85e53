/** The calls that are queued for io_submit(2): an array of `struct iocb`, and one of their addresses. */
import type { Libc } from "../libc/koffi.ts"

/** Offsets in `struct iocb`, in words, and its size. */
const Word = { Data: 0, Flags: 3, Operation: 4, Fd: 5, Address: 6, Length: 8 } as const
const entryWords = 16
const entryBytes = entryWords * 4

const shortPointers: ReadonlyArray<NodeJS.Architecture> = ["arm", "ia32"]
const pointerBytes = shortPointers.includes(process.arch) ? 4 : 8

export class AioEntries {
  readonly capacity: number
  readonly #words: Int32Array
  readonly #pointers: Buffer
  readonly #pointersAt: number

  constructor(libc: Libc, capacity: number) {
    this.capacity = capacity
    const bytes = Buffer.alloc(capacity * entryBytes)
    this.#words = new Int32Array(bytes.buffer, bytes.byteOffset, capacity * entryWords)
    const first = Number(libc.addressOf(bytes))
    this.#pointers = Buffer.alloc(capacity * pointerBytes)
    for (let i = 0; i < capacity; i++) {
      const address = first + i * entryBytes
      if (pointerBytes === 4) this.#pointers.writeUInt32LE(address, i * 4)
      else this.#pointers.writeBigUInt64LE(BigInt(address), i * 8)
    }
    this.#pointersAt = Number(libc.addressOf(this.#pointers))
  }

  /** Writes an entry. The result of its call comes with `data`. */
  put(
    index: number,
    operation: number,
    flags: number,
    fd: number,
    address: number,
    length: number,
    data: number
  ): void {
    const words = this.#words
    const at = index * entryWords
    words[at + Word.Data] = data
    words[at + Word.Flags] = flags
    words[at + Word.Operation] = operation
    words[at + Word.Fd] = fd
    words[at + Word.Address] = address
    words[at + Word.Address + 1] = address / 2 ** 32
    words[at + Word.Length] = length
  }

  dataOf(index: number): number {
    return this.#words[index * entryWords + Word.Data]!
  }

  /** Returns the address of the array of addresses, from an entry on. */
  from(index: number): number {
    return this.#pointersAt + index * pointerBytes
  }
}
