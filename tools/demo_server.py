#!/usr/bin/env python3
"""demo_server.py PORT: the page and the endless stream that the demo's first member serves.

GET /        a short page
GET /stream  4 KiB every 2 ms until the reader is gone
"""
import http.server
import sys
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        if self.path != "/stream":
            self.wfile.write(f"Hello {self.client_address[0]}, this is {self.connection.getsockname()[0]}"
                             " inside the private network.\n".encode())
            return
        try:
            while True:
                self.wfile.write(b"w" * 4096)
                time.sleep(0.002)
        except OSError:
            pass

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Handler).serve_forever()
