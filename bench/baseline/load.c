/*
 * B5 and B6: starts an echo server, whose first line of output is its port, and puts it under load: on each of so many
 * connections one request after the other, the next as soon as the last one has come back. It is the same for whoever is
 * measured, and runs in a process of its own. Prints how many requests a second there were, and in how many microseconds
 * half of them, and 99 of 100, came back.
 */
#include "common.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* So that a request always fits into the empty buffer of its socket. */
#define MOST_BYTES 4096
#define PATTERNS 256
/* Counts of microseconds; whatever took longer counts for the last. */
#define LONGEST (1 << 17)
/* Nothing takes so long unless it hangs. */
#define PATIENCE_MS 5000

static int bytes;
/* What is sent begins somewhere in here, each time at another place, so that an echo of anything else is noticed. */
static unsigned char pattern[PATTERNS + MOST_BYTES];
static unsigned took[LONGEST + 1];

struct connection {
  int fd;
  int received;
  unsigned turn;
  double sent_at;
};

static void give_up(const char *what) {
  fprintf(stderr, "load: %s\n", what);
  /* The kernel ends the server with this process. */
  exit(1);
}

static pid_t start_server(char **command, int *port) {
  int output[2];
  check("pipe2", pipe2(output, O_CLOEXEC));
  pid_t parent = getpid();
  pid_t child = check("fork", fork());
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* It may have ended before that was asked for. */
    if (getppid() != parent) _exit(1);
    check("dup2", dup2(output[1], STDOUT_FILENO));
    execvp(command[0], command);
    fail(command[0]);
  }
  close(output[1]);
  /* Left open, for the server may have more to say. */
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
      give_up("the server did not end when it was told to");
    }
    struct timespec moment = {.tv_nsec = 1000000};
    nanosleep(&moment, NULL);
  }
  int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  /* An Effect program that was interrupted says so with 130. */
  if (code != 0 && code != 128 + SIGTERM && code != 130) {
    fprintf(stderr, "load: the server ended with exit code %d\n", code);
    exit(1);
  }
}

static void open_connection(struct connection *connection, int index, int port, int epfd) {
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
  int fd = check("socket", socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  check("connect", connect(fd, (struct sockaddr *)&address, sizeof address));
  int on = 1;
  check("setsockopt", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
  check("fcntl", fcntl(fd, F_SETFL, O_NONBLOCK));
  connection->fd = fd;
  connection->turn = index;
  struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = connection};
  check("epoll_ctl", epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event));
}

static const unsigned char *request_of(const struct connection *connection) {
  return pattern + connection->turn % PATTERNS;
}

static void request(struct connection *connection, double now) {
  connection->turn++;
  connection->received = 0;
  connection->sent_at = now;
  if (send(connection->fd, request_of(connection), bytes, MSG_NOSIGNAL) != bytes) fail("send");
}

/* Reads what there is. Answers whether the whole request has come back. */
static int receive(struct connection *connection) {
  static unsigned char reply[MOST_BYTES + 1];
  int expected = bytes - connection->received;
  /* One more than is to come, to see that it does not. */
  ssize_t count = read(connection->fd, reply, expected + 1);
  if (count == -1 && errno == EAGAIN) return 0;
  if (count == -1) fail("read");
  if (count == 0) give_up("the server has closed a connection");
  if (count > expected || memcmp(reply, request_of(connection) + connection->received, count) != 0)
    give_up("what came back is not what was sent");
  connection->received += count;
  return connection->received == bytes;
}

static double percentile(double part, double total) {
  double seen = 0;
  for (int micros = 0; micros <= LONGEST; micros++) {
    seen += took[micros];
    if (seen >= total * part) return micros;
  }
  return LONGEST;
}

int main(int argc, char **argv) {
  int count = argc < 5 ? 0 : atoi(argv[1]);
  bytes = argc < 5 ? 0 : atoi(argv[2]);
  if (count < 1 || bytes < 1 || bytes > MOST_BYTES || strcmp(argv[3], "--") != 0) {
    fprintf(stderr, "usage: load CONNECTIONS BYTES -- SERVER [ARGUMENT...], of up to %d bytes\n", MOST_BYTES);
    return 2;
  }
  for (int i = 0; i < PATTERNS + MOST_BYTES; i++) pattern[i] = i * 167 + (i >> 8);

  int port;
  pid_t server = start_server(argv + 4, &port);
  static struct epoll_event events[BATCH];
  int epfd = check("epoll_create1", epoll_create1(EPOLL_CLOEXEC));
  struct connection *connections = calloc(count, sizeof *connections);
  if (connections == NULL) fail("calloc");
  for (int i = 0; i < count; i++) open_connection(&connections[i], i, port, epfd);

  struct meter meter = meter_start();
  for (int i = 0; i < count; i++) request(&connections[i], now_ms());
  for (;;) {
    int ready = wait_for(epfd, events, PATIENCE_MS);
    if (ready == 0) give_up("nothing comes back any more");
    int done = 0;
    for (int i = 0; i < ready; i++) {
      struct connection *connection = events[i].data.ptr;
      if (!receive(connection)) continue;
      done++;
      double now = now_ms();
      double micros = (now - connection->sent_at) * 1e3;
      if (meter.started != 0) took[micros < LONGEST ? (int)micros : LONGEST]++;
      request(connection, now);
    }
    double elapsed = meter_add(&meter, done);
    if (elapsed == 0) continue;
    end_server(server);
    printf("{\"perSecond\":%f,\"p50\":%.0f,\"p99\":%.0f}\n", meter.done / elapsed * 1e3, percentile(0.5, meter.done),
           percentile(0.99, meter.done));
    return 0;
  }
}
