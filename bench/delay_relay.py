#!/usr/bin/env python3
"""delay_relay.py LISTEN_PORT TARGET_PORT DELAY_MS: a longer wire for one UDP service of this host.

Every datagram waits DELAY_MS in each direction. It stands in for a kernel's netem, which many lack.
"""
import collections
import select
import socket
import sys
import time


def main():
    listen, target, delay = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 1000
    outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    outside.bind(("0.0.0.0", listen))
    inside = {}                       # a socket towards the service for each sender
    waiting = collections.deque()     # (when, socket, datagram, destination); all wait equally long
    print("ready", flush=True)
    while True:
        pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        readable, _, _ = select.select([outside, *inside.values()], [], [], pause)
        now = time.monotonic()
        for source in readable:
            datagram, sender = source.recvfrom(65536)
            if source is outside:
                if sender not in inside:
                    inside[sender] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                waiting.append((now + delay, inside[sender], datagram, ("127.0.0.1", target)))
            else:
                member = next(address for address, held in inside.items() if held is source)
                waiting.append((now + delay, outside, datagram, member))
        while waiting and waiting[0][0] <= time.monotonic():
            _, through, datagram, destination = waiting.popleft()
            through.sendto(datagram, destination)


if __name__ == "__main__":
    sys.exit(main())
