/* B3 on one thread: write to an eventfd, take its event, repeat. */
#include "common.h"

int main(void) {
  static struct epoll_event events[BATCH];
  int epfd = check("epoll_create1", epoll_create1(EPOLL_CLOEXEC));
  int fd = check("eventfd", eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  watch(epfd, fd, 1);

  struct meter meter = meter_start();
  for (;;) {
    add_one(fd);
    if (wait_for(epfd, events, -1) != 1 || events[0].data.u64 != 1) return 1;
    double elapsed = meter_add(&meter, 1);
    if (elapsed > 0) {
      printf("{\"micros\":%f}\n", elapsed * 1e3 / meter.done);
      return 0;
    }
  }
}
