#!/usr/bin/python3
"""Content from one end of a tunnel to the other, over TCP and UDP, compared by its hash; and a look
at the packets of one interface.

  carry.py receive ADDRESS            says its port, then what arrived, once per connection
  carry.py send ADDRESS PORT BYTES SIZE
        BYTES over TCP; then the same over UDP in datagrams of SIZE, up to 30 of them per call
        where the kernel cuts them (UDP_SEGMENT). Ends with 0 if both arrived unchanged.
  carry.py watch INTERFACE
        A line per packet: its length with headers, and its first bytes. When standard input ends, so
        does this, with what has passed until then.
"""

import hashlib
import random
import select
import socket
import struct
import sys

UDP_SEGMENT, SOL_UDP = 103, 17
BURST = 30
INDEX = struct.Struct("!I")
PATIENCE = 0.5  # until a burst is sent again
GIVE_UP = 20  # rounds of that without an answer


def listening(kind, address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made


def receive(address):
    stream = listening(socket.SOCK_STREAM, address)
    stream.bind((address, 0))
    stream.listen()
    port = stream.getsockname()[1]
    datagrams = listening(socket.SOCK_DGRAM, address)
    datagrams.bind((address, port))
    print(port, flush=True)
    while True:
        connection, _ = stream.accept()
        with connection:
            hashed = hashlib.sha256()
            left = int.from_bytes(connection.recv(8, socket.MSG_WAITALL), "big")
            while left and (chunk := connection.recv(min(left, 1 << 20))):
                hashed.update(chunk)
                left -= len(chunk)
            connection.sendall(hashed.digest())
            parts = {}
            count = int.from_bytes(connection.recv(8, socket.MSG_WAITALL), "big")
            while len(parts) < count:
                bytes_, sender = datagrams.recvfrom(65535)
                parts[bytes_[:INDEX.size]] = bytes_
                datagrams.sendto(bytes_[:INDEX.size], sender)
            hashed = hashlib.sha256(b"".join(parts[key] for key in sorted(parts)))
            connection.sendall(hashed.digest())


def connected(address, port, size):
    """A socket for datagrams of `size`, and whether the kernel cuts them."""
    made = listening(socket.SOCK_DGRAM, address)
    made.connect((address, port))
    try:
        made.setsockopt(SOL_UDP, UDP_SEGMENT, size)
    except OSError:
        return made, False
    return made, True


def send_datagrams(address, port, parts, connection):
    """Each part until it is acknowledged, or until `connection` says that all have arrived: the last
    acknowledgement may be lost, and the receiver does not wait for it to be asked for again.

    What stays away twice comes from another port: newest wireguard-go writes a checksum of 0 as 0,
    which UDP over IPv6 forbids, so that one datagram in 65,536 never arrives."""
    made, cuts = connected(address, port, len(parts[0]))
    burst_size = min(BURST, 60_000 // len(parts[0]))  # what the receiver's socket holds
    step = burst_size if cuts else 1
    for first in range(0, len(parts), burst_size):
        burst = parts[first:first + burst_size]
        missing = {part[:INDEX.size] for part in burst}
        silent = 0
        while missing:
            for i in range(0, len(burst), step):
                made.send(b"".join(burst[i:i + step]))
            silent += 1
            while missing:
                ready = select.select([made, connection], [], [], PATIENCE)[0]
                if connection in ready:
                    return
                if not ready:
                    break
                missing.discard(made.recv(65535))
                silent = 0
            if silent > GIVE_UP:
                sys.exit(f"of datagrams {first} to {first + burst_size} of {len(parts)} these do not "
                         f"arrive: {sorted(INDEX.unpack(index)[0] for index in missing)}")
            if silent > 1:
                made, _ = connected(address, port, len(parts[0]))
            burst = [part for part in burst if part[:INDEX.size] in missing]


def send(address, port, count, size):
    noise = random.Random(count * 7919 + size)
    content = noise.randbytes(count)
    connection = socket.create_connection((address, port), timeout=30)
    connection.sendall(len(content).to_bytes(8, "big") + content)
    wanted = hashlib.sha256(content).digest()
    if connection.recv(len(wanted), socket.MSG_WAITALL) != wanted:
        sys.exit("what arrived over TCP is not what was sent")
    body = size - INDEX.size
    parts = [INDEX.pack(i) + content[at:at + body]
             for i, at in enumerate(range(0, len(content) - body, body))]
    connection.sendall(len(parts).to_bytes(8, "big"))
    send_datagrams(address, port, parts, connection)
    wanted = hashlib.sha256(b"".join(parts)).digest()
    if connection.recv(len(wanted), socket.MSG_WAITALL) != wanted:
        sys.exit("what arrived over UDP is not what was sent")


def show(packet):
    print(len(packet), packet[:80].hex(), flush=True)


def watch(interface):
    everything = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003))
    everything.bind((interface, 0x0003))
    print("watching", flush=True)
    while sys.stdin not in select.select([everything, sys.stdin], [], [])[0]:
        show(everything.recv(65536))
    everything.setblocking(False)
    try:
        while True:
            show(everything.recv(65536))
    except BlockingIOError:
        return


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    if what == "receive":
        receive(words[0])
    elif what == "send":
        send(words[0], int(words[1]), int(words[2]), int(words[3]))
    else:
        watch(words[0])
