/* B1 in amy's shape: one thread waits in the kernel and sends batches through a channel. Another one consumes. */
#include "common.h"

int main(void) {
  int first = setting("BENCH_FIRST_FD"), count = setting("BENCH_COUNT"), go = setting("BENCH_GO_FD");
  int epfd = check("epoll_create1", epoll_create1(EPOLL_CLOEXEC));
  for (int i = 0; i < count; i++) watch(epfd, first + i, i + 1);
  start_polling_thread(epfd);

  struct meter meter = meter_start();
  uint64_t sum = 0, expected = (uint64_t)count * (count + 1) / 2;
  int seen = 0;
  if (write(go, "", 1) != 1) fail("write");
  for (;;) {
    struct batch *batch = channel_receive();
    for (int i = 0; i < batch->count; i++)
      if (batch->notifications[i].events & EPOLLIN) sum += batch->notifications[i].id;
    seen += batch->count;
    free(batch);
    if (seen < count) continue;
    if (seen != count || sum != expected) {
      fprintf(stderr, "a round of %d brought %d\n", count, seen);
      return 1;
    }
    double elapsed = meter_add(&meter, count);
    if (elapsed > 0) {
      printf("{\"perSecond\":%f}\n", meter.done / elapsed * 1e3);
      return 0;
    }
    seen = 0;
    sum = 0;
    if (write(go, "", 1) != 1) fail("write");
  }
}
