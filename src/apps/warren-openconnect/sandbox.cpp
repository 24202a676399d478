// Theory of operation
//
// TLS, HTTP and XML of a stranger are parsed here, by libraries that are not ours. So the process
// can neither open a file nor execute anything when the first byte arrives: Landlock without a rule
// (where the kernel has it), and a seccomp list. It must go on opening sockets, for DTLS and to
// come back after a loss; those are TCP and UDP only, so neither unix sockets nor netlink lead out.
//
// A library tries more than it needs (a timezone, a random device, a name service): opening a file
// or another socket fails with EACCES and it goes on. Any other call that is not on the list ends
// the process at once.
#include "apps/warren-openconnect/sandbox.hpp"

#include <cap-ng.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <ctime>
#include <memory>

namespace warren::app {

namespace {

constexpr rlim_t kMaxDescriptors = 64;

constexpr std::array kAllowed = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(shutdown),
    SCMP_SYS(close),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(select),
    SCMP_SYS(pselect6),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(futex),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(getrandom),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getrusage),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(sched_yield),
    SCMP_SYS(uname),
    SCMP_SYS(pipe2),
    SCMP_SYS(rseq),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(membarrier),
};

/// Refused, and the library goes on.
constexpr std::array kRefused = {
    SCMP_SYS(open),       SCMP_SYS(openat), SCMP_SYS(access),     SCMP_SYS(faccessat),
    SCMP_SYS(stat),       SCMP_SYS(lstat),  SCMP_SYS(newfstatat), SCMP_SYS(readlink),
    SCMP_SYS(readlinkat), SCMP_SYS(ioctl),
};

struct FilterRelease {
  void operator()(void* filter) const { seccomp_release(filter); }
};

int add_rules(scmp_filter_ctx filter) {
  int failed = 0;
  for (const int call : kAllowed) failed |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
  for (const int call : kRefused) {
    failed |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), call, 0);
  }
  for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {  // never executable
    failed |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1,
                               SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  }
  for (const int command : {F_GETFL, F_SETFL, F_GETFD, F_SETFD}) {
    failed |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
                               SCMP_A1(SCMP_CMP_EQ, static_cast<scmp_datum_t>(command)));
  }
  for (const int family : {AF_INET, AF_INET6}) {
    failed |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                               SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(family)));
  }
  failed |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), 1,
                             SCMP_A0(SCMP_CMP_GT, static_cast<scmp_datum_t>(AF_INET6)));
  failed |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), 1,
                             SCMP_A0(SCMP_CMP_LT, static_cast<scmp_datum_t>(AF_INET)));
  return failed;
}

base::Status load_filter() {
  const std::unique_ptr<void, FilterRelease> filter(seccomp_init(SCMP_ACT_KILL_PROCESS));
  if (!filter || add_rules(filter.get()) != 0 ||
      seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1) != 0) {
    return base::make_error(base::ErrorKind::Internal, "build the seccomp filter");
  }
  if (const int error = seccomp_load(filter.get()); error != 0) {
    return base::os_error("load the seccomp filter", -error)
        .with_hint("the kernel needs CONFIG_SECCOMP_FILTER, and a container must not forbid it");
  }
  return {};
}

/// A kernel without Landlock leaves it to the filter.
void forbid_files() {
  landlock_ruleset_attr rules{.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};
  const long ruleset = syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);
  if (ruleset < 0) return;
  std::ignore = syscall(SYS_landlock_restrict_self, ruleset, 0);
  close(static_cast<int>(ruleset));
}

}  // namespace

base::Status enter_sandbox(const std::function<void()>& start_thread) {
  tzset();
  const rlimit few{.rlim_cur = kMaxDescriptors, .rlim_max = kMaxDescriptors};
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) < 0 ||
      prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL) < 0 || setrlimit(RLIMIT_NOFILE, &few) < 0 ||
      setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_FSIZE, &none) < 0) {
    return base::os_error("give up privileges");
  }
  capng_clear(CAPNG_SELECT_BOTH);
  if (capng_apply(CAPNG_SELECT_CAPS) != 0) {
    return base::make_error(base::ErrorKind::Failed, "drop the capabilities: the kernel refused");
  }
  forbid_files();
  start_thread();
  return load_filter();
}

}  // namespace warren::app
