"""probe.py ADDRESS PORT: says whether a TCP connection opens."""
import socket
import sys

try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 1.5).close()
    print("open")
except ConnectionRefusedError:
    print("refused by the host")
except OSError:
    print("closed")
