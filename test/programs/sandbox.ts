/**
 * Runs a program under a filter of system calls, seccomp(2), as containers do. The arguments: the
 * numbers of the calls that are forbidden, the errno that they fail with, the program, and its
 * arguments. What it prints, and how it ends, is what the program does.
 */
import koffi from "koffi"

const PR_SET_SECCOMP = 22
const PR_SET_NO_NEW_PRIVS = 38
const F_SETFD = 2
const SECCOMP_MODE_FILTER = 2
const SECCOMP_RET_ALLOW = 0x7fff_0000
const SECCOMP_RET_ERRNO = 0x0005_0000
/** Instructions of the filter: load a word of the call, jump if it equals, return. */
const LOAD = 0x20
const JUMP_IF_EQUAL = 0x15
const RETURN = 0x06

const [forbidden, errno, ...program] = process.argv.slice(2)
const numbers = JSON.parse(forbidden!) as ReadonlyArray<number>

const instructions = [
  [LOAD, 0, 0],
  ...numbers.map((number, index) => [JUMP_IF_EQUAL, numbers.length - index, number] as const),
  [RETURN, 0, SECCOMP_RET_ALLOW],
  [RETURN, 0, SECCOMP_RET_ERRNO | Number(errno)]
] as const
const code = Buffer.alloc(instructions.length * 8)
for (const [index, [operation, jump, operand]] of instructions.entries()) {
  code.writeUInt16LE(operation, index * 8)
  code.writeUInt8(jump, index * 8 + 2)
  code.writeUInt32LE(operand, index * 8 + 4)
}
const filter = Buffer.alloc(16)
filter.writeUInt16LE(instructions.length, 0)
filter.writeBigUInt64LE(koffi.address(code), 8)

const libc = koffi.load(null)
const prctl = libc.func("int prctl(int option, ...)") as (option: number, ...rest: ReadonlyArray<unknown>) => number
const execv = libc.func("int execv(const char *path, const char **arguments)") as (
  path: string,
  argv: ReadonlyArray<string | null>
) => number
const fcntl = libc.func("int fcntl(int fd, int command, ...)") as (
  fd: number,
  command: number,
  type: "int",
  argument: number
) => number
const zero = ["unsigned long", 0] as const

if (prctl(PR_SET_NO_NEW_PRIVS, "unsigned long", 1, ...zero, ...zero, ...zero) !== 0) {
  throw new Error("prctl(PR_SET_NO_NEW_PRIVS)")
}
if (prctl(PR_SET_SECCOMP, "unsigned long", SECCOMP_MODE_FILTER, "void *", filter) !== 0) {
  throw new Error("prctl(PR_SET_SECCOMP)")
}
// This process has an io_uring of libuv, which it may not use any more. The program begins anew,
// with all of its threads under the filter.
// Node has made its standard streams close-on-exec.
for (const fd of [0, 1, 2]) fcntl(fd, F_SETFD, "int", 0)
execv(process.execPath, [process.execPath, "--conditions=effect-amy-source", ...program, null])
throw new Error("execv")
