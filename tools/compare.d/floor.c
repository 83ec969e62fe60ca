// The floor under a replicated log on a machine: what is left when everything is taken away but the copies and the syncs.
// A leader and two followers without protocol, terms, checksums, keys or recovery. A record is answered when two of the
// three have written it and fdatasync has returned; records that arrive during a sync share the next one.
//
//   floor serve DIRECTORY                                   prints "READY PORT" and serves until it is killed
//   floor load PORT CONNECTIONS DEPTH SIZE WARMUP SECONDS   a closed loop with DEPTH records under way on each connection
//
// A record is a length of 4 bytes and as many bytes; its answer is 20 bytes. One load per server: descriptors of closed
// connections are used again without a look at what is still owed to them.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum {
  answer_size = 20,
  max_batch = 64 << 20,       // what one sync may cover
  wrap = 128 << 20,           // a file is written from its beginning again after so many bytes
  max_descriptors = 1 << 14,
  max_under_way = 1 << 20,    // a power of two
};

static void write_all(int fd, const void *bytes, size_t count) {
  for (const char *at = bytes; count > 0;) {
    ssize_t n = write(fd, at, count);
    if (n < 0 && errno != EINTR) err(1, "write");
    if (n > 0) at += n, count -= n;
  }
}

static void *allocate(size_t count, size_t size) {
  void *memory = calloc(count, size);
  if (!memory) err(1, "no memory for %zu times %zu bytes", count, size);
  return memory;
}

// Sockets, on loopback.

static struct sockaddr_in loopback(int port) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int without_delay(int fd) {
  int on = 1;
  if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on)) err(1, "socket");
  return fd;
}

// The kernel chooses the port.
static int listening(int *port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (fd < 0 || bind(fd, (void *)&address, size) || listen(fd, 1024) || getsockname(fd, (void *)&address, &size))
    err(1, "listen");
  *port = ntohs(address.sin_port);
  return fd;
}

static int connected(int port) {
  int fd = without_delay(socket(AF_INET, SOCK_STREAM, 0));
  struct sockaddr_in address = loopback(port);
  if (connect(fd, (void *)&address, sizeof address)) err(1, "connect to port %d", port);
  return fd;
}

static void watch(int epoll, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) err(1, "epoll");
}

// Files.

// Written once before use: a sync of blocks that exist journals nothing but the data.
static int prepared_file(const char *directory, int number) {
  char path[4096];
  snprintf(path, sizeof path, "%s/floor-%d", directory, number);
  int fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);
  if (fd < 0) err(1, "%s", path);
  const size_t piece = 1 << 20;
  void *zeros = allocate(1, piece);
  for (size_t done = 0; done < (size_t)wrap + max_batch; done += piece) write_all(fd, zeros, piece);
  if (fdatasync(fd)) err(1, "fdatasync %s", path);
  free(zeros);
  return fd;
}

static void store(int fd, const void *bytes, size_t count, uint64_t position) {
  if (pwrite(fd, bytes, count, position % wrap) != (ssize_t)count || fdatasync(fd)) err(1, "the disk");
}

// A follower acknowledges the number of bytes that it has stored; 0 says that its file is ready.
static void follow(int listener, const char *directory, int number) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int file = prepared_file(directory, number), leader = without_delay(accept(listener, 0, 0));
  const size_t capacity = 4 << 20;
  char *buffer = allocate(1, capacity);
  uint64_t stored = 0;
  write_all(leader, &stored, sizeof stored);
  for (ssize_t count; (count = read(leader, buffer, capacity)) > 0;) {
    store(file, buffer, count, stored);
    stored += count;
    write_all(leader, &stored, sizeof stored);
  }
  exit(0);
}

// The leader's disk thread takes all that waits, stores it, and wakes the loop.
static struct {
  pthread_mutex_t lock;
  pthread_cond_t filled;
  char *waiting;
  size_t count;
  uint64_t stored;
  int file, wakeup;
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER};

