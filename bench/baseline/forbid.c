/*
 * Runs a program without io_uring: its system calls fail with EPERM, as they do in containers with the
 * default profiles of Docker and Kubernetes.
 */
#include "common.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

/* io_uring_setup(2), io_uring_enter(2) and io_uring_register(2). They have the same numbers on every architecture. */
#define FIRST 425
#define LAST 427

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: forbid PROGRAM [ARGUMENT...]\n");
    return 2;
  }
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FIRST, 0, 2),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, LAST, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
  check("PR_SET_NO_NEW_PRIVS", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  check("PR_SET_SECCOMP", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
  execvp(argv[1], argv + 1);
  fail(argv[1]);
}
