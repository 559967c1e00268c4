/* The floor: what any program must do for viewers, and nothing else. One sendto per packet and viewer, paced per picture; no
 * header is made, nothing is encrypted, nobody answers.
 *
 *     bare VIEWERS PACKETS_PER_SECOND SIZE      prints its sink's process id once it sends; ends by SIGTERM
 *
 * A second process, the sink, takes the packets: what receiving costs is not counted in the sender.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 256, LARGEST = 1500, PICTURES_PER_SECOND = 25, BATCH = 32 };

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int udp(struct sockaddr_in *address) {
    int made = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof *address;
    memset(address, 0, size);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (made < 0 || bind(made, (struct sockaddr *)address, size) || getsockname(made, (struct sockaddr *)address, &size)) fail("socket");
    return made;
}

static void sink(const int *sockets, int count) {
    static char buffers[BATCH][LARGEST];
    int poll = epoll_create1(0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = sockets[i]};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, sockets[i], &event)) fail("epoll_ctl");
    }
    for (;;) {
        struct epoll_event events[MOST];
        int ready = epoll_wait(poll, events, MOST, -1);
        for (int i = 0; i < ready; i++) {
            struct mmsghdr messages[BATCH] = {0};
            struct iovec parts[BATCH];
            for (int k = 0; k < BATCH; k++) {
                parts[k] = (struct iovec){buffers[k], LARGEST};
                messages[k].msg_hdr = (struct msghdr){.msg_iov = &parts[k], .msg_iovlen = 1};
            }
            recvmmsg(events[i].data.fd, messages, BATCH, MSG_DONTWAIT, NULL);
        }
    }
}

int main(int count, char **words) {
    static char packet[LARGEST];
    if (count != 4) {
        fprintf(stderr, "bare VIEWERS PACKETS_PER_SECOND SIZE\n");
        return 2;
    }
    int viewers = atoi(words[1]), size = atoi(words[3]), sockets[MOST];
    double per_picture = atof(words[2]) / PICTURES_PER_SECOND, owed = 0;
    struct sockaddr_in addresses[MOST], own;
    if (viewers < 1 || viewers > MOST || size < 1 || size > LARGEST) return 2;
    for (int i = 0; i < viewers; i++) sockets[i] = udp(&addresses[i]);
    pid_t other = fork();
    if (other < 0) fail("fork");
    if (other == 0) sink(sockets, viewers);
    for (int i = 0; i < viewers; i++) close(sockets[i]);
    int out = udp(&own);
    printf("%d\n", (int)other);
    fflush(stdout);
    struct timespec due;
    clock_gettime(CLOCK_MONOTONIC, &due);
    for (uint64_t number = 0;;) {
        int packets = (int)(owed += per_picture);
        owed -= packets;
        for (int k = 0; k < packets; k++, number++) {
            memcpy(packet, &number, (size_t)size < sizeof number ? (size_t)size : sizeof number);
            for (int i = 0; i < viewers; i++)
                if (sendto(out, packet, (size_t)size, 0, (struct sockaddr *)&addresses[i], sizeof addresses[i]) != size) fail("sendto");
        }
        due.tv_nsec += 1000000000 / PICTURES_PER_SECOND;
        if (due.tv_nsec >= 1000000000) {
            due.tv_nsec -= 1000000000;
            due.tv_sec += 1;
        }
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    }
}
