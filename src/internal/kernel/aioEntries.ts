/** The calls that are queued for io_submit(2): an array of `struct iocb`, and one of their addresses. */
import type { Libc } from "../libc/koffi.ts"
import { makePointers, type PointerArray, setPointer } from "../libc/prototypes/pointers.ts"

/** Offsets in `struct iocb`, in words, and its size. */
const Word = { Data: 0, Flags: 3, Operation: 4, Fd: 5, Address: 6, Length: 8 } as const
const entryWords = 16
const entryBytes = entryWords * 4

export class AioEntries {
  readonly capacity: number
  readonly #words: Int32Array
  readonly #pointers: PointerArray
  readonly #pointersAt: number

  constructor(libc: Libc, capacity: number) {
    this.capacity = capacity
    const bytes = Buffer.alloc(capacity * entryBytes)
    this.#words = new Int32Array(bytes.buffer, bytes.byteOffset, capacity * entryWords)
    const first = libc.addressOf(bytes)
    this.#pointers = makePointers(libc.profile.pointerBytes, capacity)
    for (let i = 0; i < capacity; i++) setPointer(this.#pointers, i, first + BigInt(i * entryBytes))
    this.#pointersAt = Number(libc.addressOf(new Uint8Array(this.#pointers.buffer)))
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
    return this.#pointersAt + index * this.#pointers.BYTES_PER_ELEMENT
  }
}