static void *run_disk(void *unused) {
  (void)unused;
  char *mine = allocate(1, max_batch);
  for (;;) {
    pthread_mutex_lock(&disk.lock);
    while (disk.count == 0) pthread_cond_wait(&disk.filled, &disk.lock);
    char *taken = disk.waiting;
    size_t count = disk.count;
    disk.waiting = mine;
    disk.count = 0;
    pthread_mutex_unlock(&disk.lock);
    mine = taken;
    store(disk.file, mine, count, disk.stored);
    __atomic_add_fetch(&disk.stored, count, __ATOMIC_RELEASE);
    write_all(disk.wakeup, &(uint64_t){1}, 8);
  }
  return 0;
}

static void give_to_disk(const char *bytes, size_t count) {
  pthread_mutex_lock(&disk.lock);
  if (disk.count + count > max_batch) errx(1, "more than %d bytes under way", max_batch);
  memcpy(disk.waiting + disk.count, bytes, count);
  disk.count += count;
  pthread_cond_signal(&disk.filled);
  pthread_mutex_unlock(&disk.lock);
}

static uint64_t median(uint64_t a, uint64_t b, uint64_t c) {
  uint64_t low = a < b ? a : b, high = a < b ? b : a;
  return c < low ? low : c > high ? high : c;
}

static uint64_t last_acknowledged(int follower) {
  uint64_t stored[512];
  ssize_t count = read(follower, stored, sizeof stored);
  if (count < 8 || count % 8) errx(1, "a follower is gone");
  return stored[count / 8 - 1];
}

static void serve(const char *directory) {
  int followers[2], ports[2], port;
  for (int i = 0; i < 2; i++) {
    int listener = listening(&ports[i]);
    pid_t child = fork();
    if (child < 0) err(1, "fork");
    if (child == 0) follow(listener, directory, i + 2);
    close(listener);
  }
  disk.file = prepared_file(directory, 1);
  disk.waiting = allocate(1, max_batch);
  disk.wakeup = eventfd(0, EFD_NONBLOCK);
  uint64_t acknowledged[2];
  for (int i = 0; i < 2; i++) {
    followers[i] = connected(ports[i]);
    acknowledged[i] = last_acknowledged(followers[i]);
  }
  int listener = listening(&port), epoll = epoll_create1(0);
  watch(epoll, listener);
  watch(epoll, followers[0]);
  watch(epoll, followers[1]);
  watch(epoll, disk.wakeup);
  pthread_t thread;
  if (pthread_create(&thread, 0, run_disk, 0)) errx(1, "no thread for the disk");
  printf("READY %d\n", port);
  fflush(stdout);

  const size_t capacity = 8 << 20;
  static struct { char *bytes; size_t count; unsigned owed; } clients[max_descriptors];
  static struct { uint64_t end; int client; } under_way[max_under_way];
  static int answered[max_descriptors];
  static const char answers[answer_size * 4096];
  uint64_t first = 0, next = 0, received = 0;
  char *batch = allocate(1, max_batch);
  struct epoll_event events[512];
  for (;;) {
    int ready = epoll_wait(epoll, events, 512, -1);
    size_t batched = 0;
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        int client = without_delay(accept(listener, 0, 0));
        if (client >= max_descriptors) errx(1, "too many connections");
        if (!clients[client].bytes) clients[client].bytes = allocate(1, capacity);
        clients[client].count = 0;
        watch(epoll, client);
      } else if (fd == disk.wakeup) {
        uint64_t unused;
        if (read(fd, &unused, 8) < 0 && errno != EAGAIN) err(1, "eventfd");
      } else if (fd == followers[0] || fd == followers[1]) {
        acknowledged[fd == followers[1]] = last_acknowledged(fd);
      } else {
        char *bytes = clients[fd].bytes;
        ssize_t count = read(fd, bytes + clients[fd].count, capacity - clients[fd].count);
        if (count <= 0) {
          close(fd);
          continue;
        }
        size_t have = clients[fd].count + count, at = 0;
        for (uint32_t size; have - at >= 4; at += size) {
          memcpy(&size, bytes + at, 4);
          size = ntohl(size) + 4;
          if (size > capacity) errx(1, "a record of %u bytes", size);
          if (have - at < size) break;
          if (batched + size > max_batch || next - first == max_under_way) errx(1, "too much under way");
          memcpy(batch + batched, bytes + at, size);
          batched += size;
          received += size;
          under_way[next % max_under_way].end = received;
          under_way[next++ % max_under_way].client = fd;
        }
        memmove(bytes, bytes + at, have - at);
        clients[fd].count = have - at;
      }
    }
    if (batched > 0) {
      give_to_disk(batch, batched);
      write_all(followers[0], batch, batched);
      write_all(followers[1], batch, batched);
    }
    uint64_t stored = __atomic_load_n(&disk.stored, __ATOMIC_ACQUIRE);
    uint64_t commit = median(acknowledged[0], acknowledged[1], stored);
    int count = 0;
    while (first < next && under_way[first % max_under_way].end <= commit) {
      int client = under_way[first++ % max_under_way].client;
      if (clients[client].owed++ == 0) answered[count++] = client;
    }
    for (int i = 0; i < count; i++) {
      int client = answered[i];
      while (clients[client].owed > 0) {
        unsigned now = clients[client].owed < 4096 ? clients[client].owed : 4096;
        clients[client].owed -= now;
        if (send(client, answers, answer_size * now, MSG_NOSIGNAL) < 0) clients[client].owed = 0;  // it has left
      }
    }
  }
}

