/*
 * B5 and B6: starts an echo server and puts it under load. The first line that the server prints is its
 * port. Each connection keeps a number of requests outstanding: as soon as some have come back, as many
 * follow, in one write. The load is the same for every side, and runs in a separate process. It prints
 * the requests a second, the microseconds in which half of them, and 99 of 100, came back, and the
 * microseconds of processor time that the server took for one, in its own code and in the kernel.
 */
#include "common.h"
#include "server.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* Bytes that a connection may have outstanding. */
#define MOST_BYTES (256 * 1024)
/* The period of what a connection sends, in bytes. It is no power of two, so that a wrong echo is noticed. */
#define PERIOD 4093
/* Size of the histogram in microseconds. Longer times count as the last one. */
#define LONGEST (1 << 17)
static int bytes, outstanding;
static unsigned char pattern[PERIOD + MOST_BYTES];
static unsigned took[LONGEST + 1];

/* What a connection sends and receives is a stream of bytes. Requests are pieces of it. */
struct connection {
  int fd;
  /* Where in the pattern its stream begins. */
  unsigned begin;
  /* Bytes that its requests have, that were sent, and that came back. */
  uint64_t asked, sent, received;
  /* When each outstanding request was made, by its number modulo `outstanding`. */
  double *asked_at;
};

/* The limit of the process on descriptors, for itself and the server: the load needs one a connection. */
static void raise_limit(void) {
  struct rlimit limit;
  check("getrlimit", getrlimit(RLIMIT_NOFILE, &limit));
  limit.rlim_cur = limit.rlim_max;
  check("setrlimit", setrlimit(RLIMIT_NOFILE, &limit));
}

/* Milliseconds of processor time that all threads of a process have taken, in their own code and in the kernel. */
struct cpu {
  double user, system;
};

static struct cpu cpu_of(pid_t pid) {
  char path[64], line[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  FILE *file = fopen(path, "r");
  if (file == NULL) fail(path);
  size_t length = fread(line, 1, sizeof line - 1, file);
  fclose(file);
  line[length] = 0;
  /* The name before the last bracket may have spaces and brackets. */
  const char *rest = strrchr(line, ')');
  unsigned long user, system;
  if (rest == NULL ||
      sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
    give_up("the times in /proc/PID/stat cannot be read");
  double tick = 1e3 / sysconf(_SC_CLK_TCK);
  return (struct cpu){user * tick, system * tick};
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
  connection->begin = (unsigned)index * 977 % PERIOD;
  connection->asked_at = calloc(outstanding, sizeof *connection->asked_at);
  if (connection->asked_at == NULL) fail("calloc");
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = connection};
  check("epoll_ctl", epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event));
}

/* Returns what a connection sends from a position of its stream on. */
static const unsigned char *bytes_at(const struct connection *connection, uint64_t position) {
  return pattern + (connection->begin + position) % PERIOD;
}

/* Sends what the socket takes of the requests. Room that comes later is an edge. */
static void flush(struct connection *connection) {
  while (connection->sent < connection->asked) {
    ssize_t count = send(connection->fd, bytes_at(connection, connection->sent),
                         connection->asked - connection->sent, MSG_NOSIGNAL);
    if (count == -1 && errno == EAGAIN) return;
    if (count == -1) fail("send");
    connection->sent += count;
  }
}

static void request(struct connection *connection, int count, double now) {
  for (int i = 0; i < count; i++) {
    connection->asked_at[connection->asked / bytes % outstanding] = now;
    connection->asked += bytes;
  }
  flush(connection);
}

/* Reads what has arrived. Returns the number of requests that have come back with it. */
static int receive(struct connection *connection) {
  static unsigned char reply[MOST_BYTES + 1];
  ssize_t expected = connection->sent - connection->received;
  /* Reads one byte more than expected, to notice surplus bytes. A short read has emptied the socket. */
  ssize_t count = read(connection->fd, reply, expected + 1);
  if (count == -1 && errno == EAGAIN) return 0;
  if (count == -1) fail("read");
  if (count == 0) give_up("the server has closed a connection");
  if (count > expected || memcmp(reply, bytes_at(connection, connection->received), count) != 0)
    give_up("the echo differs from the request");
  uint64_t before = connection->received / bytes;
  connection->received += count;
  return connection->received / bytes - before;
}

