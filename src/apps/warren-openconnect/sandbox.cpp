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

#include <fcntl.h>
#include <seccomp.h>
#include <sys/socket.h>

#include <array>
#include <ctime>
#include <tuple>

#include "sandbox/call_filter.hpp"
#include "sandbox/privileges.hpp"

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

base::Status load_filter() {
  sandbox::CallFilter filter;
  filter.allow(kAllowed).refuse(kRefused).allow_memory();
  filter.allow_fcntl({F_GETFL, F_SETFL, F_GETFD, F_SETFD});
  for (const int family : {AF_INET, AF_INET6})
    filter.allow_if(SCMP_SYS(socket), {sandbox::equals(0, family)});
  filter.refuse_if(SCMP_SYS(socket), {{sandbox::Condition::Is::Greater, 0, AF_INET6}});
  filter.refuse_if(SCMP_SYS(socket), {{sandbox::Condition::Is::Less, 0, AF_INET}});
  return filter.load();
}

}  // namespace

base::Status enter_sandbox(const std::function<void()>& start_thread) {
  tzset();
  WARREN_TRY(sandbox::forbid_new_privileges());
  WARREN_TRY(sandbox::forbid_debugging());
  WARREN_TRY(sandbox::limit(RLIMIT_NOFILE, kMaxDescriptors, "limit open files"));
  WARREN_TRY(sandbox::limit(RLIMIT_CORE, 0, "forbid core dumps"));
  WARREN_TRY(sandbox::limit(RLIMIT_FSIZE, 0, "forbid writing files"));
  WARREN_TRY(sandbox::drop_capabilities());
  std::ignore = sandbox::forbid_files();  // a kernel without Landlock leaves it to the filter
  start_thread();
  return load_filter();
}

}  // namespace warren::app
