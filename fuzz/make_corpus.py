#!/usr/bin/env python3
"""Writes the hand-made seeds of fuzz/corpus/. Keys are patterns of repeated bytes and nobody's.

Files whose name starts with "found-" are inputs that once failed; they are not made here and stay.
"""
import base64
import hashlib
import pathlib
import struct

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"


def seed(target, name, content):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def key(fill):
    return base64.b64encode(bytes([fill]) * 32).decode()


def messages():
    seed("messages", "initiation", struct.pack("<II", 1, 7) + bytes(range(140)))
    seed("messages", "response", struct.pack("<III", 2, 7, 8) + bytes(range(80)))
    seed("messages", "cookie", struct.pack("<II", 3, 8) + bytes(range(56)))
    seed("messages", "keepalive", struct.pack("<IIQ", 4, 8, 2**63 + 5) + bytes(16))
    seed("messages", "transport", struct.pack("<IIQ", 4, 8, 0) + bytes(64 + 16))
    seed("messages", "reserved-not-zero", struct.pack("<II", 0x01000004, 8) + bytes(40))


RAW, SIGNED, SEALED, REPLAY, PACKETS, HANDSHAKE, TIME, CONFIGURE, TRAIN = range(9)


def record(kind, parameter=0, content=b""):
    return struct.pack("<BBH", kind, parameter, len(content)) + content


def ipv4(source, destination, payload=b"", protocol=17, tos=0):
    return struct.pack(">BBHIBBH4s4s", 0x45, tos, 20 + len(payload), 0, 64, protocol, 0,
                       bytes(source), bytes(destination)) + payload


def ipv6(source, destination, payload=b"", protocol=59):
    return (struct.pack(">IHBB", 0x60000000, len(payload), protocol, 64) + source + destination +
            payload)


def checksum(data):
    total = sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total > 0xffff:
        total = (total & 0xffff) + (total >> 16)
    return 0xffff - total


def tcp4(source, destination, sequence, payload, flags=0x10):
    """A segment with all its checksums, as one of a stream."""
    def segment(total):
        return struct.pack(">HHIIBBHHH", 1000, 2000, sequence, 9, 0x50, flags, 512, total, 0) + payload

    pseudo = bytes(source) + bytes(destination) + struct.pack(">HH", 6, 20 + len(payload))
    tcp = segment(checksum(pseudo + segment(0)))
    header = ipv4(source, destination, tcp, 6)[:20]
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:] + tcp


def node():
    there, here = (10, 9, 0, 2), (10, 9, 0, 1)
    there6 = bytes.fromhex("fd000009") + bytes(11) + b"\2"
    here6 = bytes.fromhex("fd000009") + bytes(11) + b"\1"
    good = ipv4(there, here, b"x" * 11)
    padded = good + bytes(-len(good) % 16)
    seed("node_receive", "both-ways",
         record(HANDSHAKE) + record(SEALED, 0, padded) + record(PACKETS, 255, ipv4(here, there)) +
         record(SEALED, 0, ipv6(there6, here6, b"y" * 9)) + record(SEALED))
    seed("node_receive", "hostile-plaintext",
         record(HANDSHAKE) + record(SEALED, 0, ipv4((10, 9, 0, 3), here)) +
         record(SEALED, 3, ipv4(there, here, tos=0)) + record(SEALED, 0, b"\x45") +
         record(SEALED, 0, b"\x60" + bytes(38)) + record(SEALED, 0, b"\x45\0\xff\xff" + bytes(16)) +
         record(SEALED, 0, b"\x30" + bytes(31)) + record(SEALED, 0, bytes(1200)))
    seed("node_receive", "replay",
         record(HANDSHAKE) + record(SEALED, 0, padded) + record(REPLAY) +
         record(REPLAY, 9, b"\1") + record(REPLAY, 20, b"\x80") + record(HANDSHAKE, 3) +
         record(SEALED, 1, padded))
    seed("node_receive", "strangers",
         record(RAW, 1, struct.pack("<II", 1, 7) + bytes(140)) +
         record(RAW, 2, struct.pack("<III", 2, 7, 8) + bytes(80)) +
         record(RAW, 2, struct.pack("<II", 3, 8) + bytes(56)) +
         record(RAW, 1, struct.pack("<IIQ", 4, 8, 0) + bytes(16)) +
         record(SIGNED, 1, struct.pack("<II", 1, 7) + bytes(140)) +
         record(SIGNED, 1, struct.pack("<III", 2, 1, 1) + bytes(80)))
    seed("node_receive", "a-life",
         record(CONFIGURE, 2) + record(PACKETS, 255, ipv4(here, there)) + record(TIME, 25) +
         record(HANDSHAKE) + record(SEALED, 0, padded) + record(TIME, 120) +
         record(SEALED, 0, padded) + record(TIME, 100) + record(PACKETS, 255, ipv4(here, there)) +
         record(CONFIGURE, 1) + record(CONFIGURE, 0) + record(HANDSHAKE) + record(TIME, 255))
    stream = [tcp4(there, here, 7 + 72 * i, bytes([i]) * 72) for i in range(5)]
    ending = stream[:4] + [tcp4(there, here, 7 + 72 * 4, b"end", 0x18)]
    seed("node_receive", "train",
         record(HANDSHAKE) + record(TRAIN, 12, b"\xff\0" + b"".join(ending)) +
         record(TRAIN, 12, b"\2\x40" + b"".join(stream)) +
         record(TRAIN, 12, b"\xff\0" + b"".join(stream[:2] + stream[3:] + stream[2:3])) +
         record(TRAIN, 4, b"\xff\0" + padded * 3 + ipv6(there6, here6, b"y" * 9)))
    seed("node_receive", "tun", record(PACKETS, 2, bytes(range(256)) + ipv4(here, there)) +
         record(PACKETS, 255, ipv6(here6, there6)) + record(PACKETS, 4, ipv4(here, (8, 8, 8, 8))))


