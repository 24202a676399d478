#!/usr/bin/env python3
"""data_server.py PORT JOBS: what the batch jobs work for.

GET / answers with the address it is asked from, once as many jobs as there are have asked: so all of
them were inside at the same time. Answers are held for half a minute at most.
"""
import http.server
import socket
import sys
import threading

JOBS = int(sys.argv[2])
seen = set()
all_here = threading.Condition()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        address = self.client_address[0].removeprefix("::ffff:")
        with all_here:
            seen.add(address)
            all_here.notify_all()
            together = all_here.wait_for(lambda: len(seen) >= JOBS, 30)
        self.send_response(200 if together else 504)
        self.end_headers()
        self.wfile.write(address.encode())

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = JOBS


server = Server(("::", int(sys.argv[1])), Handler)
print("ready", flush=True)
server.serve_forever()
