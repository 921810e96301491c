// The nodes of the benchmark: one epoll loop that listens on several ports of the loopback and answers at once.
//   origin PORTS [PORT]     prints the ports it listens on, one a line, then serves until it is killed; PORT: the one
// GET /BYTES/anything answers that many bytes of the pattern; POST requires 1,024 bytes of the pattern and answers 2.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODY_MAX 65536
#define IN_MAX 32768

struct connection {
  int fd, is_listener;
  size_t in_length;
  const char *out;
  size_t out_length;
  char in[IN_MAX];
};

static char pattern[BODY_MAX];
static struct { size_t body, length; char bytes[BODY_MAX + 256]; } answers[4];
static const char bad[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";

static void fill(int index, size_t body) {
  answers[index].body = body;
  int head = sprintf(answers[index].bytes, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %zu\r\n\r\n", body);
  memcpy(answers[index].bytes + head, pattern, body);
  answers[index].length = head + body;
}

static void answer(struct connection *c, const char *bytes, size_t length) {
  ssize_t sent = send(c->fd, bytes, length, MSG_NOSIGNAL);
  if (sent < 0) sent = 0;
  c->out = bytes + sent;
  c->out_length = length - sent;
}

// Answers one complete request at the start of the input; 0 when there is none.
static int serve(struct connection *c) {
  char *end = memmem(c->in, c->in_length, "\r\n\r\n", 4);
  if (end == NULL) return 0;
  size_t head = end + 4 - c->in, body = 0;
  if (c->in[0] == 'P') {
    *end = 0;
    char *field = strcasestr(c->in, "\r\ncontent-length:");
    body = field ? strtoul(field + 17, NULL, 10) : 0;
    *end = '\r';
    if (head + body > IN_MAX) { answer(c, bad, sizeof bad - 1); c->in_length = 0; return 1; }
    if (c->in_length < head + body) return 0;
    if (body != 1024 || memcmp(c->in + head, pattern, body) != 0) answer(c, bad, sizeof bad - 1);
    else answer(c, answers[0].bytes, answers[0].length);
  } else {
    size_t wanted = strtoul(c->in + 5, NULL, 10);
    int index = wanted == 16 ? 1 : wanted == 1024 ? 2 : 3;
    if (answers[index].body != wanted) answer(c, bad, sizeof bad - 1);
    else answer(c, answers[index].bytes, answers[index].length);
  }
  c->in_length -= head + body;
  memmove(c->in, c->in + head + body, c->in_length);
  return 1;
}

int main(int argc, char **argv) {
  int ports = argc > 1 ? atoi(argv[1]) : 1, loop = epoll_create1(0);
  for (size_t i = 0; i < BODY_MAX; i++) pattern[i] = (char)('a' + i % 23);
  fill(0, 2); fill(1, 16); fill(2, 1024); fill(3, 65536);
  for (int i = 0; i < ports; i++) {
    struct connection *c = calloc(1, sizeof *c);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    c->is_listener = 1;
    int on = 1;
    setsockopt(c->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (argc > 2) address.sin_port = htons(atoi(argv[2]));
    if (bind(c->fd, (struct sockaddr *)&address, size) || listen(c->fd, 4096)) { perror("origin"); return 1; }
    getsockname(c->fd, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(loop, EPOLL_CTL_ADD, c->fd, &event);
  }
  printf("ready\n");
  fflush(stdout);
  for (;;) {
    struct epoll_event events[256];
    int count = epoll_wait(loop, events, 256, -1);
    for (int i = 0; i < count; i++) {
      struct connection *c = events[i].data.ptr;
      if (c->is_listener) {
        int fd;
        while ((fd = accept4(c->fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
          int on = 1;
          setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
          struct connection *accepted = calloc(1, sizeof *accepted);
          accepted->fd = fd;
          struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = accepted};
          epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event);
        }
        continue;
      }
      int gone = 0;
      for (;;) {
        if (c->out_length > 0) {
          answer(c, c->out, c->out_length);
          if (c->out_length > 0) break;
        }
        while (c->out_length == 0 && serve(c)) {}
        if (c->out_length > 0) break;
        ssize_t got = recv(c->fd, c->in + c->in_length, IN_MAX - c->in_length, 0);
        if (got > 0) { c->in_length += got; continue; }
        gone = got == 0 || errno != EAGAIN;
        break;
      }
      if (gone) { close(c->fd); free(c); }
    }
  }
}
