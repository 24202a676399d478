// Theory of operation
//
// Layers, each enough by itself against opening a file: an empty root (chroot into our own fdinfo
// directory, where the kernel lets nobody create anything), Landlock without a single rule, and a
// seccomp allow-list that holds no call which could open, connect, bind, fork or execute. A call
// that is not on the list kills the process at once. Against everything else: no capability, the
// user nobody, no core dump and no debugger, few descriptors, no executable memory. What the
// process says goes to descriptors that can only be written, and not without end: a terminal that
// came with them would give away what its user types, a log file could fill the disk.
//
// Order matters: what needs a capability comes first, the filter last. In a user namespace that
// maps only the caller's own id there is no other user to become: the process is unprivileged
// outside it already, and drops its capabilities inside.
#include "engine/sandbox.hpp"

#include <cap-ng.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <netinet/udp.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "crypto/crypto.hpp"
#include "engine/limits.hpp"
#include "os/clock.hpp"
#include "os/stream.hpp"
#include "sandbox/call_filter.hpp"
#include "sandbox/privileges.hpp"

namespace warren::engine {

namespace {

using sandbox::equals;
using sandbox::limit;

constexpr uid_t kNobody = 65534;

/// The crypto library reads its configuration and picks its code paths at first use.
void warm_up() {
  os::SystemRandom random;
  const crypto::PrivateKey key = crypto::generate_private_key(random);
  crypto::SharedSecret shared;
  std::ignore = crypto::x25519(key, crypto::public_key(key), shared);
  crypto::Hash hash = crypto::blake2s({key.view()});
  std::ignore = crypto::keyed_blake2s_128(hash, hash);
  crypto::kdf(hash, hash, {std::span(hash)});
  const crypto::Aead aead(shared);
  std::array<std::uint8_t, crypto::kTagSize> tag{};
  crypto::AeadJob job{.key = &aead, .text = hash, .tag = tag.data()};
  crypto::seal({&job, 1});
  crypto::open({&job, 1});
  std::array<std::uint8_t, crypto::kTagSize> sealed{};
  crypto::aead_seal(key.view(), 0, hash, {}, sealed);
  const std::array<std::uint8_t, 24> nonce{};
  crypto::xaead_seal(key.view(), nonce, hash, {}, sealed);
  std::ignore = crypto::xaead_open(key.view(), nonce, hash, sealed, {});
  std::ignore = crypto::aead_open(key.view(), 0, hash, sealed, {});
  std::ignore = os::now();
  std::ignore = os::wall_now();
}

bool has_capability(unsigned capability) {
  return capng_have_capability(CAPNG_EFFECTIVE, capability) == 1;
}

base::Result<bool> change_root() {
  if (!has_capability(CAP_SYS_CHROOT)) return false;
  if (chdir("/proc/self/fdinfo") < 0) return false;  // no /proc: Landlock and seccomp remain
  if (chroot(".") < 0) {
    // The filter of a container around us forbids it: Landlock and seccomp remain.
    if (errno == EPERM) return false;
    return base::os_error("enter an empty root");
  }
  if (chdir("/") < 0) return base::os_error("enter an empty root");
  return true;
}

base::Result<bool> change_user() {
  if (!has_capability(CAP_SETUID) || !has_capability(CAP_SETGID)) return false;
  if (setresgid(kNobody, kNobody, kNobody) < 0) {
    if (errno == EINVAL) return false;  // a user namespace that does not map this id
    return base::os_error("become group nobody");
  }
  if (setgroups(0, nullptr) < 0) return base::os_error("drop the supplementary groups");
  if (setresuid(kNobody, kNobody, kNobody) < 0) {
    if (errno == EINVAL) return false;
    return base::os_error("become user nobody");
  }
  return true;
}

base::Status restrict_output() {
  WARREN_TRY(os::make_write_only(STDOUT_FILENO));
  return os::make_write_only(STDERR_FILENO);
}

/// A file that standard error goes to may grow by kMaxLogGrowth; then lines are lost.
base::Status limit_output() {
  struct stat there{};
  const bool file = fstat(STDERR_FILENO, &there) == 0 && S_ISREG(there.st_mode);
  const auto size = file ? static_cast<rlim_t>(there.st_size) : 0;
  return limit(RLIMIT_FSIZE, size + kMaxLogGrowth, "limit the size of files");
}

/// A line that nobody takes is lost; it does not end the engine.
void ignore_output_signals() {
  for (const int number : {SIGPIPE, SIGXFSZ}) signal(number, SIG_IGN);
}

/// Changing the user makes the kernel forget that this process dies with its parent. A parent that
/// ends before this restores it has closed the opener's socket: run() ends then.
base::Status set_parent_death_signal(int number) {
  if (number == 0) return {};
  if (prctl(PR_SET_PDEATHSIG, static_cast<unsigned long>(number), 0UL, 0UL, 0UL) < 0)
    return base::os_error("die with the parent");
  return {};
}

/// Calls without a condition.
constexpr std::array kAllowed = {
    SCMP_SYS(read),           SCMP_SYS(write),           SCMP_SYS(writev),
    SCMP_SYS(recvfrom),       SCMP_SYS(recvmsg),         SCMP_SYS(recvmmsg),
    SCMP_SYS(sendto),         SCMP_SYS(sendmsg),         SCMP_SYS(sendmmsg),
    SCMP_SYS(accept4),        SCMP_SYS(close),           SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),     SCMP_SYS(epoll_pwait),     SCMP_SYS(epoll_pwait2),
    SCMP_SYS(poll),           SCMP_SYS(ppoll),           SCMP_SYS(munmap),
    SCMP_SYS(mremap),         SCMP_SYS(madvise),         SCMP_SYS(brk),
    SCMP_SYS(futex),          SCMP_SYS(clock_gettime),   SCMP_SYS(getrandom),
    SCMP_SYS(exit),           SCMP_SYS(exit_group),      SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask), SCMP_SYS(restart_syscall), SCMP_SYS(getpid),
    SCMP_SYS(gettid),         SCMP_SYS(sched_yield),     SCMP_SYS(timerfd_settime),
};