def uapi():
    peer = "public_key=" + "ab" * 32 + "\n"
    seed("uapi", "get", "\0get=1\n\n")
    seed("uapi", "set",
         "\x06set=1\nprivate_key=" + "5a" * 32 + "\nlisten_port=51820\nfwmark=7\nreplace_peers=true\n" +
         peer + "update_only=true\npreshared_key=" + "11" * 32 +
         "\nendpoint=[fe80::1%3]:51820\npersistent_keepalive_interval=25\nreplace_allowed_ips=true\n"
         "allowed_ip=10.0.0.7/8\nallowed_ip=-fd00::/64\nallowed_ip=+0.0.0.0/0\nprotocol_version=1\n"
         "public_key=" + "cd" * 32 + "\nremove=true\n\nget=1\n\n")
    seed("uapi", "set-body", "\0listen_port=1\n" + peer + "endpoint=192.0.2.1:1\nallowed_ip=::/0\n")
    seed("uapi", "status",
         "\0private_key=" + "5a" * 32 + "\nlisten_port=51820\nfwmark=1\n" + peer +
         "preshared_key=" + "00" * 32 + "\nprotocol_version=1\nendpoint=[2001:db8::1]:9\n"
         "last_handshake_time_sec=1700000000\nlast_handshake_time_nsec=5\ntx_bytes=1\n"
         "rx_bytes=18446744073709551615\npersistent_keepalive_interval=0\nallowed_ip=10.0.0.1/32\n"
         "errno=0\n\n")
    seed("uapi", "status-time-three-times",
         "\0" + peer + "last_handshake_time_sec=4294967295\n" * 3 + "errno=0\n\n")
    seed("uapi", "result", "\0errno=-98\n\n")


def opener():
    name = b"wr3f9c01ab".ljust(16, b"\0")

    def message(kind, body):
        return struct.pack("<HHI", kind, 0, 5) + body

    seed("opener", "hello", message(1, struct.pack("<H", 2)))
    seed("opener", "open-udp", message(2, struct.pack("<HI", 51820, 7)))
    seed("opener", "set-mark", message(3, struct.pack("<I", 7)))
    seed("opener", "hello-reply", message(4, struct.pack("<HHBBBBB", 2, 1420, 1, 1, 0, 0x3f, 4) + name))
    seed("opener", "open-udp-reply", message(5, struct.pack("<IHBB", 98, 0, 0, 1)))
    seed("opener", "done", message(6, struct.pack("<I", 1)))
    seed("opener", "link-changed", message(7, struct.pack("<BH", 1, 1380)))
    seed("opener", "network-changed", message(8, b""))
    seed("opener", "shutdown", message(9, b""))
    seed("opener", "adopted", message(10, struct.pack("<HHIBBBB", 2, 51820, 0, 1, 1, 0, 0x0f) + name))
    seed("opener", "hello-reply-1", message(4, struct.pack("<HHBBB", 1, 1420, 1, 1, 0) + name))
    seed("opener", "open-worker", message(11, struct.pack("<HIB", 51820, 7, 1)))
    seed("opener", "open-worker-reply", message(12, struct.pack("<IBB", 0, 1, 1)))


