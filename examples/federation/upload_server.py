"""upload_server.py PORT: keeps what is PUT, with the address it came from, and gives it back to GET."""
import http.server
import sys

kept = {}


class Uploads(http.server.BaseHTTPRequestHandler):
    def do_PUT(self):
        text = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), 1 << 20)).decode()
        kept[self.path] = f"{self.client_address[0]} {text.strip()}\n"
        self.answer(201, "")

    def do_GET(self):
        self.answer(*((200, kept[self.path]) if self.path in kept else (404, "not here yet\n")))

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Uploads)
print("ready", flush=True)
server.serve_forever()
