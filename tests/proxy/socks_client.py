"""SOCKS5 by hand, for programs inside a proxy: what curl does not do."""

import os
import socket
import struct
import urllib.parse

URL = urllib.parse.urlsplit(os.environ.get("ALL_PROXY", ""))


def connection():
    return socket.create_connection((URL.hostname, URL.port), timeout=20)


def read(sock, size):
    data = b""
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            raise EOFError(f"the proxy said {data!r} and no more")
        data += chunk
    return data


def login(password=None, name="warren"):
    sock = connection()
    sock.sendall(b"\5\1\2")
    assert read(sock, 2) == b"\5\2"
    word = (password if password is not None else URL.password).encode()
    sock.sendall(b"\1" + bytes([len(name)]) + name.encode() + bytes([len(word)]) + word)
    verdict = read(sock, 2)
    if verdict != b"\1\0":
        raise PermissionError(verdict)
    return sock


def address(host):
    for family, kind in ((socket.AF_INET, b"\1"), (socket.AF_INET6, b"\4")):
        try:
            return kind + socket.inet_pton(family, host)
        except OSError:
            pass
    return b"\3" + bytes([len(host)]) + host.encode()


def request(sock, command, host, port):
    """The reply's code and the endpoint in it."""
    sock.sendall(b"\5" + bytes([command]) + b"\0" + address(host) + struct.pack("!H", port))
    _, code, _, kind = read(sock, 4)
    size = {1: 4, 4: 16}[kind]
    host = socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, read(sock, size))
    return code, host, struct.unpack("!H", read(sock, 2))[0]


def connect(host, port):
    sock = login()
    code = request(sock, 1, host, port)[0]
    if code:
        raise ConnectionError(code)
    return sock


def associate(source_port=0):
    """The TCP connection that keeps it, and where datagrams go."""
    sock = login()
    code, host, port = request(sock, 3, "0.0.0.0", source_port)
    assert code == 0, code
    return sock, (host, port)


def wrap(host, port, payload):
    return b"\0\0\0" + address(host) + struct.pack("!H", port) + payload


def unwrap(datagram):
    assert datagram[:3] == b"\0\0\0"
    size = {1: 4, 4: 16}[datagram[3]]
    family = socket.AF_INET if size == 4 else socket.AF_INET6
    host = socket.inet_ntop(family, datagram[4 : 4 + size])
    return host, struct.unpack("!H", datagram[4 + size : 6 + size])[0], datagram[6 + size :]
