#include "apps/warren/ask.hpp"

#include <iostream>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <unistd.h>

#include "apps/warren/text.hpp"
#include "os/process.hpp"
#include "os/unix_socket.hpp"

namespace warren::app {

client::Daemon daemon_of(const Invocation& invocation) {
  return client::Daemon(invocation.socket_path());
}

base::Result<std::string> pick_network(const client::Daemon& daemon, const std::string& named) {
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
                          "name one of them: --network " + names.front());
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
