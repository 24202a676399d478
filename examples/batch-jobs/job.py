#!/usr/bin/env python3
"""job.py DATA_SERVER SITE...: one batch job. It fetches its data through the only network it has, and says
what it saw: its own address, its interfaces, and which of the site's own services it could reach (none).
"""
import json
import socket
import sys
import urllib.request

data_server, *site = sys.argv[1:]


def reaches(place):
    host, port = place.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 1).close()
    except OSError:
        return False
    return True


with urllib.request.urlopen(f"http://{data_server}/", timeout=60) as answer:
    address = answer.read().decode()
print(json.dumps({
    "address": address,
    "interfaces": sorted(name for _, name in socket.if_nameindex()),
    "reached": [place for place in site if reaches(place)],
    "host_names": open("/etc/resolv.conf").read(),
}))