def hints():
    put, get, erase, flip = range(4)
    seed("hints", "twin", bytes([0, 3, 8]) + bytes([put, 1, 1, 0, put, 4, 2, 0, put, 8, 3, 0, get, 4,
         0, 0, erase, 1, 0, 0, get, 8, 0, 0, put, 12, 4, 0, put, 16, 5, 0]))
    seed("hints", "full-of-tombstones", bytes([0, 1, 9]) + bytes([put, 0, 1, 0, put, 2, 2, 0, put, 4,
         3, 0, erase, 0, 0, 0, erase, 2, 0, 0, get, 4, 0, 0, put, 6, 1, 0, erase, 2, 0, 0, erase, 6,
         0, 0]))
    seed("hints", "torn", bytes([0, 2, 4]) + bytes([put, 1, 1, 0, put, 4, 2, 0, flip, 0, 1, 16, get,
         4, 0, 0]))
    seed("hints", "foreign-slots", bytes([1, 2, 2, put, 1, 1, 0, erase, 1, 0, 0]) + b"\2" * 300)
    header = b"WRHINTS\0" + struct.pack("<II", 1, 1) + bytes(112)
    seed("hints", "foreign-memory", bytes([2, 0, 1, put, 1, 1, 0]) + header + b"\1" * 128)
    seed("hints", "wrong-size", bytes([2, 0, 0]) + header + bytes(64))


def wg_conf():
    seed("wg_conf", "stock", f"""\ufeff[Interface]
PrivateKey = {key(0x5a)}
Address = 10.0.0.2/24, fd00::2/64 # two
ListenPort=51821\r
FwMark = 0xca6c
DNS = 10.0.0.1, corp.example
MTU = 1380
Table = off
SaveConfig = true
PostUp = ip rule add ipproto tcp dport 22 table main
PreDown = touch /x = y

[peer]
publickey = {key(0xab)}
PresharedKey = {key(0x11)}
AllowedIPs = 10.0.0.7/24,\t::/0
allowedips = 192.0.2.0/24
Endpoint = [2001:db8::1]:51820
PersistentKeepalive = off
""")
    seed("wg_conf", "two-peers", f"[Interface]\nPrivateKey={key(0x5a)}\n[Peer]\nPublicKey={key(1)}\n"
         f"Endpoint=gw.example.org:1\nPersistentKeepalive=25\n[Peer]\nPublicKey={key(2)}\n")
    seed("wg_conf", "misspelt", f"[Interface]\nPrivatKey = {key(0x5a)}\n")
    seed("wg_conf", "off", f"[Interface]\nPrivateKey={key(0x5a)}\nFwMark=off\nTable=Auto\nDNS=,\n")


def token():
    seed("token", "text", "warren1AQAUZ3cuZXhhbXBsZS5vcmc6NTE4MDAAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobH"
         "B0eH_Dx8vP09fb3-Pn6-_z9_v8mVf9V\n")
    for name, at in (("name", "gw.example.org:51800"), ("v6", "[2001:db8::1]:65535"),
                     ("no-port", "gateway"), ("blank", "gate way:1"), ("long", "a" * 300 + ":1")):
        seed("token", "parts-" + name, bytes(range(48)) + at.encode())


def api_json():
    seed("api_json", "empty", '{"schema":1}')
    seed("api_json", "network-create", '{"schema":1,"name":"lab","subnet":"10.0.0.0/24","subnet6":"none",'
         '"port":1,"endpoint":"gw","dns":["1.1.1.1"],"nat":false}')
    seed("api_json", "invite", '{"schema":1,"name":"ann","role":"node","expires_s":7}')
    seed("api_json", "enrol", '{"schema":1,"secret":"c2Vj","public_key":"k\\u00fc\\n","time":-1}')
    seed("api_json", "revocation", '{"schema":1,"network":"lab","name":"ann","steps":[{"step":"engine",'
         '"ms":0.1}],"total_ms":1e-3,"pending":[]}')
    seed("api_json", "error", '{"schema":1,"error":{"kind":"not-found","message":"no such network",'
         '"hint":"warren network list"}}')
    seed("api_json", "twice", '{"schema":1,"schema":1}')
    seed("api_json", "deep", '{"schema":1,"records":' + "[" * 40 + "]" * 40 + "}")
    seed("api_json", "numbers", '{"schema":1,"name":"x","expires_s":4294967296,"dns":1e999}')
    seed("api_json", "network-set", '{"schema":1,"endpoint":"gw","dns":[],"nat":true,"host_access":false}')
    seed("api_json", "role-set", '{"schema":1,"range":"none","max_members":0}')
    seed("api_json", "policy-test", '{"schema":1,"from":"peer:a","to":"internet","port":"tcp/22"}')
    seed("api_json", "batch", '{"schema":1,"peers":[{"name":"a","public_key":"k"},{"name":"b"}]}')
    seed("api_json", "forward", '{"schema":1,"from":"8080/tcp","peer":"web","to_port":80}')
    seed("api_json", "token", '{"schema":1,"name":"ci","network":"lab","read_only":true,"expires_s":60}')
    seed("api_json", "sign", '{"schema":1,"certificate_request":"-----BEGIN","server":true,'
         '"dns_names":["www.lab"],"addresses":["10.0.0.2"],"days":7}')
    seed("api_json", "rotate", '{"schema":1,"ca_certificates":"-----BEGIN","drop_old":false}')
    seed("api_json", "member", '{"schema":1,"network":"lab","public_key":"k","proof":"p",'
         '"revision":"r","wait_s":60}')
    seed("api_json", "audit", '{"schema":1,"records":[{"number":1,"time":2,"time_ns":3,"actor":"uid 0",'
         '"action":"network.create","target":"lab","result":"ok","chain":""}],"through":9}')
    seed("api_json", "event", '{"schema":1,"number":1,"time":2,"kind":"connect","actor":"a",'
         '"action":"peer.connect","target":"lab/a","network":"lab","peer":"a","result":"ok"}')
    seed("api_json", "many-keys", '{"schema":1' + "".join(f',"k{n}":1' for n in range(300)) + "}")


