// Theory of operation
//
// spawn() prepares everything that allocates (argument and environment arrays, the list of
// descriptors) before clone(2); between clone and exec the child makes only plain system calls, so
// it is safe in a program with threads. All signals are blocked across the clone: no handler of
// ours runs in the child, which then resets every disposition and unblocks.
//
// Descriptors: every source is first copied above the highest wanted number, then each copy is put
// in its place, so that no source is overwritten before it was used ({3: a, 4: b} where a is 4 and
// b is 3). What is not wanted is marked close-on-exec in ranges. The pipe that reports failure is
// close-on-exec too: end of file on it means that exec succeeded.
//
// Children are named by pidfd from birth (CLONE_PIDFD); a process that is not ours by pid and start
// time, compared after the pidfd is open: a pid that was reused in between has another start time.
#include "os/process.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "base/bytes.hpp"
#include "os/clock.hpp"
#include "os/file.hpp"
#include "os/stream.hpp"

namespace warren::os {

using base::ErrorKind;
using base::make_error;
using base::os_error;

namespace {

/// Where in the child a start failed; written to the pipe with the errno.
enum class Stage : int { Session, Parent, Directory, Descriptors, User, Exec };
struct ChildFailure {
  Stage stage;
  int error_number;
};

const char* to_string(Stage stage) {
  switch (stage) {
    case Stage::Session:
      return "start a session";
    case Stage::Parent:
      return "bind its life to its parent's";
    case Stage::Directory:
      return "change the directory";
    case Stage::Descriptors:
      return "arrange its descriptors";
    case Stage::User:
      return "become another user";
    case Stage::Exec:
      return "execute";
  }
  return "start";
}

struct Placement {
  int wanted;
  int source;
};

/// All that the child needs, made before clone.
struct Plan {
  std::vector<char*> argv;
  std::vector<char*> environment_list;
  char** environment = environ;
  std::vector<Placement> placements;  ///< sorted by wanted number; sources are rewritten
  const char* directory = nullptr;
  std::optional<SpawnUser> user;
  bool new_session = false;
  bool die_with_parent = false;
  pid_t parent = 0;
};

std::vector<char*> pointers_to(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (const std::string& text : strings) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

bool is_open(int descriptor) { return fcntl(descriptor, F_GETFD) >= 0; }

base::Status plan_descriptors(const SpawnOptions& options, const Fd& null_device, Plan& plan) {
  std::map<int, int> sources{{0, null_device.get()},
                             {1, is_open(1) ? 1 : null_device.get()},
                             {2, is_open(2) ? 2 : null_device.get()}};
  for (const auto& [wanted, descriptor] : options.descriptors) {
    if (wanted < 0 || descriptor == nullptr || !*descriptor)
      return make_error(ErrorKind::Invalid,
                        "descriptor " + std::to_string(wanted) + " for the child is not open");
    sources[wanted] = descriptor->get();
  }
  for (const auto& [wanted, source] : sources) plan.placements.push_back({wanted, source});
  return {};
}

base::Result<Plan> make_plan(const SpawnOptions& options, const Fd& null_device) {
  if (options.argv.empty()) return make_error(ErrorKind::Invalid, "no program to start");
  Plan plan;
  plan.argv = pointers_to(options.argv);
  if (options.environment) {
    plan.environment_list = pointers_to(*options.environment);
    plan.environment = plan.environment_list.data();
  }
  if (options.working_directory) plan.directory = options.working_directory->c_str();
  plan.user = options.user;
  plan.new_session = options.new_session;
  plan.die_with_parent = options.die_with_parent;
  plan.parent = getpid();
  WARREN_TRY(plan_descriptors(options, null_device, plan));
  return plan;
}

// ---- in the child: plain system calls only -----------------------------------------------------

void reset_signals() {
  struct sigaction standard{};
  standard.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) sigaction(number, &standard, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

bool close_on_exec_range(unsigned first, unsigned last) {
  return first > last || syscall(SYS_close_range, first, last, CLOSE_RANGE_CLOEXEC) == 0;
}

/// `report` is moved out of the way with the sources.
bool arrange_descriptors(Plan& plan, int& report) {
  const int above = plan.placements.back().wanted + 1;
  report = fcntl(report, F_DUPFD_CLOEXEC, above);
  if (report < 0) return false;
  for (Placement& placement : plan.placements) {
    placement.source = fcntl(placement.source, F_DUPFD_CLOEXEC, above);
    if (placement.source < 0) return false;
  }
  unsigned unwanted = 0;
  for (const Placement& placement : plan.placements) {
    if (dup2(placement.source, placement.wanted) < 0) return false;
    const auto wanted = static_cast<unsigned>(placement.wanted);
    if (wanted > unwanted && !close_on_exec_range(unwanted, wanted - 1)) return false;
    unwanted = wanted + 1;
  }
  return close_on_exec_range(unwanted, std::numeric_limits<unsigned>::max());
}

/// The system calls themselves: those of the C library would tell every thread of the parent's.
bool become_user(const SpawnUser& user) {
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_setgroups, 0, nullptr) == 0 &&
         syscall(SYS_setresgid, user.gid, user.gid, user.gid) == 0 &&
         syscall(SYS_setresuid, user.uid, user.uid, user.uid) == 0;
}

/// Returns the stage that failed, with errno set; on success it does not return.
Stage become_program(Plan& plan, int& report) {
  if (plan.new_session && setsid() < 0) return Stage::Session;
  if (plan.user && !become_user(*plan.user)) return Stage::User;
  if (plan.die_with_parent) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) return Stage::Parent;
    if (getppid() != plan.parent) {  // it died before the line above
      errno = ESRCH;
      return Stage::Parent;
    }
  }
  if (!arrange_descriptors(plan, report)) return Stage::Descriptors;
  if (plan.directory != nullptr && chdir(plan.directory) < 0) return Stage::Directory;
  reset_signals();
  execve(plan.argv[0], plan.argv.data(), plan.environment);
  return Stage::Exec;
}

[[noreturn]] void run_child(Plan& plan, int report) {
  const Stage stage = become_program(plan, report);
  const ChildFailure failure{.stage = stage, .error_number = errno};
  // A pipe takes so few bytes at once; there is nobody left to tell if it does not.
  [[maybe_unused]] const ssize_t written = write(report, &failure, sizeof failure);
  _exit(127);
}

// ---- in the parent -----------------------------------------------------------------------------

/// clone(2) as fork with a pidfd; the raw call, since no handler of a library may run in the child.
base::Result<Child> clone_child(Plan& plan, int report) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int pidfd = -1;
  const long pid = syscall(SYS_clone, static_cast<unsigned long>(CLONE_PIDFD | SIGCHLD), nullptr,
                           &pidfd, nullptr, nullptr);
  if (pid == 0) run_child(plan, report);
  const int error_number = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return os_error("create a process", error_number);
  return Child{.pid = static_cast<pid_t>(pid), .pidfd = Fd(pidfd)};
}

