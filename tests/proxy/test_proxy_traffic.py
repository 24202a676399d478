"""What goes through the proxy, and what does not."""

import hashlib
import pathlib
import subprocess
import time

import pytest
from capture import Capture, told_late
from lab import output, wait_until

PAGE = "http://10.77.0.1:8080/5"


@pytest.mark.parametrize("url", [PAGE, "http://[fd77::1]:8080/5", "http://four.lab:8080/5",
                                 "http://six.lab:8080/5", "http://alias.lab:8080/5",
                                 "http://host:8080/5"])
@pytest.mark.parametrize("way", ["socks", "connect", "absolute"])
def test_curl_reaches_the_network(lab, url, way):
    script = {"socks": f'curl -sS -g -m 20 -x "$ALL_PROXY" {url}',
              "connect": f'curl -sS -g -m 20 --proxytunnel -x "$https_proxy" {url}',
              "absolute": f"curl -sS -g -m 20 {url}"}[way]
    done = lab.proxy("sh", "-c", script, profile="names")
    assert (done.returncode, done.stdout) == (0, "xxxxx"), done.stderr


def test_the_host_itself_has_no_way_there(lab):
    done = subprocess.run(lab.as_user("curl", "-sS", "-m", "3", PAGE), capture_output=True)
    assert done.returncode != 0


def test_wrong_passwords_are_refused(lab):
    wrong = 'curl -sS -o /dev/null -w "%{http_code}" -x "http://warren:wrong@${http_proxy#*@}" ' + PAGE
    assert lab.proxy("sh", "-c", wrong).stdout == "407"
    bare = 'curl -sS -o /dev/null -w "%{http_code}" -x "http://${http_proxy#*@}" ' + PAGE
    assert lab.proxy("sh", "-c", bare).stdout == "407"
    assert lab.script("""
for password, name in ("wrong", "warren"), ("", "warren"), (URL.password, "other"):
    try:
        login(password, name)
    except PermissionError:
        print("refused")
sock = connection()
sock.sendall(b"\\5\\1\\0")
print(read(sock, 2))
""") == "refused\n" * 3 + "b'\\x05\\xff'\n"


def test_what_is_not_offered_is_refused_with_a_reason(lab):
    assert lab.script("""
for command, host in (2, "10.77.0.1"), (9, "10.77.0.1"), (1, "127.0.0.1"), (1, "10.77.0.2"), \\
                     (1, "198.51.100.7"), (1, "localhost"), (1, "2001:db8::2"), (1, "224.0.0.1"):
    print(request(login(), command, host, 80)[0], end=" ")
""") == "7 7 2 2 3 2 3 2 "
    assert lab.script('print(request(login(), 1, "no.lab", 80)[0])', profile="names") == "4\n"
    assert lab.script('print(request(login(), 1, "foreign.lab", 80)[0])', profile="names") == "3\n"
    answer = lab.curl("http://198.51.100.7/").stdout
    assert "AllowedIPs" in answer
    # A port nobody listens on answers at once.
    assert lab.script('print(request(login(), 1, "10.77.0.1", 1)[0])') == "5\n"


def test_names_without_a_name_server_are_refused(lab):
    done = lab.curl("http://four.lab/", profile="nameless")
    assert "names no DNS server" in done.stdout
    assert "names are refused" in done.stderr
    assert lab.curl(PAGE, profile="nameless").stdout == "xxxxx"


def test_garbage_ends_a_connection_and_nothing_else(lab):
    assert lab.script("""
import os
for bytes_ in b"\\4\\1\\0\\x50\\1\\2\\3\\4\\0", b"\\5\\0", b"\\0" * 9, b"\\x16\\3\\1" + os.urandom(200), \\
              b"GET / HTTP/1.1\\r\\n\\r\\n", b"GET http://a/ HTTP/9.9\\r\\n\\r\\n", b"A" * 20000:
    sock = connection()
    try:
        sock.sendall(bytes_)
        while sock.recv(65536):
            pass
    except ConnectionError:
        pass
for bytes_ in b"\\5\\1\\0\\2\\1\\2\\3\\4\\0\\x50", b"\\5\\1\\0\\3\\4a..b\\0\\x50", b"\\4" * 20:
    sock = login()
    sock.sendall(bytes_)
    while sock.recv(65536):
        pass
sock = connect("10.77.0.1", 70)
sock.sendall(b"alive")
print(read(sock, 5))
""") == "b'alive'\n"


def test_half_close_both_ways(lab):
    wanted = hashlib.sha256(b"y" * 3_000_000).hexdigest()
    assert lab.script("""
sock = connect("fd77::1", 7)
sock.sendall(b"y" * 3_000_000)
sock.shutdown(socket.SHUT_WR)
print(read(sock, 64).decode(), sock.recv(1))
""") == f"{wanted} b''\n"


def test_fifty_megabytes_arrive_whole(lab):
    size = 50 << 20
    script = f'curl -sS -m 60 -x "$ALL_PROXY" http://10.77.0.1:8080/{size} | sha256sum'
    done = lab.proxy("sh", "-c", script)
    assert done.stdout.split()[0] == hashlib.sha256(b"x" * size).hexdigest(), done.stderr


def test_a_body_goes_up_and_the_connection_ends_with_the_answer(lab):
    assert lab.script("""
import base64
word = base64.b64encode(f"warren:{URL.password}".encode()).decode()
sock = connection()
body = b"z" * 100_000
sock.sendall((f"POST http://10.77.0.1:70/x?y HTTP/1.1\\r\\nProxy-Authorization: Basic {word}\\r\\n"
              f"Content-Length: {len(body)}\\r\\nX-Own: 1\\r\\nConnection: keep-alive\\r\\n\\r\\n").encode()
             + body + b"GET http://other/ HTTP/1.1\\r\\n\\r\\n")
seen = read(sock, 100_000 + 95)  # an echo
head, rest = seen.split(b"\\r\\n\\r\\n", 1)
print(head.decode().replace("\\r\\n", "|"), len(rest))
sock.settimeout(0.5)
try:
    print(sock.recv(100))
except TimeoutError:
    print("nothing of the second request")
""") == ("POST /x?y HTTP/1.1|Host: 10.77.0.1:70|Content-Length: 100000|X-Own: 1|Connection: close "
         "100000\nnothing of the second request\n")


