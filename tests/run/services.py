"""What the far end serves inside the network: HTTP on 8080, UDP echo on 9, DNS on 53."""

import contextlib
import http.server
import socket
import socketserver
import threading


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"x" * int(self.path[1:] or 5)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Http(socketserver.ThreadingMixIn, http.server.HTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True


def echo():
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
        server.bind(("::", 9))
        while True:
            data, source = server.recvfrom(65536)
            with contextlib.suppress(OSError):  # its tunnel may be down by now
                server.sendto(data, source)


def dns():
    """Every name is 10.77.0.99, and has no other record."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("10.77.0.1", 53))
        while True:
            query, source = server.recvfrom(512)
            end = query.index(b"\0", 12) + 5
            is_a = query[end - 4 : end - 2] == b"\0\x01"
            answer = b"\xc0\x0c\0\x01\0\x01\0\0\0\x01\0\x04\x0a\x4d\0\x63" if is_a else b""
            counts = b"\0\x01" + (b"\0\x01" if is_a else b"\0\0") + b"\0\0\0\0"
            server.sendto(query[:2] + b"\x81\x80" + counts + query[12:end] + answer, source)


for service in (echo, dns, Http(("::", 8080), Page).serve_forever):
    threading.Thread(target=service, daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
