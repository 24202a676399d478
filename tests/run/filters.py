"""seccomp filters that stand for a kernel, or a container, which refuses something.

A filter is a list of classic BPF instructions; see `behind`.
"""

LOAD_NUMBER = (0x20, 0)
ALLOW = (0x06, 0x7fff0000)


def load_argument(number):
    return 0x20, 16 + 8 * number


def refuse(error_number):
    return 0x06, 0x00050000 | error_number


def if_equal(value, yes, no):
    return 0x15, value, yes, no


def if_any_bit(bits, yes, no):
    return 0x45, bits, yes, no


LOADER = """
import ctypes, os, struct, sys
program = b"".join(struct.pack("HBBI", code, yes, no, k) for code, k, yes, no in PROGRAM)
buffer = ctypes.create_string_buffer(program)
class Filter(ctypes.Structure): _fields_ = [("n", ctypes.c_ushort), ("p", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
f = Filter(len(program) // 8, ctypes.addressof(buffer))
assert libc.prctl(22, 2, ctypes.byref(f)) == 0, ctypes.get_errno()
os.execv(sys.argv[1], sys.argv[1:])
"""

# Answers EPERM to unshare, and to clone with a new user namespace, as container engines do.
NO_NAMESPACES = [LOAD_NUMBER, if_equal(272, 3, 0), if_equal(56, 0, 3), load_argument(0),
                 if_any_bit(0x10000000, 0, 1), refuse(1), ALLOW]
# A kernel without IPv6 (ipv6.disable=1) makes no such socket: EAFNOSUPPORT.
NO_IPV6 = [LOAD_NUMBER, if_equal(41, 0, 3), load_argument(0), if_equal(10, 0, 1), refuse(97), ALLOW]
# Refuses every mount with the flags that cover /etc: nosuid,nodev with or without ro.
NO_ETC_MOUNTS = [LOAD_NUMBER, if_equal(165, 0, 4), load_argument(3), if_equal(6, 1, 0), if_equal(7, 0, 1),
                 refuse(1), ALLOW]


def behind(program, *command):
    """The command as it must be started to run behind the filter."""
    padded = [(*instruction, 0, 0)[:4] for instruction in program]
    return ["/usr/bin/python3", "-c", LOADER.replace("PROGRAM", repr(padded)), *map(str, command)]