// The load.

static uint64_t nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

enum { longest = 1 << 22 };  // microseconds
static uint32_t latencies[longest + 1];

static unsigned percentile(uint64_t count, double part) {
  uint64_t rank = part * count, seen = 0;
  for (unsigned i = 0; i <= longest; i++)
    if ((seen += latencies[i]) > rank) return i;
  return longest;
}

static void load(int port, int connections, int depth, int size, int warmup, int seconds) {
  if (connections < 1 || connections > max_descriptors - 64 || depth < 1 || size < 0 || seconds < 1)
    errx(2, "a number is out of range");
  int epoll = epoll_create1(0);
  const size_t record = size + 4;
  char *records = allocate(depth, record);
  uint32_t length = htonl(size);
  for (int i = 0; i < depth; i++) memcpy(records + i * record, &length, 4);
  // Answers come in the order of the records: a ring of how many were sent when, at most one entry for each record.
  struct sent { uint64_t time; unsigned count; };
  static struct { struct sent *ring; unsigned first, next, partial; } clients[max_descriptors];
  for (int i = 0; i < connections; i++) {
    int fd = connected(port);
    if (fd >= max_descriptors) errx(1, "too many connections");
    clients[fd].ring = allocate(depth, sizeof(struct sent));
    clients[fd].ring[0] = (struct sent){nanoseconds(), depth};
    clients[fd].next = 1;
    watch(epoll, fd);
    write_all(fd, records, record * depth);
  }
  const uint64_t begin = nanoseconds() + warmup * 1000000000ull, end = begin + seconds * 1000000000ull;
  uint64_t done = 0;
  char buffer[1 << 16];
  struct epoll_event events[512];
  while (nanoseconds() < end) {
    int ready = epoll_wait(epoll, events, 512, 100);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      ssize_t count = read(fd, buffer, sizeof buffer);
      if (count <= 0) errx(1, "the leader closed a connection");
      clients[fd].partial += count;
      unsigned answers = clients[fd].partial / answer_size;
      clients[fd].partial %= answer_size;
      if (answers == 0) continue;
      uint64_t now = nanoseconds();
      for (unsigned left = answers; left > 0;) {
        struct sent *sent = &clients[fd].ring[clients[fd].first % depth];
        unsigned count = sent->count < left ? sent->count : left;
        uint64_t took = (now - sent->time) / 1000;
        if (now >= begin && now < end) done += count, latencies[took < longest ? took : longest] += count;
        left -= count;
        if ((sent->count -= count) == 0) clients[fd].first++;
      }
      clients[fd].ring[clients[fd].next++ % depth] = (struct sent){now, answers};
      write_all(fd, records, record * answers);
    }
  }
  printf("{\"ops_per_s\":%.1f,\"p50_us\":%u,\"p99_us\":%u,\"errors\":0}\n", (double)done / seconds, percentile(done, 0.5),
         percentile(done, 0.99));
}

int main(int count, char **words) {
  if (count == 3 && !strcmp(words[1], "serve")) serve(words[2]);
  if (count != 8 || strcmp(words[1], "load")) errx(2, "usage: at the head of floor.c");
  load(atoi(words[2]), atoi(words[3]), atoi(words[4]), atoi(words[5]), atoi(words[6]), atoi(words[7]));
}
