#include "netns/attach.hpp"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <tuple>

#include "netns/command.hpp"
#include "netns/control.hpp"
#include "netns/signal_relay.hpp"
#include "os/loop.hpp"
#include "os/process.hpp"

// Theory of operation. The owner of a user namespace has every capability in it, so the user who
// started a run may enter all its namespaces, and nobody else but root may. They are opened through
// init's entries in /proc. Init is a child of the supervisor: while that lives, the number cannot
// belong to another process, so the supervisor is looked at again once all are open.
//
// The process id namespace takes effect for children: the command is a child of ours inside, we
// stay visible to the host alone. It gives its capabilities up as every command of a run does.

namespace warren::netns {

namespace {

struct Namespace {
  const char* name;
  int kind;
};
// The user namespace first: it gives the right to enter the others.
constexpr std::array<Namespace, 4> kNamespaces{
    {{"user", CLONE_NEWUSER}, {"mnt", CLONE_NEWNS}, {"net", CLONE_NEWNET}, {"pid", CLONE_NEWPID}}};

std::string field(const RunState& run, const char* key) {
  const auto found = run.find(key);
  return found == run.end() ? std::string() : found->second;
}

base::Error ended(const RunState& run) {
  return base::make_error(base::ErrorKind::NotFound, "the run `" + field(run, "name") + "` ended",
                          "`warren ps` lists the runs");
}

base::Status enter(const RunState& run) {
  const auto pid = base::parse_number(field(run, "pid"), 1, 1U << 30).value_or(1);
  const auto started = base::parse_number(field(run, "start_time"), 0, ~0ULL).value_or(0);
  const auto supervisor = os::open_pidfd(static_cast<pid_t>(pid), started);
  if (!supervisor) return ended(run);
  if (field(run, "kind") == "proxy") {
    return base::make_error(base::ErrorKind::Invalid,
                            "`" + field(run, "name") + "` is a proxy: it has no namespaces",
                            "its programs are on this host; give others its ALL_PROXY");
  }
  std::array<os::Fd, kNamespaces.size()> opened;
  for (std::size_t i = 0; i < opened.size(); ++i) {
    const std::string path = "/proc/" + field(run, "init") + "/ns/" + kNamespaces[i].name;
    opened[i] = os::Fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!opened[i]) {
      if (errno == ENOENT) return ended(run);
      return base::os_error("open " + path)
          .with_hint("only the user who started a run may attach to it, from the host's side");
    }
  }
  WARREN_TRY_ASSIGN(const bool gone, os::wait_readable(*supervisor, base::Duration(0)));
  if (gone) return ended(run);
  for (std::size_t i = 0; i < opened.size(); ++i) {
    if (setns(opened[i].get(), kNamespaces[i].kind) == 0) continue;
    return base::os_error(std::string("enter the run's namespace ") + kNamespaces[i].name)
        .with_hint("only the user who started a run may attach to it, from the host's side");
  }
  return {};
}

/// Entering the mount namespace put us at its root.
void enter_directory(const char* directory) {
  if (directory[0] == '/' && chdir(directory) == 0) return;
  std::ignore = chdir("/");
}

RunEnd failure(base::Error error, int code = kOwnFailure) {
  return {.exit_code = code, .why = std::move(error)};
}

}  // namespace

RunEnd attach(const RunState& run, const AttachConfig& config) {
  std::array<char, PATH_MAX> directory{};
  if (getcwd(directory.data(), directory.size()) == nullptr) directory[0] = '\0';
  if (base::Status entered = enter(run); !entered) return failure(std::move(entered).error());
  enter_directory(directory.data());

  pid_t command = 0;
  auto relay = SignalRelay::create([&](int signal) { kill(command, signal); });
  if (!relay) return failure(std::move(relay).error());
  const auto loop = os::Loop::create();
  if (!loop) return failure(loop.error());
  auto started = start_command({.argv = config.argv,
                                .environment = config.environment,
                                .preserve_fds = config.preserve_fds,
                                .die_with_parent = true});
  if (!started) {
    // No process can be made in a process id namespace whose init has ended.
    if (started.error().os_errno == ENOMEM) return failure(ended(run));
    return failure(std::move(started).error());
  }
  if (started->why) return failure(std::move(*started->why), started->exit_code);
  command = started->pid;
  std::optional<int> status;
  const base::Status watched = (*loop)->watch(relay->descriptor(), [&](os::Ready) {
    relay->handle(true);
    int raw = 0;
    if (waitpid(command, &raw, WNOHANG) == command) status = raw;
  });
  if (!watched) return failure(watched.error());
  int raw = 0;
  if (waitpid(command, &raw, WNOHANG) == command) status = raw;
  while (!status) {
    if (base::Status turned = (*loop)->run_once(std::nullopt); !turned) {
      return failure(std::move(turned).error());
    }
  }
  return {.exit_code = WIFEXITED(*status) ? WEXITSTATUS(*status) : 128 + WTERMSIG(*status)};
}

}  // namespace warren::netns
