"""A mount namespace in which every user may open /dev/net/tun, where this machine does not let them.

Most systems create the device with mode 0666; some hardened ones do not. The demo and the benchmarks
must leave the machine as it was, so they bind a device node of their own over it, seen by their
members only.
"""
import os
import subprocess


class TunAccess:
    def __init__(self, folder):
        self.folder = f"{folder}/mounts"
        self.needed = os.stat("/dev/net/tun").st_mode & 0o006 != 0o006
        if not self.needed:
            return
        os.mkdir(self.folder)
        subprocess.run(["mount", "--bind", self.folder, self.folder], check=True)
        subprocess.run(["mount", "--make-private", self.folder], check=True)
        open(f"{self.folder}/ns", "w").close()
        script = (f"mount -t tmpfs -o mode=755 tmpfs {self.folder} && "
                  f"mknod -m 666 {self.folder}/tun c 10 200 && mount --bind {self.folder}/tun /dev/net/tun")
        subprocess.run(["unshare", f"--mount={self.folder}/ns", "sh", "-c", script], check=True)

    def enter(self):
        """Options of nsenter(1)."""
        return [f"--mount={self.folder}/ns"] if self.needed else []

    def remove(self):
        if self.needed:
            subprocess.run(["umount", f"{self.folder}/ns"], check=False)
            subprocess.run(["umount", self.folder], check=False)
