#include "apps/warren/ask.hpp"

#include <iostream>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <unistd.h>

#include "apps/warren/text.hpp"
#include "client/profile.hpp"
#include "client/remotes.hpp"
#include "os/process.hpp"
#include "os/unix_socket.hpp"

namespace warren::app {

namespace {

/// The name of the remote that is meant; empty: none.
std::string remote_of(const Invocation& invocation) {
  if (invocation.remote == client::kLocal) return {};
  if (!invocation.remote.empty()) return invocation.remote;
  const auto directory = client::profile_directory();
  return directory ? client::Remotes(*directory).current() : std::string();
}

}  // namespace

client::Daemon daemon_of(const Invocation& invocation) {
  const std::string name = remote_of(invocation);
  if (name.empty()) return client::Daemon(invocation.socket_path());
  const auto directory = client::profile_directory();
  if (!directory) return client::Daemon(directory.error());
  auto remote = client::Remotes(*directory).read(name);
  if (!remote) return client::Daemon(remote.error());
  return client::Daemon(std::move(*remote));
}

bool asks_remote(const Invocation& invocation) { return !remote_of(invocation).empty(); }

base::Status check_here(const Invocation& invocation, const std::string& what) {
  const std::string name = remote_of(invocation);
  if (name.empty()) return {};
  return base::make_error(base::ErrorKind::Invalid,
                          what + " needs the gateway's own host, and remote " + name + " is meant",
                          "log in there, or name this host: --remote local");
}

base::Result<std::string> pick_network(const client::Daemon& daemon, const std::string& named,
                                       NetworkIs is) {
  if (!named.empty()) return named;
  WARREN_TRY_ASSIGN(const api::NetworkList list, daemon.list_networks());
  if (list.networks.empty()) {
    return base::make_error(base::ErrorKind::NotFound, "this gateway serves no network yet",
                            "make one: warren network create NAME --subnet 10.20.0.0/24");
  }
  if (list.networks.size() == 1) return list.networks.front().name;
  std::vector<std::string> names;
  for (const api::NetworkView& network : list.networks) names.push_back(network.name);
  return base::make_error(base::ErrorKind::Invalid,
                          "which network is meant? There are " + join_words(names),
                          (is == NetworkIs::Option ? "name one of them: --network "
                                                   : "name one of them, as the first word: ") +
                              names.front());
}

bool confirmed(const std::string& question, bool yes) {
  if (yes || ::isatty(STDIN_FILENO) != 1 || ::isatty(STDERR_FILENO) != 1) return true;
  fmt::print(stderr, "{} [y/N] ", question);
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

void pass_time(base::Duration time) {
  if (const auto quiet = os::unix_pair(os::UnixType::Stream)) {
    static_cast<void>(os::wait_readable(quiet->first, time));
  }
}

void print_line(const std::string& text) { fmt::print("{}\n", text); }

void finish(Invocation& invocation, const base::Status& done) {
  if (!done) invocation.exit_code = report(invocation, done.error());
}

}  // namespace warren::app