def test_a_hundred_connections_at_once(lab):
    assert lab.script("""
socks = [connect("10.77.0.1", 70) for _ in range(100)]
for i, sock in enumerate(socks):
    sock.sendall(bytes([i]) * 20_000)
print(all(read(sock, 20_000) == bytes([i]) * 20_000 for i, sock in enumerate(socks)))
""") == "True\n"


def test_more_clients_than_the_limit_wait_for_their_turn(lab):
    assert lab.script("""
held = [connection() for _ in range(512)]
late = connection()
late.sendall(b"\\5\\1\\2")
late.settimeout(0.5)
try:
    print(late.recv(2))
except TimeoutError:
    print("waits")
held.pop().close()
late.settimeout(20)
print(read(late, 2))
""") == "waits\nb'\\x05\\x02'\n"


def test_a_slow_reader_costs_little_memory(lab):
    proxy = lab.begin_proxy("/usr/bin/python3", "-c", """
from socks_client import *
import sys
socks = [connect("10.77.0.1", 19) for _ in range(20)]  # without an end, and nobody reads
print("connected", flush=True)
sys.stdin.readline()
print(all(read(sock, 5_000_000).count(b"x") == 5_000_000 for sock in socks[:2]))
""", stdin=subprocess.PIPE)
    assert proxy.stdout.readline() == "connected\n"
    stack = lab.child("warren-stack", int(lab.state()["pid"]))

    def traffic():
        return int(pathlib.Path(f"/proc/{stack}/io").read_text().split("rchar: ")[1].split()[0])

    def rests():
        """Nothing comes but what asks whether there is room again."""
        before = traffic()
        time.sleep(0.3)
        return 0 < traffic() - before < 100_000 or traffic() == before
    wait_until(rests, "it rests", 30)
    resident = int(pathlib.Path(f"/proc/{stack}/status").read_text().split("VmRSS:")[1].split()[0])
    assert resident < 16 << 10, f"{resident} KiB"
    assert 0 < traffic() < 200 << 20
    proxy.stdin.write("go\n")
    proxy.stdin.flush()
    assert proxy.stdout.readline() == "True\n"
    assert proxy.wait(20) == 0


def test_datagrams(lab):
    assert lab.script("""
control, relay = associate()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.settimeout(20)
    for host in "10.77.0.1", "fd77::1", "both.lab", "four.lab":
        sock.sendto(wrap(host, 9, b"hello " + host.encode()), relay)
        print(*unwrap(sock.recv(65536)))
    big = b"b" * 10_000  # several fragments
    sock.sendto(wrap("10.77.0.1", 9, big), relay)
    print(unwrap(sock.recv(65536))[2] == big)
    # A DNS question to the network's own server.
    question = b"\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\4four\\3lab\\0\\0\\1\\0\\1"
    sock.sendto(wrap("10.77.0.53", 53, question), relay)
    print(unwrap(sock.recv(65536))[2][-4:])
    # Fragments, rubbish, and what is not routed are dropped; so is what somebody else sends.
    for bad in b"\\0\\0\\1\\1\\1\\2\\3\\4\\0\\7x", b"", b"\\0" * 5, wrap("127.0.0.1", 9, b"x"):
        sock.sendto(bad, relay)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.settimeout(0.5)
        other.sendto(wrap("10.77.0.1", 9, b"other"), relay)
        try:
            print(other.recv(99))
        except TimeoutError:
            print("not for others")
    sock.sendto(wrap("10.77.0.1", 9, b"last"), relay)
    print(unwrap(sock.recv(65536))[2])
""", profile="names").splitlines() == [
        "10.77.0.1 9 b'hello 10.77.0.1'", "fd77::1 9 b'hello fd77::1'",
        "fd77::1 9 b'hello both.lab'", "10.77.0.1 9 b'hello four.lab'", "True",
        "b'\\nM\\x00\\x01'", "not for others", "b'last'"]


def test_relays_are_limited_and_come_back(lab):
    assert lab.script("""
held = [associate()[0] for _ in range(32)]
print(request(login(), 3, "0.0.0.0", 0)[0])
held.pop().close()
import time
for _ in range(500):
    code = request(login(), 3, "0.0.0.0", 0)[0]
    if code == 0:
        break
    time.sleep(0.02)
print(code)
""") == "1\n0\n"


def test_nothing_of_it_is_seen_on_the_hosts_wire(lab):
    """Names, refused targets, datagrams: the host's interface carries WireGuard and nothing else but
    what the kernel says by itself."""
    capture = Capture(lab)
    lab.script("""
for host in "four.lab", "no.lab", "foreign.lab", "8.8.8.8":
    request(login(), 1, host, 8080)
control, relay = associate()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.settimeout(20)
    sock.sendto(wrap("both.lab", 9, b"x"), relay)
    sock.recv(99)
""", profile="names")
    capture.end()
    others = output("tcpdump", "-nr", capture.file,
                    "not port 51820 and not arp and not icmp6 and not (ip6 and dst host ff02::16) and not host "
                    f"127.0.0.1 and not ({told_late(51820)})")
    assert others == "", others
    assert "51820" in output("tcpdump", "-nr", capture.file, "udp port 51820"), "it would have been seen"
