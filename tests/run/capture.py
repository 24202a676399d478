"""What is on the wires of a lab's host, all of it, while something goes on there."""

import signal
import subprocess

from lab import output, require, wait_until


def told_late(port):
    """A filter for what kernels say when a datagram of a tunnel comes to who is gone: "unreachable",
    "redirect" or "too long on the way", between the two hosts, with the head of that datagram. Its ports
    stand 28 bytes in, behind the header of this message and the one that is quoted."""
    return (f"icmp and (icmp[0] == 3 or icmp[0] == 5 or icmp[0] == 11) and net 192.0.2.0/24 and icmp[17] == 17 "
            f"and (icmp[28:2] == {port} or icmp[30:2] == {port})")


class Capture:
    LAST_PORT = 4444

    def __init__(self, lab):
        require("tcpdump")
        self.lab = lab
        self.file = lab.directory / "all.pcap"
        self.file.touch()
        self.file.chmod(0o666)
        self.process = lab.start(
            lab.in_host("tcpdump", "-i", "any", "-U", "-s", "0", "--immediate-mode", "-w", self.file),
            stderr=subprocess.PIPE, text=True)
        seen = ""
        while "listening" not in seen:
            line = self.process.stderr.readline()
            assert line, f"tcpdump has ended: {seen}"
            seen += line

    def end(self):
        """A packet of the test's own, behind all others, tells that everything was seen."""
        last = b"THE-LAST-PACKET"
        output(*self.lab.in_host("/usr/bin/python3", "-c", "import socket\n"
               "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
               f"s.sendto({last!r}, ('127.0.0.1', {self.LAST_PORT}))"))
        wait_until(lambda: last in self.file.read_bytes(), "the capture is complete", 30)
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)

    def marked(self, mark):
        return mark.encode() in self.file.read_bytes().upper()
