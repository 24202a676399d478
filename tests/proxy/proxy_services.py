"""What the far end serves besides services.py: TCP on 7 (digest), 19 (endless), 70 (echo), and a
name server at 10.77.0.53 that knows a few names."""

import hashlib
import socket
import struct
import threading

NAMES = {
    "four.lab": (["10.77.0.1"], []),
    "six.lab": ([], ["fd77::1"]),
    "both.lab": (["10.77.0.1"], ["fd77::1"]),
    "host.search.lab": (["10.77.0.1"], []),
    "foreign.lab": (["198.51.100.7"], []),
}
ALIASES = {"alias.lab": "both.lab"}


def serve(server, handle):
    while True:
        client = server.accept()[0]
        threading.Thread(target=run, args=(handle, client), daemon=True).start()


def run(handle, client):
    with client:
        try:
            handle(client)
        except OSError:
            pass


def digest(client):
    """Reads to the end, then tells what it was: needs a half-close."""
    sha = hashlib.sha256()
    while chunk := client.recv(65536):
        sha.update(chunk)
    client.sendall(sha.hexdigest().encode())


def endless(client):
    while True:
        client.sendall(b"x" * 65536)


def echo(client):
    while chunk := client.recv(65536):
        client.sendall(chunk)


def name_at(message, at):
    labels = []
    while size := message[at]:
        labels.append(message[at + 1 : at + 1 + size].decode())
        at += 1 + size
    return ".".join(labels).lower(), at + 1


def records(name, kind):
    """(type, data) of the answer; None: no such name."""
    alias = ALIASES.get(name)
    if alias:
        data = b"".join(bytes([len(part)]) + part.encode() for part in alias.split(".")) + b"\0"
        return [(5, data)] + [(of, data) for of, data in records(alias, kind)]
    if name not in NAMES:
        return None
    four, six = NAMES[name]
    if kind == 1:
        return [(1, socket.inet_aton(one)) for one in four]
    return [(28, socket.inet_pton(socket.AF_INET6, one)) for one in six] if kind == 28 else []


def dns():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("10.77.0.53", 53))
        while True:
            query, source = server.recvfrom(512)
            name, end = name_at(query, 12)
            found = records(name, struct.unpack("!H", query[end : end + 2])[0])
            answer = b""
            owner = b"\xc0\x0c"
            for kind, data in found or []:
                at = 12 + (end + 4 - 12) + len(answer)
                answer += owner + struct.pack("!HHIH", kind, 1, 60, len(data)) + data
                if kind == 5:  # what follows is of the alias, whose name stands in this record
                    owner = struct.pack("!H", 0xC000 | (at + 12))
            flags = 0x8180 if found is not None else 0x8183
            head = query[:2] + struct.pack("!HHHHH", flags, 1, len(found or []), 0, 0)
            server.sendto(head + query[12 : end + 4] + answer, source)


for port, handle in ((7, digest), (19, endless), (70, echo)):
    server = socket.create_server(("::", port), family=socket.AF_INET6, backlog=256,
                                  dualstack_ipv6=True)
    threading.Thread(target=serve, args=(server, handle), daemon=True).start()
threading.Thread(target=dns, daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
