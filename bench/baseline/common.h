/* Shared by the baselines: the clock, the measured time, and amy's channel, a queue of batches behind a mutex. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define BATCH 1024

static inline void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static inline int check(const char *what, int result) {
  if (result == -1) fail(what);
  return result;
}

static inline double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static inline int setting(const char *name) {
  const char *value = getenv(name);
  if (value == NULL) {
    fprintf(stderr, "%s is not set: start this with bench/run.ts\n", name);
    exit(1);
  }
  return atoi(value);
}

/* Counts what is done in the measured time. Rounds in the warm-up do not count. */
struct meter {
  double from, until;
  double started;
  double done;
};

static inline struct meter meter_start(void) {
  double from = now_ms() + setting("BENCH_WARMUP_MS");
  return (struct meter){.from = from, .until = from + setting("BENCH_MEASURE_MS"), .started = 0, .done = 0};
}

/* Adds to the count. Returns the measured milliseconds once the time is over, and 0 until then. */
static inline double meter_add(struct meter *meter, double count) {
  double now = now_ms();
  if (meter->started == 0) {
    if (now >= meter->from) meter->started = now;
    return 0;
  }
  meter->done += count;
  return now >= meter->until ? now - meter->started : 0;
}

static inline void add_one(int fd) {
  uint64_t one = 1;
  if (write(fd, &one, sizeof one) != sizeof one) fail("write");
}

/* Watches a descriptor as the library does by default: for reading, edge-triggered. */
static inline void watch(int epfd, int fd, uint64_t id) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.u64 = id};
  check("epoll_ctl", epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event));
}

static inline int wait_for(int epfd, struct epoll_event *events, int timeout) {
  int count = epoll_wait(epfd, events, BATCH, timeout);
  if (count == -1 && errno != EINTR) fail("epoll_wait");
  return count == -1 ? 0 : count;
}

struct notification {
  uint64_t id;
  uint32_t events;
};

struct batch {
  struct batch *next;
  int count;
  struct notification notifications[];
};

struct channel {
  pthread_mutex_t mutex;
  pthread_cond_t filled;
  struct batch *first, *last;
};

static struct channel channel = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, NULL};

static inline void channel_send(struct batch *batch) {
  pthread_mutex_lock(&channel.mutex);
  if (channel.last == NULL) channel.first = batch;
  else channel.last->next = batch;
  channel.last = batch;
  pthread_cond_signal(&channel.filled);
  pthread_mutex_unlock(&channel.mutex);
}

static inline struct batch *channel_receive(void) {
  pthread_mutex_lock(&channel.mutex);
  while (channel.first == NULL) pthread_cond_wait(&channel.filled, &channel.mutex);
  struct batch *batch = channel.first;
  channel.first = batch->next;
  if (channel.first == NULL) channel.last = NULL;
  pthread_mutex_unlock(&channel.mutex);
  return batch;
}

/* The polling thread in amy's shape. Each wait makes a batch, and the batch goes into the channel. */
static void *poll_into_channel(void *argument) {
  int epfd = (int)(intptr_t)argument;
  static struct epoll_event events[BATCH];
  for (;;) {
    int count = wait_for(epfd, events, -1);
    if (count == 0) continue;
    struct batch *batch = malloc(sizeof *batch + count * sizeof *batch->notifications);
    if (batch == NULL) fail("malloc");
    batch->next = NULL;
    batch->count = count;
    for (int i = 0; i < count; i++)
      batch->notifications[i] = (struct notification){events[i].data.u64, events[i].events};
    channel_send(batch);
  }
  return NULL;
}

static inline void start_polling_thread(int epfd) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, poll_into_channel, (void *)(intptr_t)epfd) != 0) fail("pthread_create");
}
