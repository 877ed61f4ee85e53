/*
 * Opens descriptors, and starts a program that inherits them. Makes all of them ready once for each byte
 * that the program sends through a pipe. The writer is the same for every side, and is a separate process.
 *
 * "each": every descriptor is a separate eventfd, and each one is written to. "burst": each 250 of them
 * are duplicates of one eventfd, so that making them ready costs next to nothing. (They are not all
 * duplicates of one. The kernel refuses an epoll instance inside another one, as in an event loop, if one
 * file reaches it in more than 500 ways.)
 */
#include "common.h"
#include <fcntl.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/wait.h>

/* Above the descriptors that the program opens itself, and those that the shell left open. */
#define FIRST 2000

#define DUPLICATES 250

static void set(const char *name, int value) {
  char text[16];
  snprintf(text, sizeof text, "%d", value);
  setenv(name, text, 1);
}

int main(int argc, char **argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: writer each|burst COUNT PROGRAM [ARGUMENT...]\n");
    return 2;
  }
  int step = strcmp(argv[1], "burst") == 0 ? DUPLICATES : 1;
  int count = atoi(argv[2]);
  int source = -1;
  for (int i = 0; i < count; i++) {
    if (i % step == 0) source = check("eventfd", eventfd(0, EFD_NONBLOCK));
    if (check("fcntl", fcntl(source, F_DUPFD, FIRST)) != FIRST + i) {
      fprintf(stderr, "descriptor %d is taken\n", FIRST + i);
      return 1;
    }
    if ((i + 1) % step == 0 || i + 1 == count) close(source);
  }
  int go[2];
  check("pipe", pipe(go));
  pid_t child = check("fork", fork());
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(go[0]);
    set("BENCH_FIRST_FD", FIRST);
    set("BENCH_COUNT", count);
    set("BENCH_GO_FD", go[1]);
    execvp(argv[3], argv + 3);
    fail(argv[3]);
  }
  close(go[1]);
  char byte;
  while (read(go[0], &byte, 1) == 1)
    for (int i = 0; i < count; i += step) add_one(FIRST + i);
  int status;
  check("waitpid", waitpid(child, &status, 0));
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
