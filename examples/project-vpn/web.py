"""web.py PORT TEXT: answers every request with TEXT, but /stream with a number each 10 ms until it is cut."""
import http.server
import sys
import time

PORT, TEXT = int(sys.argv[1]), sys.argv[2]


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        if self.path != "/stream":
            self.wfile.write(f"{TEXT}\n".encode())
            return
        deadline = time.monotonic() + 60
        number = 0
        while time.monotonic() < deadline:
            number += 1
            try:
                self.wfile.write(f"{number}\n".encode())
            except OSError:
                return
            time.sleep(0.01)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("", PORT), Page)
print("ready", flush=True)
server.serve_forever()
