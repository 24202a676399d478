#include "apps/warren/directories.hpp"

#include <cstdlib>
#include <optional>
#include <string>

#include <unistd.h>

#include "hostlink/directory.hpp"

namespace warren::app {
namespace {

struct Directories {
  std::string state;
  std::string run;
};

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr && *value == '/' ? value : "";
}

/// nullopt where the environment names no place for them.
std::optional<Directories> of_user() {
  const std::string run = variable("XDG_RUNTIME_DIR");
  std::string state = variable("XDG_STATE_HOME");
  if (state.empty() && !variable("HOME").empty()) state = variable("HOME") + "/.local/state";
  if (run.empty() || state.empty()) return std::nullopt;
  return Directories{.state = state + "/warren/gateway", .run = run + "/warren-gateway"};
}

void take(Invocation& invocation, const Directories& directories) {
  invocation.state_dir = directories.state;
  invocation.run_dir = directories.run;
}

}  // namespace

void choose_directories(Invocation& invocation) {
  if (::geteuid() == 0 || ::access(invocation.socket_path().c_str(), F_OK) == 0) return;
  const auto own = of_user();
  if (own && ::access(own->run.c_str(), F_OK) == 0) take(invocation, *own);
}

base::Status take_user_directories(Invocation& invocation) {
  const Invocation system;
  if (::geteuid() == 0 || invocation.run_dir != system.run_dir ||
      invocation.state_dir != system.state_dir)
    return {};
  const auto own = of_user();
  if (!own)
    return base::make_error(base::ErrorKind::Invalid,
                            "find a place for the gateway of this user: XDG_RUNTIME_DIR or HOME "
                            "is not set",
                            "log in as the user, or give --run-dir and --state-dir");
  take(invocation, *own);
  return {};
}

std::string shared_key_directory(const Invocation& invocation) {
  return ::geteuid() == 0 ? hostlink::directory_in(invocation.run_dir) : std::string();
}

}  // namespace warren::app
