/*
 * B11: starts a UDP server and puts it under load. The first line that the server prints is its port. The
 * load is the same for every side, and runs in a separate process. It keeps 64 datagrams outstanding: sixteen
 * on each of four sockets. Of an echo, each has to come back as it was sent. Of a sink, every sixteenth asks for
 * the number of datagrams so far, and the next sixteen follow it.
 *
 * It prints the datagrams a second, and the microseconds of CPU that the server took for one, in user and
 * system mode together. The network may drop a datagram, and loopback does if a buffer is full: what is
 * missing after a while is sent again, and counted.
 */
#include "common.h"
#include "server.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define MOST_BYTES 2048
#define SOCKETS 4
#define WINDOW 16
/* What is missing after this is lost. */
#define LOST_MS 500
static int bytes, is_sink;
static struct mmsghdr messages[WINDOW];
static struct iovec vectors[WINDOW];
static unsigned char memory[WINDOW][MOST_BYTES];

struct client {
  int fd;
  /* The number of the first datagram of the window, and how many of it are yet to come back. */
  unsigned first;
  int missing;
  double sent_at;
};

/* The CPU time of all threads of the server, in nanoseconds. */
static double cpu_of(clockid_t clock) {
  struct timespec t;
  check("clock_gettime", clock_gettime(clock, &t));
  return t.tv_sec * 1e9 + t.tv_nsec;
}

/* Each datagram has its number, and bytes that follow from it, so that a wrong echo is noticed. */
static void fill(unsigned char *at, unsigned number, int is_last) {
  memset(at, number & 0xff, bytes);
  at[0] = is_sink && is_last ? 1 : 0;
  memcpy(at + 4, &number, sizeof number);
}

static void send_window(struct client *client, double now) {
  for (int i = 0; i < WINDOW; i++) {
    fill(memory[i], client->first + i, i == WINDOW - 1);
    vectors[i] = (struct iovec){.iov_base = memory[i], .iov_len = bytes};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
  }
  for (int done = 0; done < WINDOW;) {
    int sent = sendmmsg(client->fd, messages + done, WINDOW - done, MSG_NOSIGNAL);
    if (sent == -1 && errno != EINTR) fail("sendmmsg");
    if (sent > 0) done += sent;
  }
  client->missing = is_sink ? 1 : WINDOW;
  client->sent_at = now;
}

/* Receives what has come back. Returns how many datagrams that makes. */
static int receive(struct client *client, double now) {
  static unsigned char expected[MOST_BYTES];
  int done = 0;
  for (;;) {
    for (int i = 0; i < WINDOW; i++) {
      vectors[i] = (struct iovec){.iov_base = memory[i], .iov_len = MOST_BYTES};
      messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
    }
    int count = recvmmsg(client->fd, messages, WINDOW, MSG_DONTWAIT, NULL);
    if (count == -1 && errno == EINTR) continue;
    if (count == -1 && errno == EAGAIN) break;
    if (count == -1) fail("recvmmsg");
    for (int i = 0; i < count; i++) {
      if (!is_sink) {
        unsigned number;
        memcpy(&number, memory[i] + 4, sizeof number);
        /* One of a window that was given up. */
        if (number - client->first >= WINDOW) continue;
        fill(expected, number, 0);
        if (messages[i].msg_len != (unsigned)bytes || memcmp(expected, memory[i], bytes) != 0)
          give_up("the echo differs from the datagram");
      }
      client->missing--;
    }
    if (client->missing <= 0) {
      done += WINDOW;
      client->first += WINDOW;
      send_window(client, now);
    }
    if (count < WINDOW) break;
  }
  return done;
}

int main(int argc, char **argv) {
  bytes = argc < 5 ? 0 : atoi(argv[2]);
  if (bytes < 8 || bytes > MOST_BYTES || strcmp(argv[3], "--") != 0) {
    fprintf(stderr, "usage: udpload echo|sink BYTES -- SERVER [ARGUMENT...], of 8 to %d bytes\n", MOST_BYTES);
    return 2;
  }
  is_sink = strcmp(argv[1], "sink") == 0;

  int port;
  pid_t server = start_server(argv + 4, &port);
  clockid_t clock;
  if (clock_getcpuclockid(server, &clock) != 0) give_up("the CPU time of the server cannot be read");
  static struct epoll_event events[BATCH];
  int epfd = check("epoll_create1", epoll_create1(EPOLL_CLOEXEC));
  static struct client clients[SOCKETS];
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
  for (int i = 0; i < SOCKETS; i++) {
    int fd = check("socket", socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    check("connect", connect(fd, (struct sockaddr *)&address, sizeof address));
    clients[i].fd = fd;
    watch(epfd, fd, i);
  }

  struct meter meter = meter_start();
  double from = 0, lost = 0, last = now_ms();
  for (int i = 0; i < SOCKETS; i++) send_window(&clients[i], last);
  for (;;) {
    int ready = wait_for(epfd, events, LOST_MS);
    int done = 0;
    double now = now_ms();
    for (int i = 0; i < ready; i++) done += receive(&clients[events[i].data.u64], now);
    if (done > 0) last = now;
    if (now - last > PATIENCE_MS) give_up("the server has stopped replying");
    for (int i = 0; i < SOCKETS; i++) {
      if (now - clients[i].sent_at < LOST_MS) continue;
      lost += clients[i].missing;
      clients[i].first += WINDOW;
      send_window(&clients[i], now);
    }
    int was_measuring = meter.started != 0;
    double elapsed = meter_add(&meter, done);
    if (!was_measuring && meter.started != 0) from = cpu_of(clock);
    if (elapsed == 0) continue;
    double cpu = cpu_of(clock) - from;
    end_server(server);
    printf("{\"perSecond\":%f,\"cpuMicros\":%f,\"lost\":%.0f}\n", meter.done / elapsed * 1e3, cpu / 1e3 / meter.done,
           lost);
    return 0;
  }
}
