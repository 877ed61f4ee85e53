/* B2 in amy's shape: the consuming thread writes to an eventfd, and waits for the event from the polling thread. */
#include "common.h"

int main(void) {
  int epfd = check("epoll_create1", epoll_create1(EPOLL_CLOEXEC));
  int fd = check("eventfd", eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  watch(epfd, fd, 1);
  start_polling_thread(epfd);

  struct meter meter = meter_start();
  for (;;) {
    add_one(fd);
    struct batch *batch = channel_receive();
    if (batch->count != 1 || batch->notifications[0].id != 1) return 1;
    free(batch);
    double elapsed = meter_add(&meter, 1);
    if (elapsed > 0) {
      printf("{\"micros\":%f}\n", elapsed * 1e3 / meter.done);
      return 0;
    }
  }
}
