// The clients of the benchmark: a closed loop of keep-alive connections that checks every response.
//   load PORT KIND CONNECTIONS WARMUP_MS MEASURE_MS      KIND: 16, 1024, 65536 (GET of that many bytes) or post
// Prints one line of JSON: requests, errors, seconds, p50 and p99 in microseconds, and how many connections have waited
// for half a second or more at the end, whose latencies are in no quantile.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATHS 512
#define BODY_MAX 65536
#define IN_MAX (BODY_MAX + 8192)
// Latencies: one bucket a microsecond up to 1/8 s, all above in the last.
#define BUCKETS 131072

struct connection {
  int fd;
  double started;
  size_t in_length, need, head;
  char in[IN_MAX];
};

static char pattern[BODY_MAX], requests[PATHS][2048];
static size_t request_length[PATHS], expected_body;
static unsigned latencies[BUCKETS];
static unsigned long done, errors, sent_total;
static int measuring;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void ask(struct connection *c) {
  int path = sent_total++ * 2654435761u % PATHS;
  c->in_length = c->need = c->head = 0;
  c->started = now();
  if (send(c->fd, requests[path], request_length[path], MSG_NOSIGNAL) != (ssize_t)request_length[path]) errors++;
}

static int dial(int loop, struct connection *c, int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int on = 1;
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(c->fd, (struct sockaddr *)&address, sizeof address)) return -1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  epoll_ctl(loop, EPOLL_CTL_ADD, c->fd, &event);
  ask(c);
  return 0;
}

// Takes what came; 1 when a response is complete, -1 when it is wrong.
static int receive(struct connection *c) {
  ssize_t got = recv(c->fd, c->in + c->in_length, IN_MAX - c->in_length, MSG_DONTWAIT);
  if (got <= 0) return got < 0 && errno == EAGAIN ? 0 : -1;
  c->in_length += got;
  if (c->need == 0) {
    char *end = memmem(c->in, c->in_length, "\r\n\r\n", 4);
    if (end == NULL) return c->in_length == IN_MAX ? -1 : 0;
    c->head = end + 4 - c->in;
    *end = 0;
    char *field = strcasestr(c->in, "\r\ncontent-length:");
    if (memcmp(c->in + 9, "200", 3) != 0 || field == NULL || strtoul(field + 17, NULL, 10) != expected_body) return -1;
    c->need = c->head + expected_body;
  }
  if (c->in_length < c->need) return 0;
  if (c->in_length > c->need) return -1;
  // The length of every body is checked, and all of its bytes in one of sixteen.
  if (done % 16 == 0 && memcmp(c->in + c->head, pattern, expected_body) != 0) return -1;
  return 1;
}

static double quantile(double share) {
  unsigned long wanted = share * done, seen = 0;
  for (int i = 0; i < BUCKETS; i++) if ((seen += latencies[i]) > wanted) return i;
  return BUCKETS;
}

int main(int argc, char **argv) {
  if (argc < 6) return 2;
  int port = atoi(argv[1]), is_post = strcmp(argv[2], "post") == 0, connections = atoi(argv[3]), loop = epoll_create1(0);
  double warmup = atof(argv[4]) / 1000, measure = atof(argv[5]) / 1000;
  for (size_t i = 0; i < BODY_MAX; i++) pattern[i] = (char)('a' + i % 23);
  expected_body = is_post ? 2 : strtoul(argv[2], NULL, 10);
  for (int i = 0; i < PATHS; i++) {
    int length = sprintf(requests[i], "%s /%zu/function-%d?call=%d HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: load/1\r\nAccept: */*\r\n",
                         is_post ? "POST" : "GET", expected_body, i, i);
    length += sprintf(requests[i] + length, is_post ? "Content-Length: 1024\r\n\r\n" : "\r\n");
    if (is_post) { memcpy(requests[i] + length, pattern, 1024); length += 1024; }
    request_length[i] = length;
  }
  struct connection *all = calloc(connections, sizeof *all);
  for (int i = 0; i < connections; i++) if (dial(loop, &all[i], port)) { perror("load"); return 1; }
  double began = now(), from = began + warmup, until = from + measure, t = began;
  while (t < until) {
    struct epoll_event events[256];
    int count = epoll_wait(loop, events, 256, 100);
    for (int i = 0; i < count; i++) {
      struct connection *c = events[i].data.ptr;
      int outcome = receive(c);
      if (outcome == 0) continue;
      t = now();
      if (outcome < 0) {
        errors++;
        close(c->fd);
        if (dial(loop, c, port)) { perror("load"); return 1; }
        continue;
      }
      if (measuring) {
        unsigned long us = (t - c->started) * 1e6;
        latencies[us < BUCKETS ? us : BUCKETS - 1]++;
        done++;
      }
      ask(c);
    }
    t = now();
    if (!measuring && t >= from) { measuring = 1; from = t; printf("measuring\n"); fflush(stdout); }
  }
  int stuck = 0;
  for (int i = 0; i < connections; i++) stuck += t - all[i].started > 0.5;
  printf("{\"requests\":%lu,\"errors\":%lu,\"seconds\":%.6f,\"p50\":%.0f,\"p99\":%.0f,\"stuck\":%d}\n", done, errors, t - from, quantile(0.5), quantile(0.99), stuck);
  return 0;
}
