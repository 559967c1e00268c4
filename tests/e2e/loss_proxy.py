#!/usr/bin/python3
"""A UDP proxy that loses packets, both ways: `loss_proxy.py '{"to": 8189, "loss": 0.2, "seed": 1}'`.

Prints {"port": N}: what is sent there goes to port `to` of this machine from a socket per sender, and answers go back.
Which packets are lost depends on `seed` and their order alone. A JSON line on stdin, {"loss": 0.0} or {}, sets the share and
is answered by {"sent": N, "lost": N}. Ends when stdin does.
"""

import json
import random
import select
import socket
import sys

# Largest UDP payload.
MOST = 65535
MOST_SENDERS = 64


def udp():
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    made.bind(("127.0.0.1", 0))
    return made


class Proxy:
    def __init__(self, to, loss, seed):
        self.to, self.loss, self.chance = ("127.0.0.1", to), loss, random.Random(seed)
        self.inside = udp()
        self.outside, self.senders = {}, {}
        self.poll = select.epoll()
        self.poll.register(self.inside, select.EPOLLIN)
        self.counts = {"sent": 0, "lost": 0}

    def pass_on(self, send):
        # The die is thrown for every packet, so that a change of the share does not change the rest.
        lost = self.chance.random() < self.loss
        self.counts["lost" if lost else "sent"] += 1
        if not lost:
            try:
                send()
            except OSError:
                # The other end is not there at the moment: this packet is lost, too.
                pass

    def handle(self, number):
        if number == self.inside.fileno():
            data, sender = self.inside.recvfrom(MOST)
            if sender not in self.outside:
                if len(self.outside) >= MOST_SENDERS:
                    return
                made = udp()
                self.outside[sender], self.senders[made.fileno()] = made, (made, sender)
                self.poll.register(made, select.EPOLLIN)
            self.pass_on(lambda: self.outside[sender].sendto(data, self.to))
        else:
            outside, sender = self.senders[number]
            try:
                data = outside.recv(MOST)
            except OSError:
                return
            self.pass_on(lambda: self.inside.sendto(data, sender))

    def command(self):
        line = sys.stdin.readline()
        if not line:
            return False
        self.loss = json.loads(line).get("loss", self.loss)
        print(json.dumps(self.counts), flush=True)
        return True


def main():
    proxy = Proxy(**json.loads(sys.argv[1]))
    proxy.poll.register(sys.stdin, select.EPOLLIN)
    print(json.dumps({"port": proxy.inside.getsockname()[1]}), flush=True)
    while True:
        for number, _ in proxy.poll.poll():
            if number != sys.stdin.fileno():
                proxy.handle(number)
            elif not proxy.command():
                return


if __name__ == "__main__":
    main()