def router():
    seed("router", "own", "GET\n/v1/networks/own/peers/p?limit=7\n")
    seed("router", "other", "DELETE\n/v1/networks/%6fther\n")
    seed("router", "escapes", "GET\n/v1/networks/own%2F..%2Fother/peers/%zz?limit=%3\n")
    seed("router", "query", "GET\n/v1/things?limit=7&word=a%20b&limit=8\n")
    seed("router", "body", 'POST\n/v1/networks/own\n{"schema":1}')


def checksum(content):
    content += bytes(len(content) % 2)
    total = sum(struct.unpack(f">{len(content) // 2}H", content))
    while total > 0xffff:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ipv4_header(protocol, size, flags=0x4000):
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + size, 7, flags, 64, protocol, 0,
                         bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)))
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:]


def tcp(payload, flags=0x10, options=b""):
    return struct.pack(">HHIIBBHHH", 1, 2, 100, 7, (20 + len(options)) // 4 << 4, flags, 500, 0,
                       0) + options + payload


def udp(payload):
    return struct.pack(">HHHH", 1, 2, 8 + len(payload), 0) + payload


FRAME = bytes(12)
HERE, THERE = bytes(15) + b"\1", bytes(15) + b"\2"
PAYLOAD = bytes(range(100))
STAMP = b"\x01\x01\x08\x0a" + bytes(8)
EXTENSIONS = bytes((60, 0)) + bytes(6)  # hop-by-hop, destination options, then TCP
SUPERS = {  # name: gso type, where the transport header begins, where its checksum lies, packet
    "tcp4": (1, 20, 16, ipv4_header(6, 132) + tcp(PAYLOAD, 0x99, STAMP)),
    "tcp6": (4, 40, 16, ipv6(HERE, THERE, tcp(PAYLOAD), 6)),
    "udp4": (5, 20, 6, ipv4_header(17, 108) + udp(PAYLOAD)),
    "udp6": (5, 40, 6, ipv6(HERE, THERE, udp(PAYLOAD), 17)),
    "extensions": (4, 56, 16, ipv6(HERE, THERE, EXTENSIONS + bytes((6, 0)) + bytes(6) + tcp(PAYLOAD), 0)),
    "fragment": (5, 20, 6, ipv4_header(17, 108, 0x2000) + udp(PAYLOAD)),
}


def segments():
    for name, (kind, start, offset, packet) in SUPERS.items():
        def vnet(shift, flags=1):
            return struct.pack("=BBHHHH", flags, kind, 0, 30, start + shift, offset)
        seed("segments", name, b"\0" + vnet(0) + packet)
        ether = b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd"
        tags = b"\x88\xa8\0\x01\x81\x00\0\x02"
        seed("segments", name + "-frame", b"\1" + vnet(14) + FRAME + ether + packet)
        seed("segments", name + "-tags", b"\1" + vnet(22) + FRAME + tags + ether + packet)
        seed("segments", name + "-summed", b"\0" + vnet(0, 2) + packet)
    seed("segments", "checksum-only", b"\0" + struct.pack("=BBHHHH", 1, 0, 0, 0, 20, 6) +
         SUPERS["udp4"][3])


