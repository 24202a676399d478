// Theory of operation. The caller forks once. The child becomes the supervisor in a new session and
// reports over a pipe: one byte when the command runs, else the exit code with the error, which the
// caller prints as if it were its own. Until then SIGINT and SIGTERM at the caller reach nobody but
// the caller, and the run starts all the same.
#include "apps/warren/run_detached.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>

#include "apps/warren/ask.hpp"
#include "os/detach.hpp"
#include "os/fd.hpp"
#include "os/file.hpp"

namespace warren::app {

namespace {

constexpr char kStarted = 0;
constexpr std::size_t kMaxReport = 8192;
constexpr std::size_t kMaxPidFile = 64;

/// "CODE KIND\0message\0hint".
std::string write_report(const netns::RunEnd& end) {
  std::string text = "\1";
  text += static_cast<char>(end.exit_code);
  text += static_cast<char>(end.why ? static_cast<int>(end.why->kind) : 0);
  if (end.why) text += end.why->message + '\0' + end.why->hint;
  return text;
}

int tell_failure(const Invocation& invocation, const std::string& text) {
  if (text.size() < 3) {
    report(invocation, base::make_error(base::ErrorKind::Failed, "the run ended while it started",
                                        "see its log"));
    return kRunFailed;
  }
  const std::size_t middle = text.find('\0', 3);
  if (middle != std::string::npos) {
    report(invocation, base::make_error(static_cast<base::ErrorKind>(text[2]),
                                        text.substr(3, middle - 3), text.substr(middle + 1)));
  }
  return static_cast<unsigned char>(text[1]);
}

base::Status prepare_child(const netns::RunConfig& config, const DetachOptions& options) {
  std::string log = options.log;
  if (log.empty()) {
    WARREN_TRY_ASSIGN(log, default_log(config));
  }
  WARREN_TRY(os::detach_from_terminal(log));
  if (options.pid_file.empty()) return {};
  return os::write_file_atomically(options.pid_file, std::to_string(getpid()) + "\n", 0644)
      .within("write the pid file");
}

/// Unless somebody else has taken the file meanwhile.
void remove_pid_file(const std::string& path) {
  if (path.empty()) return;
  const auto text = os::read_file(path, kMaxPidFile);
  if (text && *text == std::to_string(getpid()) + "\n") unlink(path.c_str());
}

[[noreturn]] void be_supervisor(netns::RunConfig config, const DetachOptions& options,
                                os::Fd pipe) {
  netns::RunEnd end;
  const std::string name = config.name;
  std::error_code nowhere;
  if (!options.pid_file.empty()) {
    config.pid_file = std::filesystem::absolute(options.pid_file, nowhere).string();
  }
  if (base::Status ready = prepare_child(config, options); !ready) {
    end.why = std::move(ready).error();
  } else {
    const std::string pid_file = config.pid_file;
    config.on_started = [&] {
      static_cast<void>(write(pipe.get(), &kStarted, 1) < 0);
      pipe.reset();
    };
    end = netns::run(std::move(config));
    remove_pid_file(pid_file);
  }
  if (pipe) {
    const std::string text = write_report(end);
    static_cast<void>(write(pipe.get(), text.data(), text.size()) < 0);
  } else if (end.why) {
    fmt::print(stderr, "warren: {}\n", end.why->message);
  }
  fmt::print(stderr, "warren: run {} ended with code {}\n", name, end.exit_code);
  std::exit(end.exit_code);
}

std::string read_all(const os::Fd& pipe) {
  std::string text;
  std::array<char, kMaxReport> room;
  while (text.size() < kMaxReport && (text.empty() || text[0] != kStarted)) {
    const ssize_t got = read(pipe.get(), room.data(), room.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(room.data(), static_cast<std::size_t>(got));
  }
  return text;
}

}  // namespace

base::Result<std::string> default_log(const netns::RunConfig& config) {
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  std::string directory;
  if (state != nullptr && *state == '/') {
    directory = std::string(state) + "/warren";
  } else if (home != nullptr && *home == '/') {
    directory = std::string(home) + "/.local/state/warren";
  }
  const bool usable = !directory.empty() && os::make_directories(directory, 0700) &&
                      access(directory.c_str(), W_OK) == 0;
  return (usable ? directory : config.runtime_dir) + "/" + config.name + ".log";
}

int run_detached(const Invocation& invocation, netns::RunConfig config,
                 const DetachOptions& options) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) {
    report(invocation, base::os_error("create a pipe"));
    return kRunFailed;
  }
  const os::Fd read_end(ends[0]);
  os::Fd write_end(ends[1]);
  const std::string name = config.name;
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) {
    report(invocation, base::os_error("create a process for the run"));
    return kRunFailed;
  }
  if (config.follower) config.follower->set_owner(child == 0 ? getpid() : child);
  if (child == 0) be_supervisor(std::move(config), options, std::move(write_end));
  write_end.reset();
  const std::string text = read_all(read_end);
  if (text.empty() || text[0] != kStarted) {
    waitpid(child, nullptr, 0);  // it has cleaned up
    return tell_failure(invocation, text);
  }
  print_line(name);
  return kDone;
}

}  // namespace warren::app
