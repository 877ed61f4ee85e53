/*
 * B11: a plain UDP echo server in C, and a sink. It has one thread, an edge-triggered epoll instance, and a
 * non-blocking socket that it reads by recvmmsg and writes by sendmmsg. It prints its port, then serves until
 * it is ended. The sink only replies to a datagram that asks for it, with the number of datagrams so far.
 */
#include "common.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define MOST_BYTES 2048
#define MANY 64

static struct mmsghdr messages[MANY], replies[MANY];
static struct iovec vectors[MANY];
static struct sockaddr_in from[MANY];
static unsigned char bytes[MANY][MOST_BYTES];

/* Sends them all. Where there is no room it tries again, which a load with few outstanding never needs. */
static void send_all(int fd, struct mmsghdr *what, int count) {
  for (int done = 0; done < count;) {
    int sent = sendmmsg(fd, what + done, count - done, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) done += sent;
    else if (errno != EINTR && errno != EAGAIN) fail("sendmmsg");
  }
}

int main(int argc, char **argv) {
  int is_sink = argc > 1 && strcmp(argv[1], "sink") == 0;
  int fd = check("socket", socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  check("bind", bind(fd, (struct sockaddr *)&address, length));
  check("getsockname", getsockname(fd, (struct sockaddr *)&address, &length));
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);

  int epfd = check("epoll_create1", epoll_create1(EPOLL_CLOEXEC));
  watch(epfd, fd, 0);
  static struct epoll_event events[BATCH];
  unsigned total = 0;
  for (;;) {
    if (wait_for(epfd, events, -1) == 0) continue;
    for (;;) {
      for (int i = 0; i < MANY; i++) {
        vectors[i] = (struct iovec){.iov_base = bytes[i], .iov_len = MOST_BYTES};
        messages[i].msg_hdr = (struct msghdr){
            .msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &vectors[i], .msg_iovlen = 1};
      }
      int count = recvmmsg(fd, messages, MANY, MSG_DONTWAIT, NULL);
      if (count == -1 && errno == EINTR) continue;
      if (count == -1 && errno == EAGAIN) break;
      if (count == -1) fail("recvmmsg");
      int answers = 0;
      for (int i = 0; i < count; i++) {
        total++;
        vectors[i].iov_len = messages[i].msg_len;
        if (is_sink) {
          if (bytes[i][0] != 1) continue;
          memcpy(bytes[i], &total, sizeof total);
          vectors[i].iov_len = sizeof total;
        }
        replies[answers++] = messages[i];
      }
      send_all(fd, replies, answers);
      if (count < MANY) break;
    }
  }
}