static void note_times(const struct connection *connection, int count, double now) {
  uint64_t next = connection->received / bytes;
  for (int i = 1; i <= count; i++) {
    double micros = (now - connection->asked_at[(next - i) % outstanding]) * 1e3;
    took[micros < LONGEST ? (int)micros : LONGEST]++;
  }
}

/*
 * Puts off the measured time until the server has had as much processor time as the warm-up takes,
 * because a compiler warms up by work. On a busy machine that takes longer. It waits for at most five
 * times as long.
 */
static void warm_up(struct meter *meter, pid_t server, struct cpu since) {
  static double latest;
  double length = setting("BENCH_WARMUP_MS");
  if (latest == 0) latest = meter->from + 4 * length;
  double now = now_ms();
  if (now < meter->from || now >= latest) return;
  struct cpu cpu = cpu_of(server);
  if (cpu.user + cpu.system - since.user - since.system < length) {
    double later = now + 50;
    meter->until += later - meter->from;
    meter->from = later;
  }
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
  int count = argc < 6 ? 0 : atoi(argv[1]);
  bytes = argc < 6 ? 0 : atoi(argv[2]);
  outstanding = argc < 6 ? 0 : atoi(argv[3]);
  if (count < 1 || bytes < 1 || outstanding < 1 || bytes > MOST_BYTES / outstanding || strcmp(argv[4], "--") != 0) {
    fprintf(stderr, "usage: load CONNECTIONS BYTES OUTSTANDING -- SERVER [ARGUMENT...]\n"
                    "A connection has up to %d bytes outstanding.\n", MOST_BYTES);
    return 2;
  }
  for (int i = 0; i < PERIOD + MOST_BYTES; i++) pattern[i] = i % PERIOD * 167 + (i % PERIOD >> 8);
  raise_limit();

  int port;
  pid_t server = start_server(argv + 5, &port);
  static struct epoll_event events[BATCH];
  int epfd = check("epoll_create1", epoll_create1(EPOLL_CLOEXEC));
  struct connection *connections = calloc(count, sizeof *connections);
  if (connections == NULL) fail("calloc");
  for (int i = 0; i < count; i++) open_connection(&connections[i], i, port, epfd);

  struct meter meter = meter_start();
  struct cpu cpu = cpu_of(server);
  for (int i = 0; i < count; i++) request(&connections[i], outstanding, now_ms());
  for (;;) {
    int ready = wait_for(epfd, events, PATIENCE_MS);
    if (ready == 0) give_up("the server has stopped replying");
    int done = 0;
    for (int i = 0; i < ready; i++) {
      struct connection *connection = events[i].data.ptr;
      flush(connection);
      int replies = receive(connection);
      if (replies == 0) continue;
      done += replies;
      double now = now_ms();
      if (meter.started != 0) note_times(connection, replies, now);
      request(connection, replies, now);
    }
    int is_warming_up = meter.started == 0;
    if (is_warming_up) warm_up(&meter, server, cpu);
    double elapsed = meter_add(&meter, done);
    if (is_warming_up && meter.started != 0) cpu = cpu_of(server);
    if (elapsed == 0) continue;
    struct cpu end = cpu_of(server);
    double user = (end.user - cpu.user) * 1e3 / meter.done, system = (end.system - cpu.system) * 1e3 / meter.done;
    end_server(server);
    printf("{\"perSecond\":%f,\"p50\":%.0f,\"p99\":%.0f,\"userMicros\":%f,\"systemMicros\":%f,\"cpuMicros\":%f}\n",
           meter.done / elapsed * 1e3, percentile(0.5, meter.done), percentile(0.99, meter.done), user, system,
           user + system);
    return 0;
  }
}
