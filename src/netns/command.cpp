#include "netns/command.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/prctl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "netns/socket_filter.hpp"
#include "os/fd.hpp"

// Theory of operation. The command stays in the process group and session it was started from, so
// that a terminal treats it as it treats any job of the shell: it is in the foreground when `warren
// run` is, Ctrl-C and Ctrl-Z reach it directly, and a shell inside may make groups of its own.
//
// Its user id is the caller's own. A user other than root loses all capabilities at exec; root
// would get back what the bounding set allows, so that is emptied first. No-new-privileges closes
// the rest, and allows the filter that refuses sockets which no network namespace holds.

namespace warren::netns {

namespace {

constexpr int kCannotExecute = 126;
constexpr int kNotFound = 127;

std::vector<char*> pointers_to(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (const std::string& text : strings) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

bool drop_privileges() {
  for (unsigned long capability = 0; capability < 64; ++capability) {
    if (prctl(PR_CAPBSET_READ, capability, 0, 0, 0) < 0) break;  // the last one is behind us
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) return false;
  }
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) return false;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return false;
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> none{};
  return syscall(SYS_capset, &header, none.data()) == 0;
}

bool close_others(unsigned preserve_fds) {
  const unsigned first = 3 + preserve_fds;
  if (syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return true;
  // Kernels before 5.11.
  const long limit = sysconf(_SC_OPEN_MAX);
  for (int fd = static_cast<int>(first); fd < limit; ++fd) fcntl(fd, F_SETFD, FD_CLOEXEC);
  return true;
}

/// What a shell would give: nothing blocked, and what the caller ignores (nohup) still ignored.
void reset_signals() {
  signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

/// Whether a directory of PATH that we may search holds a file of this name. execvp also fails with
/// EACCES where a directory is closed to us; a shell passes over such a directory.
bool is_on_path(const std::string& program) {
  const char* set = std::getenv("PATH");
  std::string_view path = set != nullptr ? set : "/bin:/usr/bin";
  while (true) {
    const std::size_t colon = path.find(':');
    const std::string directory(path.substr(0, colon));
    struct stat there{};
    const std::string file = directory.empty() ? program : directory + "/" + program;
    if (stat(file.c_str(), &there) == 0 && S_ISREG(there.st_mode)) return true;
    if (colon == std::string_view::npos) return false;
    path.remove_prefix(colon + 1);
  }
}

[[noreturn]] void become_command(const CommandOptions& options, int report) {
  std::vector<char*> arguments = pointers_to(options.argv);
  std::vector<char*> variables = pointers_to(options.environment);
  reset_signals();
  int why = EPERM;
  const bool ready = !options.confined || (drop_privileges() && forbid_foreign_sockets());
  if (ready && close_others(options.preserve_fds) &&
      (!options.die_with_parent || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0)) {
    environ = variables.data();  // execvp takes PATH from here
    execvp(arguments[0], arguments.data());
    why = errno;
    const std::string& program = options.argv[0];
    if (program.find('/') == std::string::npos && !is_on_path(program)) why = ENOENT;
  }
  // So few bytes fit a pipe; there is nobody else to tell.
  [[maybe_unused]] const ssize_t written = write(report, &why, sizeof why);
  _exit(kNotFound);
}

base::Error cannot_execute(const std::string& program, int why) {
  base::Error error = base::os_error("run " + program, why);
  if (why == ENOENT) {
    const bool path = program.find('/') != std::string::npos;
    return std::move(error).with_hint(path ? "check the path (for a script: its #! line too)"
                                           : "no directory of PATH holds a program of this name");
  }
  if (why == EACCES) return std::move(error).with_hint("the file must be executable for you");
  return error;
}

}  // namespace

base::Result<StartedCommand> start_command(const CommandOptions& options) {
  if (options.argv.empty()) return base::make_error(base::ErrorKind::Invalid, "no command to run");
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return base::os_error("create a pipe");
  const os::Fd read_end(ends[0]);
  os::Fd write_end(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return base::os_error("create a process for the command");
  if (pid == 0) become_command(options, write_end.get());
  write_end.reset();

  StartedCommand started{.pid = pid};
  int why = 0;
  ssize_t got = 0;
  do {
    got = read(read_end.get(), &why, sizeof why);
  } while (got < 0 && errno == EINTR);
  if (got != sizeof why) return started;  // end of file: exec closed the pipe
  waitpid(pid, nullptr, 0);
  started.exit_code = why == ENOENT ? kNotFound : kCannotExecute;
  started.why = cannot_execute(options.argv[0], why);
  return started;
}

}  // namespace warren::netns