def coalescer():
    def train(name, size=30):
        packet = SUPERS[name][3]
        return struct.pack(">BBH", 1, size, len(packet)) + packet

    def alone(content):
        return struct.pack(">BH", 0, len(content)) + content
    for name in SUPERS:
        seed("coalescer", name, b"\0" + train(name))
    seed("coalescer", "mixed", b"\0" + b"".join(map(train, SUPERS)) + alone(b"junk") +
         train("tcp4", 100) + alone(SUPERS["fragment"][3]) + train("udp4", 9))
    framed = FRAME + b"\x81\x00\0\x01\x08\x00" + SUPERS["tcp4"][3]
    seed("coalescer", "frames", b"\1" + struct.pack(">BBH", 1, 40, len(framed)) + framed)
    seed("coalescer", "nothing-merged", b"\x1e" + train("tcp4") + train("udp6"))


def aead():
    def batch(packets, filling=b"warren"):
        return bytes([len(packets) - 1]) + b"".join(
            struct.pack("<BHBB", *packet) for packet in packets) + filling
    seed("aead", "one", batch([(0, 64, 0, 0)]))
    seed("aead", "empty-texts", batch([(i % 4, 0, i, i % 2) for i in range(17)]))
    seed("aead", "equal", batch([(1, 1420, 0, 0)] * 32, b"\xff"))
    seed("aead", "mixed", batch([(i % 4, i * 37, i % 64, i % 3) for i in range(50)]))
    seed("aead", "ends", batch([(2, 48 + i, 63 - i, 0) for i in range(33)], b"\0"))
    seed("aead", "few", batch([(3, 1500, 1, 0), (3, 1281, 2, 200), (0, 1040, 3, 0)]))


def proxy():
    seed("proxy", "socks-greeting", b"\5\2\0\2")
    seed("proxy", "socks-login", b"\1\6warren\4word")
    seed("proxy", "socks-connect", b"\5\1\0\1\x0a\0\0\1\0\x50")
    seed("proxy", "socks-name", b"\5\3\0\3\5a.lab\1\xbb")
    seed("proxy", "socks-datagram", b"\0\0\0\4" + bytes(15) + b"\1\0\x35payload")
    seed("proxy", "http-connect", "CONNECT [fd00::1]:443 HTTP/1.1\r\nProxy-Authorization: Basic "
         "YTpi\r\n\r\n")
    seed("proxy", "http-absolute", "POST http://a.lab:81/p?q HTTP/1.1\r\nHost: a\r\nConnection: X, "
         "close\r\nX: 1\r\nContent-Length: 3\r\n\r\nabc")
    seed("proxy", "http-chunked", "PUT http://a/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
    question = b"\1a\1b\0\0\1\0\1"
    alias = b"\xc0\x0c\0\5\0\1\0\0\0\x1e\0\4\1x\xc0\x0e"
    address = b"\xc0\x21\0\1\0\1\0\0\0\x3c\0\4\x0a\0\0\x09"
    seed("proxy", "dns-alias", b"\0\0\x81\x80\0\1\0\2\0\0\0\0" + question + alias + address)
    seed("proxy", "dns-cut", b"\0\0\x83\x80\0\1\0\2\0\0\0\0" + question + alias)
    seed("proxy", "packet-v4", ipv4((10, 0, 0, 1), (10, 0, 0, 2), bytes(20), protocol=6))
    v6 = bytes.fromhex("fd00") + bytes(13)
    seed("proxy", "packet-v6", ipv6(v6 + b"\1", v6 + b"\2", b"\x80" + bytes(7), protocol=58))


def backup():
    def text(value):
        return struct.pack(">H", len(value)) + value

    def header(protection=0, log2_n=0, r=0, p=0, chunk=0, salt=bytes(32)):
        return (b"WRBACKUP" + struct.pack(">5B3xI4x", 1, protection, log2_n, r, p, chunk) + salt)

    archive = (struct.pack(">q", 7) + text(b"warren 1") + text(b"identity.key") +
               struct.pack(">Q", 6) + b"secret" + text(b"settings/warren.yaml") +
               struct.pack(">Q", 0) + text(b""))
    plain = header() + archive
    seed("backup", "plain", plain + hashlib.sha256(plain).digest())
    seed("backup", "archive", archive)
    seed("backup", "sealed-header", header(1, 17, 8, 1, 65536, bytes(range(32))) + bytes(40))
    seed("backup", "cut", plain)


for make in (messages, node, uapi, opener, hints, wg_conf, token, api_json, segments, coalescer,
             aead, proxy, backup, router):
    make()
