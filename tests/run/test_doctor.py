"""`warren doctor run` names the cause and the remedy."""

import json
import subprocess


# Answers EPERM to unshare, and to clone with a new user namespace, as container engines do.
SECCOMP = """
import ctypes, os, struct, sys
def op(code, k, t=0, f=0): return struct.pack("HBBI", code, t, f, k)
program = b"".join([op(0x20, 0), op(0x15, 272, 3, 0), op(0x15, 56, 0, 3), op(0x20, 16),
                    op(0x45, 0x10000000, 0, 1), op(0x06, 0x00050001), op(0x06, 0x7fff0000)])
buffer = ctypes.create_string_buffer(program)
class Filter(ctypes.Structure): _fields_ = [("n", ctypes.c_ushort), ("p", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
f = Filter(len(program) // 8, ctypes.addressof(buffer))
assert libc.prctl(22, 2, ctypes.byref(f)) == 0, ctypes.get_errno()
os.execv(sys.argv[1], sys.argv[1:])
"""


def doctor(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    document = json.loads(done.stdout)
    assert done.returncode == (0 if document["works"] else 1), done
    return document["works"], {one["what"]: one for one in document["findings"]}


def with_setup(lab, setup, *arguments):
    """As the lab's user, after root changed the mounts of a namespace of the test's own."""
    inner = lab.warren(*arguments)
    return [*inner[:5], "unshare", "-m", "sh", "-c", setup + '; exec "$@"', "sh", *inner[5:]]


def test_all_is_well(lab):
    works, findings = doctor(lab.warren("doctor", "run", "--json"))
    assert works and findings["trial run"]["state"] == "good"
    text = subprocess.run(lab.warren("doctor", "run"), capture_output=True, text=True)
    assert text.returncode == 0 and "warren run works here" in text.stdout


def test_it_leaves_nothing(lab):
    before = (lab.files(), lab.mounts(), lab.own_processes())
    doctor(lab.warren("doctor", "run", "--json"))
    assert (lab.files(), lab.mounts(), lab.own_processes()) == before


def test_tun_missing(lab):
    works, findings = doctor(with_setup(lab, "mount -t tmpfs tmpfs /dev/net", "doctor", "run",
                                        "--json"))
    assert not works and "does not exist" in findings["/dev/net/tun"]["text"]
    assert "modprobe tun" in findings["/dev/net/tun"]["remedy"]
    assert findings["trial run"]["state"] == "bad"


def test_tun_closed_to_users(lab):
    setup = ("mount -t tmpfs tmpfs /dev/net; mknod -m 600 /dev/net/tun c 10 200")
    works, findings = doctor(with_setup(lab, setup, "doctor", "run", "--json"))
    assert not works and "its mode 0600 does not let this user" in findings["/dev/net/tun"]["text"]
    assert "chmod 0666 /dev/net/tun" in findings["/dev/net/tun"]["remedy"]


def test_user_namespaces_off(lab):
    # A user namespace that allows no further ones stands for a host that allows none.
    inner = lab.warren("doctor", "run", "--json")
    at = inner.index("setpriv") + 4
    command = [*inner[:at], "unshare", "-Ur", "sh", "-c",
               'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"', "sh", *inner[at:]]
    works, findings = doctor(command)
    assert not works
    assert findings["user namespaces"]["text"] == "sysctl user.max_user_namespaces is 0"
    assert "sysctl -w user.max_user_namespaces=" in findings["user namespaces"]["remedy"]


def test_seccomp_is_told_apart(lab):
    def behind(*arguments):
        return lab.as_user("/usr/bin/python3", "-c", SECCOMP, lab.directory / "warren", *arguments)
    works, findings = doctor(behind("doctor", "run", "--json"))
    assert not works and findings["seccomp"]["state"] == "bad"
    assert "seccomp" in findings["seccomp"]["remedy"]
    assert "seccomp filter" in findings["trial run"]["remedy"]
    done = subprocess.run(behind("run", "lab", "--", "true"), capture_output=True, text=True)
    assert done.returncode == 125 and "seccomp filter of a surrounding container" in done.stderr
    assert done.stderr.count("\n") == 2


def test_engine_missing(lab):
    command = lab.warren("doctor", "run", "--json")
    at = command.index(f"HOME={lab.home}")
    command[at:at] = ["WARREN_ENGINE="]
    (lab.directory / "warren-engine").rename(lab.directory / "away")
    try:
        works, findings = doctor(command)
    finally:
        (lab.directory / "away").rename(lab.directory / "warren-engine")
    assert not works and "warren-engine must be beside warren" in findings["engine"]["remedy"]
