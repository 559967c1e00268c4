/* The floor: what any program must do for cameras over TCP, and nothing else. RTSP handshake, then epoll + recv + memcpy into
 * a mapped, pre-faulted file on tmpfs per camera. No RTP is looked at.
 *
 *     bare FOLDER HOST PORT /path [/path ...]      prints "ready" once every camera plays; ends by SIGTERM
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RING = 8 << 20, BUFFER = 64 << 10, MOST = 64 };

struct camera {
    int socket;
    char *ring;
    size_t at;
};

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* Sends a request and reads its answer's head and body; the head is left in `answer`. */
static void ask(int socket, char *answer, size_t size, const char *request) {
    if (send(socket, request, strlen(request), 0) < 0) fail("send");
    size_t have = 0;
    for (;;) {
        ssize_t got = recv(socket, answer + have, 1, 0);
        if (got <= 0) fail("recv");
        have += 1;
        if (have + 1 >= size) {
            fprintf(stderr, "the answer is too long\n");
            exit(1);
        }
        answer[have] = 0;
        if (have >= 4 && !strcmp(answer + have - 4, "\r\n\r\n")) break;
    }
    if (strncmp(answer, "RTSP/1.0 200", 12)) {
        fprintf(stderr, "%s%s", request, answer);
        exit(1);
    }
    const char *length = strcasestr(answer, "Content-Length:");
    for (long left = length ? atol(length + 15) : 0; left > 0;) {
        char body[4096];
        ssize_t got = recv(socket, body, left < (long)sizeof body ? (size_t)left : sizeof body, 0);
        if (got <= 0) fail("recv");
        left -= got;
    }
}

static void play(struct camera *camera, const char *folder, const char *host, int port, const char *path, int index) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    camera->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(camera->socket, (struct sockaddr *)&address, sizeof address)) fail("connect");
    char request[1024], answer[8192], session[256] = "";
    snprintf(request, sizeof request, "DESCRIBE rtsp://%s:%d%s RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n", host, port, path);
    ask(camera->socket, answer, sizeof answer, request);
    snprintf(request, sizeof request,
             "SETUP rtsp://%s:%d%s/stream=0 RTSP/1.0\r\nCSeq: 2\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n", host, port, path);
    ask(camera->socket, answer, sizeof answer, request);
    const char *given = strcasestr(answer, "Session:");
    if (!given || sscanf(given + 8, " %255[^;\r\n]", session) != 1) {
        fprintf(stderr, "no session\n");
        exit(1);
    }
    snprintf(request, sizeof request, "PLAY rtsp://%s:%d%s RTSP/1.0\r\nCSeq: 3\r\nSession: %s\r\n\r\n", host, port, path, session);
    if (send(camera->socket, request, strlen(request), 0) < 0) fail("send");
    fcntl(camera->socket, F_SETFL, O_NONBLOCK);

    snprintf(request, sizeof request, "%s/ring%d", folder, index);
    int file = open(request, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || ftruncate(file, RING)) fail(request);
    camera->ring = mmap(NULL, RING, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
    if (camera->ring == MAP_FAILED) fail("mmap");
    close(file);
}

int main(int count, char **words) {
    static struct camera cameras[MOST];
    static char buffer[BUFFER];
    if (count < 5 || count - 4 > MOST) {
        fprintf(stderr, "bare FOLDER HOST PORT /path ...\n");
        return 2;
    }
    int poll = epoll_create1(0);
    for (int i = 0; i < count - 4; i++) {
        play(&cameras[i], words[1], words[2], atoi(words[3]), words[4 + i], i);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &cameras[i]};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, cameras[i].socket, &event)) fail("epoll_ctl");
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct epoll_event events[MOST];
        int ready = epoll_wait(poll, events, MOST, -1);
        for (int i = 0; i < ready; i++) {
            struct camera *camera = events[i].data.ptr;
            ssize_t got = recv(camera->socket, buffer, sizeof buffer, 0);
            if (got == 0 || (got < 0 && errno != EAGAIN)) {
                fprintf(stderr, "a camera ended\n");
                return 1;
            }
            for (ssize_t from = 0; from < got;) {
                size_t part = (size_t)(got - from) < RING - camera->at ? (size_t)(got - from) : RING - camera->at;
                memcpy(camera->ring + camera->at, buffer + from, part);
                camera->at = (camera->at + part) % RING;
                from += (ssize_t)part;
            }
        }
    }
}
