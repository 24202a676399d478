"""enter_root.py ROOT UID PROGRAM ARGUMENT...: the program as this user, with this directory as its
whole file system. Not by chroot: in one the kernel allows nobody a user namespace. Started in a
mount namespace of its own."""

import ctypes
import os
import subprocess
import sys

SYS_PIVOT_ROOT, MNT_DETACH = 155, 2


def main():
    root, uid, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    libc = ctypes.CDLL(None, use_errno=True)
    subprocess.run(["mount", "--rbind", root, root], check=True)
    subprocess.run(["mount", "--rbind", "/proc", f"{root}/proc"], check=True)
    subprocess.run(["mount", "--bind", "/dev/net/tun", f"{root}/dev/net/tun"], check=True)
    os.chdir(root)
    if libc.syscall(SYS_PIVOT_ROOT, b".", b".") != 0 or libc.umount2(b".", MNT_DETACH) != 0:
        sys.exit(f"pivot_root: {os.strerror(ctypes.get_errno())}")
    os.chdir("/")
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    os.execve(command[0], command, {"HOME": "/home", "XDG_RUNTIME_DIR": "/runtime"})


main()
