#include "netns/socket_filter.hpp"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/net.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cstddef>

// Theory of operation. A network namespace holds the internet families. Others ignore it: AF_VSOCK
// leads from a virtual machine to its host whatever the namespace is. A seccomp filter refuses
// socket(2) for every family that is not known to be contained, as a kernel without it would. An
// io_uring makes sockets without that call, so there is none; programs go on without, as they do in
// most containers.
//
// A process may call the kernel in the way of another machine at any moment, a 64-bit program as
// 32-bit ones do: the numbers of the calls differ there, so the filter is one block for each way
// that is known, and every call of another way fails. The older way of 32-bit programs to make a
// socket, socketcall(2), hides the family in memory, where a filter cannot look: it is refused.
// What else socketcall does is done to sockets that exist, and stays allowed.

namespace warren::netns {

#if defined(__x86_64__) || defined(__aarch64__)

namespace {

/// A call that does not exist.
constexpr unsigned kNone = 0x0fffffff;

/// One way to call the kernel: what it calls itself, and its numbers.
struct Calls {
  unsigned architecture;
  unsigned number_mask;
  unsigned socket;
  unsigned socketcall;
};
constexpr unsigned kAllBits = ~0U;
/// The same in every way, as all calls newer than it are.
constexpr unsigned kIoUringSetup = SYS_io_uring_setup;

#ifdef __x86_64__
/// Set in the numbers of the x32 calls, which are otherwise those of x86-64.
constexpr unsigned kX32 = 0x40000000;
constexpr std::array kWays = {Calls{AUDIT_ARCH_X86_64, ~kX32, SYS_socket, kNone},
                              Calls{AUDIT_ARCH_I386, kAllBits, 359, 102}};
#else
constexpr std::array kWays = {Calls{AUDIT_ARCH_AARCH64, kAllBits, SYS_socket, kNone},
                              Calls{AUDIT_ARCH_ARM, kAllBits, 281, 102}};
#endif

constexpr sock_filter load(std::size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<unsigned>(offset));
}
constexpr sock_filter jump_if_equal(unsigned value, unsigned char yes, unsigned char no) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no);
}
constexpr sock_filter give(unsigned verdict) { return BPF_STMT(BPF_RET | BPF_K, verdict); }

constexpr std::size_t kFirstArgument = offsetof(seccomp_data, args);  // its lower half

/// What becomes of a call in this way; the next block begins behind it.
constexpr std::array<sock_filter, 19> block(const Calls& calls) {
  return {
      load(offsetof(seccomp_data, arch)),
      jump_if_equal(calls.architecture, 0, 17),
      load(offsetof(seccomp_data, nr)),
      sock_filter BPF_STMT(BPF_ALU | BPF_AND | BPF_K, calls.number_mask),
      jump_if_equal(kIoUringSetup, 13, 0),
      jump_if_equal(calls.socketcall, 0, 2),
      load(kFirstArgument),
      jump_if_equal(SYS_SOCKET, 10, 9),
      jump_if_equal(calls.socket, 0, 8),
      load(kFirstArgument),
      jump_if_equal(AF_UNIX, 6, 0),
      jump_if_equal(AF_INET, 5, 0),
      jump_if_equal(AF_INET6, 4, 0),
      jump_if_equal(AF_NETLINK, 3, 0),
      jump_if_equal(AF_PACKET, 2, 0),
      jump_if_equal(AF_ALG, 1, 0),
      give(SECCOMP_RET_ERRNO | EAFNOSUPPORT),
      give(SECCOMP_RET_ALLOW),
      give(SECCOMP_RET_ERRNO | ENOSYS),
  };
}

}  // namespace

bool forbid_foreign_sockets() {
  std::array<sock_filter, 2 * block(kWays[0]).size() + 1> filter{};
  auto end = std::ranges::copy(block(kWays[0]), filter.begin()).out;
  end = std::ranges::copy(block(kWays[1]), end).out;
  *end = give(SECCOMP_RET_ERRNO | ENOSYS);
  sock_fprog program{.len = static_cast<unsigned short>(filter.size()), .filter = filter.data()};
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

#else

bool forbid_foreign_sockets() { return true; }

#endif

}  // namespace warren::netns