std::optional<ChildFailure> read_failure(const Fd& pipe) {
  ChildFailure failure{};
  ssize_t got = 0;
  do {
    got = read(pipe.get(), &failure, sizeof failure);
  } while (got < 0 && errno == EINTR);
  if (got != sizeof failure) return std::nullopt;
  return failure;
}

int exit_code_of(const siginfo_t& info) {
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

}  // namespace

base::Result<Child> spawn(const SpawnOptions& options) {
  const std::string what = "start " + (options.argv.empty() ? "a program" : options.argv[0]);
  WARREN_TRY_ASSIGN(const Fd null_device, open_null().within(what));
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return os_error(what + ": create a pipe");
  const Fd read_end(ends[0]);
  Fd write_end(ends[1]);

  WARREN_TRY_ASSIGN(Plan plan, make_plan(options, null_device).within(what));
  WARREN_TRY_ASSIGN(Child child, clone_child(plan, write_end.get()).within(what));
  write_end.reset();
  if (const auto failure = read_failure(read_end)) {
    [[maybe_unused]] const auto reaped = wait_for(child);
    return os_error(what + ": " + to_string(failure->stage), failure->error_number);
  }
  // Fails only without /proc, or when somebody else reaps; then the child has no lasting name.
  if (const auto started = process_start_time(child.pid)) child.start_time = *started;
  return child;
}

