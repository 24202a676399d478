// What `warren run` is told, and the netns::RunConfig it means.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "hostlink/plan.hpp"
#include "netns/run.hpp"

namespace warren::app {

/// For openconnect:// alone.
struct OpenconnectArguments {
  std::string user;
  std::string password_file;  ///< a path, or "-"
  std::string cert;           ///< of the user, PEM
  std::string key;
  std::string cafile;
  std::string server_cert;  ///< "pin-sha256:…"
  std::string group;
};

struct RunArguments {
  std::string profile;
  std::string name;
  std::vector<std::string> variables;
  std::vector<std::string> command;
  std::string wait_ready;  ///< a time span; empty: do not wait
  std::vector<std::string> dns;
  std::vector<std::string> dns_search;
  std::vector<std::string> kept;
  bool weak_dns = false;
  bool private_tmp = false;
  unsigned preserve_fds = 0;
  bool no_net = false;
  std::string routes;  ///< "all", "server", or empty: what the profile says
  std::vector<std::string> exposed;
  std::vector<std::string> allowed;  ///< prefixes that may reach exposed ports
  bool expose_public = false;
  std::string certificate_dir;    ///< where a token's member has its certificate; empty: none
  bool no_follow = false;         ///< what the gateway changes is of no interest
  bool end_when_revoked = false;  ///< else the run goes on without a network
  bool detach = false;
  std::string log;
  std::string pid_file;
  OpenconnectArguments openconnect;
};

/// Reads the profile and resolves its endpoints. Warnings go to standard error.
[[nodiscard]] base::Result<netns::RunConfig> make_run_config(const RunArguments& arguments);

/// What `warren up` makes of a profile: as a run of it, and where its routes go.
struct LinkProfile {
  netns::RunConfig run;
  hostlink::TableChoice table;
};
/// Of the arguments count profile, wait_ready, no_follow and end_when_revoked.
[[nodiscard]] base::Result<LinkProfile> make_link_profile(const RunArguments& arguments);

/// The environment of a command inside a run: the caller's, without the addresses of sockets that a
/// run does not see, with WARREN_RUN, what the network tells of its services and, above it, every
/// `-e NAME=VALUE`.
[[nodiscard]] std::vector<std::string> run_environment(const std::string& run,
                                                       const std::vector<std::string>& services,
                                                       const std::vector<std::string>& variables);
/// What is wrong with the value of `-e`; empty: nothing.
[[nodiscard]] std::string check_variable(const std::string& text);

/// "10s", "2m" or bare seconds, up to an hour; nullopt for anything else.
[[nodiscard]] std::optional<std::uint32_t> parse_wait_s(const std::string& text);

}  // namespace warren::app
