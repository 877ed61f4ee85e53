/* Shared by the loads: starts the server that is measured, and ends it. */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* A server that takes longer hangs. */
#define PATIENCE_MS 5000

static void give_up(const char *what) {
  fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
  /* The kernel ends the server together with this process. */
  exit(1);
}

static pid_t start_server(char **command, int *port) {
  int output[2];
  check("pipe2", pipe2(output, O_CLOEXEC));
  pid_t parent = getpid();
  pid_t child = check("fork", fork());
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* The parent may have ended before prctl. */
    if (getppid() != parent) _exit(1);
    check("dup2", dup2(output[1], STDOUT_FILENO));
    execvp(command[0], command);
    fail(command[0]);
  }
  close(output[1]);
  /* This stays open, because the server may print more. */
  FILE *lines = fdopen(output[0], "r");
  char line[64];
  if (lines == NULL) fail("fdopen");
  if (fgets(line, sizeof line, lines) == NULL) give_up("the server ended before it had printed its port");
  *port = atoi(line);
  if (*port < 1 || *port > 65535) give_up("the first line that the server prints has to be its port");
  return child;
}

static void end_server(pid_t child) {
  int status;
  kill(child, SIGTERM);
  double until = now_ms() + PATIENCE_MS;
  while (check("waitpid", waitpid(child, &status, WNOHANG)) == 0) {
    if (now_ms() > until) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      give_up("the server did not end at SIGTERM");
    }
    struct timespec moment = {.tv_nsec = 1000000};
    nanosleep(&moment, NULL);
  }
  int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  /* An Effect program that was interrupted exits with 130. */
  if (code != 0 && code != 128 + SIGTERM && code != 130) {
    fprintf(stderr, "%s: the server ended with exit code %d\n", program_invocation_short_name, code);
    exit(1);
  }
}
