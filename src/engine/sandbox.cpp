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
#include <linux/landlock.h>
#include <malloc.h>
#include <netinet/udp.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <memory>

#include "crypto/crypto.hpp"
#include "engine/limits.hpp"
#include "os/clock.hpp"
#include "os/stream.hpp"

namespace warren::engine {

namespace {

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

base::Status set_control(int option, unsigned long value, const char* what) {
  if (prctl(option, value, 0UL, 0UL, 0UL) < 0) return base::os_error(what);
  return {};
}

base::Status limit(__rlimit_resource resource, rlim_t value, const char* what) {
  const rlimit bound{.rlim_cur = value, .rlim_max = value};
  if (setrlimit(resource, &bound) < 0) return base::os_error(what);
  return {};
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

base::Status drop_capabilities() {
  capng_clear(CAPNG_SELECT_BOTH);
  if (capng_apply(CAPNG_SELECT_CAPS) != 0) {
    return base::make_error(base::ErrorKind::Failed, "drop the capabilities: the kernel refused");
  }
  std::ignore = prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0UL, 0UL, 0UL);
  return {};
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
  return set_control(PR_SET_PDEATHSIG, static_cast<unsigned long>(number), "die with the parent");
}

/// Forbids every kind of file access that the kernel's Landlock knows; false where it has none.
bool landlock_everything() {
  landlock_ruleset_attr rules{.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};
  const long ruleset = syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);
  if (ruleset < 0) return false;
  const bool done = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
  close(static_cast<int>(ruleset));
  return done;
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

struct FilterRelease {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, FilterRelease>;

int add_rules(scmp_filter_ctx filter) {
  int failed = 0;
  for (const int call : kAllowed) failed |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
  // Memory, but never executable.
  for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {
    failed |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1,
                               SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  }
  for (const int command : {F_GETFL, F_SETFL}) {
    failed |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
                               SCMP_A1(SCMP_CMP_EQ, static_cast<scmp_datum_t>(command)));
  }
  // Trains on a socket that the opener has made.
  for (const auto& [call, option] :
       {std::pair{SCMP_SYS(getsockopt), UDP_SEGMENT}, std::pair{SCMP_SYS(setsockopt), UDP_GRO}}) {
    failed |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 2,
                               SCMP_A1(SCMP_CMP_EQ, static_cast<scmp_datum_t>(SOL_UDP)),
                               SCMP_A2(SCMP_CMP_EQ, static_cast<scmp_datum_t>(option)));
  }
  return failed;
}

int add_client_rules(scmp_filter_ctx filter) {
  return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(shutdown), 0) |
         seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(setsockopt), 2,
                          SCMP_A1(SCMP_CMP_EQ, static_cast<scmp_datum_t>(SOL_SOCKET)),
                          SCMP_A2(SCMP_CMP_EQ, static_cast<scmp_datum_t>(SO_LINGER)));
}

/// A sanitizer's runtime needs system calls of its own. Such builds are for tests only.
#ifdef WARREN_SANITIZED
constexpr bool kHasFilter = false;
#else
constexpr bool kHasFilter = true;
#endif

base::Status load_filter(const SandboxOptions& options) {
  if constexpr (!kHasFilter) return {};
  const Filter filter(seccomp_init(SCMP_ACT_KILL_PROCESS));
  if (!filter || add_rules(filter.get()) != 0 ||
      (options.clients && add_client_rules(filter.get()) != 0) ||
      seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1) != 0) {
    return base::make_error(base::ErrorKind::Internal, "build the seccomp filter");
  }
  if (const int error = seccomp_load(filter.get()); error != 0) {
    return base::os_error("load the seccomp filter", -error)
        .with_hint("the kernel needs CONFIG_SECCOMP_FILTER, and a container must not forbid it");
  }
  return {};
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
  WARREN_TRY(set_control(PR_SET_NO_NEW_PRIVS, 1, "forbid new privileges"));
  if (capng_get_caps_process() != 0) {
    return base::make_error(base::ErrorKind::Failed, "read the capabilities of this process");
  }
  WARREN_TRY_ASSIGN(report.changed_root, change_root());
  if (has_capability(CAP_SETPCAP)) {
    capng_clear(CAPNG_SELECT_BOUNDS);
    std::ignore = capng_apply(CAPNG_SELECT_BOUNDS);  // no new privileges makes it moot anyway
  }
  WARREN_TRY_ASSIGN(report.changed_user, change_user());
  WARREN_TRY(drop_capabilities());
  WARREN_TRY(set_parent_death_signal(parent_death_signal));
  WARREN_TRY(set_control(PR_SET_DUMPABLE, 0, "forbid debugging"));
  WARREN_TRY(limit(RLIMIT_CORE, 0, "forbid core dumps"));
  WARREN_TRY(limit(RLIMIT_NOFILE, options.max_descriptors, "limit open files"));
  WARREN_TRY(limit_output());
  report.landlock = landlock_everything();
  // Threads take over everything above from their maker; the filter is put on all of them.
  if (start_threads) WARREN_TRY(start_threads());
  WARREN_TRY(limit(RLIMIT_NPROC, 0, "forbid new processes"));
  WARREN_TRY(load_filter(options));
  return report;
}

}  // namespace warren::engine