base::Status load_filter(const SandboxOptions& options) {
  sandbox::CallFilter filter;
  filter.allow(kAllowed).allow_memory().allow_fcntl({F_GETFL, F_SETFL});
  // Trains on a socket that the opener has made.
  filter.allow_if(SCMP_SYS(getsockopt), {equals(1, SOL_UDP), equals(2, UDP_SEGMENT)});
  filter.allow_if(SCMP_SYS(setsockopt), {equals(1, SOL_UDP), equals(2, UDP_GRO)});
  if (options.clients) {
    filter.allow(std::array{SCMP_SYS(shutdown)});
    filter.allow_if(SCMP_SYS(setsockopt), {equals(1, SOL_SOCKET), equals(2, SO_LINGER)});
  }
  return filter.load();
}

}  // namespace

base::Result<SandboxReport> enter_sandbox(std::move_only_function<base::Status()> start_threads,
                                          const SandboxOptions& options) {
  warm_up();
  // One heap for all threads: before glibc gives memory of a further one back it reads a file
  // (/proc/sys/vm/overcommit_memory), which would be the end of the process. It is smaller, too.
  mallopt(M_ARENA_MAX, 1);
  SandboxReport report;
  int parent_death_signal = 0;
  if (prctl(PR_GET_PDEATHSIG, &parent_death_signal) < 0) return base::os_error("ask who ends us");
  ignore_output_signals();
  WARREN_TRY(restrict_output());
  WARREN_TRY(sandbox::forbid_new_privileges());
  if (capng_get_caps_process() != 0) {
    return base::make_error(base::ErrorKind::Failed, "read the capabilities of this process");
  }
  WARREN_TRY_ASSIGN(report.changed_root, change_root());
  if (has_capability(CAP_SETPCAP)) {
    capng_clear(CAPNG_SELECT_BOUNDS);
    std::ignore = capng_apply(CAPNG_SELECT_BOUNDS);  // no new privileges makes it moot anyway
  }
  WARREN_TRY_ASSIGN(report.changed_user, change_user());
  WARREN_TRY(sandbox::drop_capabilities());
  WARREN_TRY(set_parent_death_signal(parent_death_signal));
  WARREN_TRY(sandbox::forbid_debugging());
  WARREN_TRY(limit(RLIMIT_CORE, 0, "forbid core dumps"));
  WARREN_TRY(limit(RLIMIT_NOFILE, options.max_descriptors, "limit open files"));
  WARREN_TRY(limit_output());
  report.landlock = sandbox::forbid_files();
  // Threads take over everything above from their maker; the filter is put on all of them.
  if (start_threads) WARREN_TRY(start_threads());
  WARREN_TRY(limit(RLIMIT_NPROC, 0, "forbid new processes"));
  WARREN_TRY(load_filter(options));
  return report;
}

}  // namespace warren::engine