base::Result<int> wait_for(const Child& child) {
  siginfo_t info{};
  while (waitid(P_PIDFD, static_cast<id_t>(child.pidfd.get()), &info, WEXITED) < 0)
    if (errno != EINTR) return os_error("wait for process " + std::to_string(child.pid));
  return exit_code_of(info);
}

std::optional<int> try_wait(const Child& child) {
  siginfo_t info{};
  while (waitid(P_PIDFD, static_cast<id_t>(child.pidfd.get()), &info, WEXITED | WNOHANG) < 0)
    if (errno != EINTR) return -1;
  if (info.si_pid == 0) return std::nullopt;
  return exit_code_of(info);
}

base::Status send_signal(const Fd& pidfd, int signal) {
  if (syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) < 0)
    return os_error("send signal " + std::to_string(signal));
  return {};
}

base::Result<Fd> open_pidfd(pid_t pid, std::uint64_t start_time) {
  const std::string what = "find process " + std::to_string(pid);
  Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return os_error(what);
  WARREN_TRY_ASSIGN(const std::uint64_t actual, process_start_time(pid).within(what));
  if (actual != start_time)
    return make_error(ErrorKind::NotFound, what + ": it has ended, its number was given again");
  return pidfd;
}

base::Result<std::uint64_t> process_start_time(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  WARREN_TRY_ASSIGN(const std::string text, read_file(path, 4096));
  // Field 2, the command, is in parentheses and may hold anything: count from the last ')'.
  std::size_t at = text.rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = text.find(' ', at + 1);
  if (at == std::string::npos) return make_error(ErrorKind::Failed, "parse " + path);
  const std::size_t end = std::min(text.find(' ', at + 1), text.size());
  const auto number = base::parse_number(std::string_view(text).substr(at + 1, end - at - 1), 0,
                                         std::numeric_limits<std::uint64_t>::max());
  if (!number) return make_error(ErrorKind::Failed, "parse " + path);
  return *number;
}

base::Result<bool> wait_readable(const Fd& descriptor, base::Duration at_most) {
  const base::Instant deadline = now() + at_most;
  while (true) {
    const std::int64_t left = std::max<std::int64_t>(0, (deadline - now()).count());
    const timespec room{.tv_sec = left / 1'000'000'000, .tv_nsec = left % 1'000'000'000};
    pollfd wanted{.fd = descriptor.get(), .events = POLLIN};
    const int ready = ppoll(&wanted, 1, &room, nullptr);
    if (ready > 0 && (wanted.revents & POLLNVAL) != 0)
      return os_error("wait for a descriptor", EBADF);
    if (ready >= 0) return ready > 0;
    if (errno != EINTR) return os_error("wait for a descriptor");
  }
}

base::Result<std::string> program_path() {
  std::array<char, 4096> path;
  const ssize_t size = readlink("/proc/self/exe", path.data(), path.size());
  if (size <= 0) return os_error("find the program's own file");
  std::string_view text(path.data(), static_cast<std::size_t>(size));
  constexpr std::string_view kReplaced = " (deleted)";
  if (text.ends_with(kReplaced)) text.remove_suffix(kReplaced.size());
  return std::string(text);
}

base::Result<std::string> program_directory() {
  WARREN_TRY_ASSIGN(const std::string path, program_path());
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos)
    return make_error(ErrorKind::Failed, "find the program's own file: no path");
  return path.substr(0, std::max<std::size_t>(slash, 1));
}

}  // namespace warren::os
