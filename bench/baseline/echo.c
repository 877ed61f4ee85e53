/*
 * B5 and B6: a plain echo server in C. It has one thread, an edge-triggered epoll instance, and
 * non-blocking sockets. It prints its port, then serves until it is ended.
 */
#include "common.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>

struct connection {
  int fd;
  /* Bytes that were read and not written yet: from `sent` to `length`. */
  char *rest;
  size_t length, sent;
};

static void serve_both(int epfd, int fd, void *connection) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = connection};
  check("epoll_ctl", epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event));
}

static int listen_on_any_port(void) {
  int fd = check("socket", socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  check("bind", bind(fd, (struct sockaddr *)&address, length));
  check("listen", listen(fd, 1024));
  check("getsockname", getsockname(fd, (struct sockaddr *)&address, &length));
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  return fd;
}

static void accept_all(int epfd, int listener) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd == -1) {
      if (errno == EAGAIN) return;
      if (errno == EINTR || errno == ECONNABORTED) continue;
      fail("accept4");
    }
    int on = 1;
    check("setsockopt", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) fail("calloc");
    connection->fd = fd;
    serve_both(epfd, fd, connection);
  }
}

static void end(struct connection *connection) {
  close(connection->fd);
  free(connection->rest);
  free(connection);
}

/* Writes until everything is written or the socket is full. Returns the bytes written, or -1 for a failed connection. */
static ssize_t write_some(int fd, const char *bytes, size_t length) {
  size_t sent = 0;
  while (sent < length) {
    ssize_t count = write(fd, bytes + sent, length - sent);
    if (count >= 0) sent += count;
    else if (errno == EAGAIN) break;
    else if (errno != EINTR) return -1;
  }
  return sent;
}

static void echo(struct connection *connection, uint32_t events) {
  static char buffer[65536];
  /* The end is an edge too. If this edge has it, it is not reported again: read up to the end. */
  int ends = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  for (;;) {
    if (connection->rest != NULL) {
      ssize_t sent =
          write_some(connection->fd, connection->rest + connection->sent, connection->length - connection->sent);
      if (sent == -1) return end(connection);
      connection->sent += sent;
      if (connection->sent < connection->length) return;
      free(connection->rest);
      connection->rest = NULL;
    }

    ssize_t count = read(connection->fd, buffer, sizeof buffer);
    if (count == -1 && errno == EINTR) continue;
    if (count == -1 && errno == EAGAIN) return;
    if (count <= 0) return end(connection);

    ssize_t sent = write_some(connection->fd, buffer, count);
    if (sent == -1) return end(connection);
    if (sent < count) {
      connection->length = count - sent;
      connection->sent = 0;
      connection->rest = malloc(connection->length);
      if (connection->rest == NULL) fail("malloc");
      memcpy(connection->rest, buffer + sent, connection->length);
      /* Room that has come since the last write is another edge. */
      return;
    }
    /* A read that brings less than it asked for has emptied the socket. What comes next is another edge. */
    if ((size_t)count < sizeof buffer && !ends) return;
  }
}

int main(void) {
  static struct epoll_event events[BATCH];
  signal(SIGPIPE, SIG_IGN);
  int epfd = check("epoll_create1", epoll_create1(EPOLL_CLOEXEC));
  int listener = listen_on_any_port();
  serve_both(epfd, listener, NULL);
  for (;;) {
    int count = wait_for(epfd, events, -1);
    for (int i = 0; i < count; i++) {
      if (events[i].data.ptr == NULL) accept_all(epfd, listener);
      else echo(events[i].data.ptr, events[i].events);
    }
  }
}
