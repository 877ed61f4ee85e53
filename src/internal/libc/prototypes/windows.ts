/**
 * Prototypes of the calls by which Windows polls: of kernel32, ntdll and ws2_32. Only
 * `kernel/afd.ts` and what stands beside it calls them.
 *
 * A handle is `intptr_t`, and so is the address of memory that outlives a thread. An argument that
 * is memory of this thread is a view of it, or `null`.
 */
export interface WindowsFunctions {
  readonly CloseHandle: (handle: number) => number
  readonly CreateIoCompletionPort: (file: number, port: number, key: number, threads: number) => number
  /** Duplicates a handle of this process (the source and the target are -1), and writes it to `copy`. */
  readonly DuplicateHandle: (
    source: number,
    handle: number,
    target: number,
    copy: BigInt64Array,
    access: number,
    inherit: number,
    options: number
  ) => number
  readonly GetHandleInformation: (handle: number, flags: Uint32Array) => number
  readonly GetLastError: () => number
  readonly GetQueuedCompletionStatusEx: (
    port: number,
    entries: Int32Array,
    count: number,
    removed: Uint32Array,
    milliseconds: number,
    alertable: number
  ) => number
  readonly PostQueuedCompletionStatus: (port: number, bytes: number, key: number, overlapped: number) => number
  readonly QueryPerformanceCounter: (count: BigInt64Array) => number
  readonly QueryPerformanceFrequency: (frequency: BigInt64Array) => number
  readonly SetFileCompletionNotificationModes: (file: number, modes: number) => number
  readonly VirtualAlloc: (address: number, size: number, type: number, protection: number) => number
  readonly VirtualFree: (address: number, size: number, type: number) => number
  /** Takes the attributes as an `OBJECT_ATTRIBUTES`, and an `IO_STATUS_BLOCK`. Returns a status. */
  readonly NtCreateFile: (
    handle: BigInt64Array,
    access: number,
    attributes: BigUint64Array,
    statusBlock: BigUint64Array,
    size: null,
    fileAttributes: number,
    share: number,
    disposition: number,
    options: number,
    extended: null,
    extendedLength: number
  ) => number
  /** The status block, the input and the output are addresses. Returns a status. */
  readonly NtDeviceIoControlFile: (
    file: number,
    event: number,
    routine: number,
    context: number,
    statusBlock: number,
    code: number,
    input: number,
    inputLength: number,
    output: number,
    outputLength: number
  ) => number
  /** Cancels the request that has the status block at this address. Returns a status. */
  readonly NtCancelIoFileEx: (file: number, request: number, statusBlock: BigUint64Array) => number
  readonly RtlNtStatusToDosError: (status: number) => number
  readonly WSAGetLastError: () => number
  readonly WSAIoctl: (
    socket: number,
    code: number,
    input: null,
    inputLength: number,
    output: BigInt64Array,
    outputLength: number,
    returned: Uint32Array,
    overlapped: null,
    routine: null
  ) => number
  /** Takes one `WSAPOLLFD`. */
  readonly WSAPoll: (fds: Int32Array, count: number, timeout: number) => number
}

export const windowsPrototypes: { readonly [Name in keyof WindowsFunctions]: string } = {
  CloseHandle: "int CloseHandle(intptr_t handle)",
  CreateIoCompletionPort:
    "intptr_t CreateIoCompletionPort(intptr_t file, intptr_t port, uintptr_t key, uint32_t threads)",
  DuplicateHandle:
    "int DuplicateHandle(intptr_t source, intptr_t handle, intptr_t target, void *copy, uint32_t access, int inherit, uint32_t options)",
  GetHandleInformation: "int GetHandleInformation(intptr_t handle, void *flags)",
  GetLastError: "uint32_t GetLastError()",
  GetQueuedCompletionStatusEx:
    "int GetQueuedCompletionStatusEx(intptr_t port, void *entries, uint32_t count, void *removed, uint32_t milliseconds, int alertable)",
  PostQueuedCompletionStatus:
    "int PostQueuedCompletionStatus(intptr_t port, uint32_t bytes, uintptr_t key, intptr_t overlapped)",
  QueryPerformanceCounter: "int QueryPerformanceCounter(void *count)",
  QueryPerformanceFrequency: "int QueryPerformanceFrequency(void *frequency)",
  SetFileCompletionNotificationModes: "int SetFileCompletionNotificationModes(intptr_t file, uint8_t modes)",
  VirtualAlloc: "intptr_t VirtualAlloc(intptr_t address, size_t size, uint32_t type, uint32_t protection)",
  VirtualFree: "int VirtualFree(intptr_t address, size_t size, uint32_t type)",
  NtCreateFile:
    "int NtCreateFile(void *handle, uint32_t access, void *attributes, void *status_block, void *size, uint32_t file_attributes, uint32_t share, uint32_t disposition, uint32_t options, void *extended, uint32_t extended_length)",
  NtDeviceIoControlFile:
    "int NtDeviceIoControlFile(intptr_t file, intptr_t event, intptr_t routine, intptr_t context, intptr_t status_block, uint32_t code, intptr_t input, uint32_t input_length, intptr_t output, uint32_t output_length)",
  NtCancelIoFileEx: "int NtCancelIoFileEx(intptr_t file, intptr_t request, void *status_block)",
  RtlNtStatusToDosError: "uint32_t RtlNtStatusToDosError(int status)",
  WSAGetLastError: "int WSAGetLastError()",
  WSAIoctl:
    "int WSAIoctl(intptr_t socket, uint32_t code, void *input, uint32_t input_length, void *output, uint32_t output_length, void *returned, void *overlapped, void *routine)",
  WSAPoll: "int WSAPoll(void *fds, uint32_t count, int timeout)"
}
