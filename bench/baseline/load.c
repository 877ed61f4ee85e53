/*
 * B5 and B6: starts an echo server and puts it under load. The first line that the server prints is its
 * port. Each connection sends one request after the other: the next one as soon as the last one has come
 * back. The load is the same for every side, and runs in a separate process. It prints the requests a
 * second, and the microseconds in which half of them, and 99 of 100, came back.
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

/* A request always fits into the empty buffer of its socket. */
#define MOST_BYTES 4096
#define PATTERNS 256
/* Size of the histogram in microseconds. Longer times count as the last one. */
#define LONGEST (1 << 17)
/* A server that takes longer hangs. */
#define PATIENCE_MS 5000

static int bytes;
/* Each request starts at another place of this pattern, so that a wrong echo is noticed. */
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

/* Reads what has arrived. Returns whether the whole request has come back. */
static int receive(struct connection *connection) {
  static unsigned char reply[MOST_BYTES + 1];
  int expected = bytes - connection->received;
  /* Reads one byte more than expected, to notice surplus bytes. */
  ssize_t count = read(connection->fd, reply, expected + 1);
  if (count == -1 && errno == EAGAIN) return 0;
  if (count == -1) fail("read");
  if (count == 0) give_up("the server has closed a connection");
  if (count > expected || memcmp(reply, request_of(connection) + connection->received, count) != 0)
    give_up("the echo differs from the request");
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
    if (ready == 0) give_up("the server has stopped replying");
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
