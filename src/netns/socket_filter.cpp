#include "netns/socket_filter.hpp"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <array>
#include <cstddef>

// Theory of operation. A network namespace holds the internet families. Others ignore it: AF_VSOCK
// leads from a virtual machine to its host whatever the namespace is. A seccomp filter refuses
// socket(2) for every family that is not known to be contained, as a kernel without it would. An
// io_uring makes sockets without that call, so there is none; programs go on without, as they do in
// most containers. Not covered: the 32-bit socketcall(2), whose arguments a filter cannot read.

namespace warren::netns {

#if defined(__x86_64__) || defined(__aarch64__)

namespace {

#ifdef __x86_64__
constexpr unsigned kArchitecture = AUDIT_ARCH_X86_64;
#else
constexpr unsigned kArchitecture = AUDIT_ARCH_AARCH64;
#endif
/// Set in the numbers of the x32 calls of x86-64.
constexpr unsigned kX32 = 0x40000000;

constexpr sock_filter load(std::size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<unsigned>(offset));
}
constexpr sock_filter jump_if_equal(unsigned value, unsigned char yes, unsigned char no) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no);
}
constexpr sock_filter give(unsigned verdict) { return BPF_STMT(BPF_RET | BPF_K, verdict); }

}  // namespace

bool forbid_foreign_sockets() {
  std::array filter = {
      load(offsetof(seccomp_data, arch)),
      jump_if_equal(kArchitecture, 0, 12),
      load(offsetof(seccomp_data, nr)),
      sock_filter BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ~kX32),
      jump_if_equal(SYS_io_uring_setup, 10, 0),
      jump_if_equal(SYS_socket, 0, 8),
      load(offsetof(seccomp_data, args)),  // the lower half: both machines are little-endian
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
  sock_fprog program{.len = static_cast<unsigned short>(filter.size()), .filter = filter.data()};
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

#else

bool forbid_foreign_sockets() { return true; }

#endif

}  // namespace warren::netns
