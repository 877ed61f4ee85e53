/* B4 as two system calls: register and deregister while another thread is blocked in the same epoll instance. */
#include "common.h"

#define PAIRS 1000

int main(void) {
  int epfd = check("epoll_create1", epoll_create1(EPOLL_CLOEXEC));
  int fd = check("eventfd", eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  start_polling_thread(epfd);

  struct meter meter = meter_start();
  for (;;) {
    for (int i = 0; i < PAIRS; i++) {
      watch(epfd, fd, i + 1);
      check("epoll_ctl", epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL));
    }
    double elapsed = meter_add(&meter, PAIRS);
    if (elapsed > 0) {
      printf("{\"micros\":%f}\n", elapsed * 1e3 / meter.done);
      return 0;
    }
  }
}
