#include "apps/warren/event_runner.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

#include <fcntl.h>
#include <pwd.h>
#include <unistd.h>

#include "os/clock.hpp"
#include "os/fd.hpp"

namespace warren::app {
namespace {

constexpr base::Duration kWhileRunning = std::chrono::milliseconds(20);
constexpr base::Duration kIdle = std::chrono::seconds(1);

/// A pipe that holds the document already: no event is as long as a pipe is deep (64 KiB).
base::Result<os::Fd> filled_pipe(const std::string& document) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return base::os_error("make a pipe");
  os::Fd out(ends[0]);
  const os::Fd in(ends[1]);
  const ssize_t written = ::write(in.get(), document.data(), document.size());
  if (written != static_cast<ssize_t>(document.size())) return base::os_error("fill a pipe");
  if (::fcntl(out.get(), F_SETFL, 0) != 0) return base::os_error("prepare a pipe");
  return out;
}

/// The program starts in "/", not where it was named.
std::string from_root(const std::string& path) {
  std::error_code error;
  const auto out = std::filesystem::absolute(path, error);
  return error ? path : out.string();
}

/// What a program may know of our environment: nothing that could hold a secret of ours.
std::vector<std::string> plain_environment() {
  std::vector<std::string> out;
  for (const char* name : {"PATH", "LANG", "LC_ALL", "TZ"}) {
    if (const char* value = std::getenv(name)) out.push_back(std::string(name) + "=" + value);
  }
  return out;
}

void kill_session(const os::Child& child) {
  // It leads a session and a group of its own; it is not reaped yet, so its number is still its.
  if (::kill(-child.pid, SIGKILL) != 0) std::ignore = os::send_signal(child.pidfd, SIGKILL);
}

}  // namespace

EventRunner::~EventRunner() {
  for (const Running& one : running_) {
    kill_session(one.child);
    std::ignore = os::wait_for(one.child);
  }
}

void EventRunner::take(std::string document) {
  if (waiting_.size() >= limits_.waiting) {
    if (dropped_++ == 0) {
      say_("events come faster than " + program_ + " takes them: some are dropped");
    }
    return;
  }
  waiting_.push_back(std::move(document) + "\n");
  tick();
}

base::Duration EventRunner::tick() {
  const base::Instant now = os::now();
  std::erase_if(running_, [&](Running& one) { return has_ended(one, now); });
  while (!waiting_.empty() && running_.size() < limits_.at_once) {
    start(waiting_.front());
    waiting_.pop_front();
  }
  if (dropped_ > 0 && waiting_.size() < limits_.waiting / 2) {
    say_(std::to_string(dropped_) + " events were dropped");
    dropped_ = 0;
  }
  return running_.empty() ? kIdle : kWhileRunning;
}

bool EventRunner::has_ended(Running& one, base::Instant now) {
  if (const auto code = os::try_wait(one.child)) {
    if (*code != 0 && !one.told) {
      say_(program_ + " ended with " + std::to_string(*code));
    }
    return true;
  }
  if (now < one.until) return false;
  if (!one.told) say_(program_ + " took too long and was killed");
  one.told = true;
  kill_session(one.child);
  return false;  // until it is reaped
}

void EventRunner::start(const std::string& document) {
  const auto input = filled_pipe(document);
  if (!input) return say_(input.error().message);
  auto child = os::spawn({.argv = {program_},
                          .environment = plain_environment(),
                          .descriptors = {{0, &*input}},
                          .new_session = true,
                          .working_directory = "/",
                          .user = user_,
                          .die_with_parent = true});
  if (!child) return say_(child.error().message);
  running_.push_back({.child = std::move(*child), .until = os::now() + limits_.longest});
}

base::Result<std::string> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    if (::access(name.c_str(), X_OK) == 0) return from_root(name);
    return base::os_error("execute " + name);
  }
  const char* given = std::getenv("PATH");
  std::string_view path = given != nullptr ? given : "/usr/bin:/bin";
  while (!path.empty()) {
    const std::size_t end = std::min(path.find(':'), path.size());
    const std::string file = std::string(path.substr(0, end)) + "/" + name;
    if (end > 0 && ::access(file.c_str(), X_OK) == 0) return from_root(file);
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return base::make_error(base::ErrorKind::NotFound, "there is no program " + name,
                          "give its path");
}

base::Result<std::optional<os::SpawnUser>> event_user(const std::string& name) {
  const bool root = ::geteuid() == 0;
  if (!root) {
    if (name.empty()) return std::optional<os::SpawnUser>();
    return base::make_error(base::ErrorKind::NotPermitted, "only root may run it as " + name,
                            "leave --exec-user out: it runs as you");
  }
  const std::string wanted = name.empty() ? "nobody" : name;
  errno = 0;
  const passwd* entry = ::getpwnam(wanted.c_str());
  if (entry != nullptr) {
    return std::optional(os::SpawnUser{.uid = entry->pw_uid, .gid = entry->pw_gid});
  }
  return base::make_error(base::ErrorKind::NotFound, "there is no user " + wanted,
                          "name one with --exec-user");
}

}  // namespace warren::app
