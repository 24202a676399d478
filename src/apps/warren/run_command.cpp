// `warren run PROFILE -- COMMAND`: from a WireGuard conf file to a netns::RunConfig.
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <set>

#include "apps/warren/cli.hpp"
#include "apps/warren/text.hpp"
#include "crypto/crypto.hpp"
#include "model/wg_conf.hpp"
#include "netns/run.hpp"
#include "netns/runtime_dir.hpp"
#include "os/file.hpp"

namespace warren::app {

namespace {

using base::ErrorKind;
using base::make_error;

struct RunArguments {
  std::string profile;
  std::string name;
  std::vector<std::string> variables;
  std::vector<std::string> command;
  std::string wait_ready;  ///< a time span; empty: do not wait
};

struct Profile {
  std::string path;
  std::string name;
};

base::Result<Profile> find_profile(const std::string& given) {
  const bool is_path = given.find('/') != std::string::npos || given.ends_with(".conf");
  if (is_path) {
    const std::string file = given.substr(given.rfind('/') + 1);
    return Profile{given, file.ends_with(".conf") ? file.substr(0, file.size() - 5) : file};
  }
  const char* config = std::getenv("XDG_CONFIG_HOME");
  const char* home = std::getenv("HOME");
  std::string directory;
  if (config != nullptr && *config == '/') {
    directory = config;
  } else if (home != nullptr && *home == '/') {
    directory = std::string(home) + "/.config";
  } else {
    return make_error(ErrorKind::NotFound, "find the profile `" + given + "`: HOME is not set",
                      "give the path of the conf file");
  }
  const std::string path = directory + "/warren/" + given + ".conf";
  if (access(path.c_str(), F_OK) != 0) {
    return base::os_error("find the profile " + path)
        .with_hint("`warren join TOKEN` writes one; a conf file may be given by its path");
  }
  return Profile{path, given};
}

base::Result<model::WgConf> read_conf(const std::string& path) {
  struct stat there{};
  const bool exists = stat(path.c_str(), &there) == 0;
  if (exists && !S_ISREG(there.st_mode)) {
    return make_error(ErrorKind::Invalid, "read the profile " + path + ": it is not a regular file",
                      "give the name of a profile (warren status lists them) or the path of a "
                      "WireGuard conf file");
  }
  auto text = os::read_file(path, model::kMaxConfBytes);
  if (!text) {
    return std::move(text).error().with_hint("check the path and who may read the file");
  }
  auto conf = model::WgConf::parse(*text, path);
  model::wipe_text(*text);
  // Only now is it known that the file holds a key.
  if (conf && exists && (there.st_mode & 077) != 0) {
    fmt::print(stderr, "warren: warning: {} holds a private key and others can read it\n", path);
    fmt::print(stderr, "  hint: chmod 600 {}\n", path);
  }
  return conf;
}

void notice_hooks(const model::WgConf& conf, const std::string& path) {
  std::string names;
  std::set<std::string> seen;
  for (const model::ConfHook& hook : conf.interface.hooks) {
    if (seen.insert(hook.key).second) names += (names.empty() ? "" : ", ") + hook.key;
  }
  if (names.empty()) return;
  const bool one = seen.size() == 1;
  fmt::print(stderr, "warren: notice: {} of {} {} not run here (wg-quick runs {})\n", names, path,
             one ? "is" : "are", one ? "it" : "them");
}

bool is_own(const model::WgConf& conf, const base::IpAddress& address) {
  return std::ranges::any_of(conf.interface.addresses,
                             [&](const base::Prefix& own) { return own.address == address; });
}

/// Somebody who should answer ping through the tunnel: the name server, else the first host of the
/// network that the profile describes.
std::optional<base::IpAddress> choose_echo_target(const model::WgConf& conf) {
  std::vector<base::Prefix> allowed;
  for (const model::ConfPeer& peer : conf.peers) {
    allowed.insert(allowed.end(), peer.allowed_ips.begin(), peer.allowed_ips.end());
  }
  const auto reachable = [&](const base::IpAddress& address) {
    return !is_own(conf, address) && std::ranges::any_of(allowed, [&](const base::Prefix& prefix) {
      return prefix.contains(address);
    });
  };
  for (const base::IpAddress& server : conf.interface.dns_servers) {
    if (reachable(server)) return server;
  }
  std::vector<base::Prefix> networks = conf.interface.addresses;
  networks.insert(networks.end(), allowed.begin(), allowed.end());
  for (const base::Prefix& prefix : networks) {
    if (prefix.length == 0) continue;
    const bool host = prefix.length == prefix.address.bit_count();
    const base::IpAddress first = host ? prefix.address : prefix.network().address.plus(1);
    if (reachable(first)) return first;
  }
  return std::nullopt;
}

base::Status fill_peers(const model::WgConf& conf, netns::RunConfig& config) {
  for (const model::ConfPeer& peer : conf.peers) {
    ipc::UapiPeer& out = config.engine.peers.emplace_back();
    out.public_key = peer.public_key;
    out.replace_allowed_ips = true;
    if (peer.preshared_key) out.preshared_key.emplace(peer.preshared_key->view());
    out.persistent_keepalive_s = peer.persistent_keepalive_s;
    if (peer.endpoint) {
      WARREN_TRY_ASSIGN(out.endpoint, netns::resolve(*peer.endpoint));
    }
    for (const base::Prefix& prefix : peer.allowed_ips) {
      out.allowed_ips.push_back({.prefix = prefix});
      const bool known = std::ranges::find(config.routes, prefix) != config.routes.end();
      if (!known) config.routes.push_back(prefix);
    }
  }
  return {};
}

base::Status fill_from_conf(const model::WgConf& conf, const std::string& path,
                            netns::RunConfig& config) {
  if (conf.peers.empty()) {
    return make_error(ErrorKind::Invalid, path + " has no [Peer]: there is nobody to talk to",
                      "add a [Peer] with PublicKey, AllowedIPs and Endpoint");
  }
  if (conf.interface.addresses.empty()) {
    return make_error(ErrorKind::Invalid, path + " has no Address in [Interface]",
                      "add the line `Address = …` with your address in the network");
  }
  config.engine.private_key.emplace(conf.interface.private_key.view());
  config.public_key = crypto::public_key(*config.engine.private_key);
  config.engine.listen_port = conf.interface.listen_port;
  if (conf.interface.fwmark != 0) config.engine.fwmark = conf.interface.fwmark;
  config.engine.replace_peers = true;
  config.addresses = conf.interface.addresses;
  config.dns_servers = conf.interface.dns_servers;
  config.dns_search = conf.interface.dns_search;
  config.mtu = conf.interface.mtu.value_or(netns::kDefaultMtu);
  config.echo_target = choose_echo_target(conf);
  return fill_peers(conf, config);
}

/// "10s", "2m" or bare seconds, up to an hour; nullopt for anything else.
std::optional<std::uint32_t> parse_wait_s(const std::string& text) {
  constexpr std::uint32_t kLongest = 3600;
  const bool bare = text.find_first_not_of("0123456789") == std::string::npos;
  const auto seconds = parse_duration_s(bare ? text + "s" : text);
  return seconds && *seconds <= kLongest ? seconds : std::nullopt;
}

/// Ours, with every `-e NAME=VALUE` put in its place.
std::vector<std::string> environment_with(const std::vector<std::string>& variables) {
  std::vector<std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) out.emplace_back(*entry);
  for (const std::string& variable : variables) {
    const std::string name = variable.substr(0, variable.find('=')) + "=";
    std::erase_if(out, [&](const std::string& entry) { return entry.starts_with(name); });
    out.push_back(variable);
  }
  return out;
}

base::Result<netns::RunConfig> make_config(const RunArguments& arguments) {
  WARREN_TRY_ASSIGN(const Profile profile, find_profile(arguments.profile));
  WARREN_TRY_ASSIGN(const model::WgConf conf, read_conf(profile.path));
  notice_hooks(conf, profile.path);
  netns::RunConfig config;
  config.profile = arguments.profile;
  config.name = arguments.name.empty() ? profile.name : arguments.name;
  if (!netns::is_run_name(config.name)) {
    return make_error(ErrorKind::Invalid, "`" + config.name + "` cannot name a run",
                      "give --name: letters, digits, `.`, `_`, `-`, at most 32");
  }
  WARREN_TRY(fill_from_conf(conf, profile.path, config));
  if (const auto wait_s = parse_wait_s(arguments.wait_ready)) {
    if (!config.echo_target) {
      return make_error(ErrorKind::Invalid,
                        "--wait-ready: " + profile.path + " names nobody who answers an echo",
                        "add a DNS server, or an Address with the network's length");
    }
    config.wait_ready = std::chrono::seconds(*wait_s);
  }
  config.argv = arguments.command;
  config.environment = environment_with(arguments.variables);
  WARREN_TRY_ASSIGN(config.engine_program, netns::engine_program());
  WARREN_TRY_ASSIGN(config.runtime_dir, netns::runtime_directory());
  return config;
}

int run_it(const Invocation& invocation, const RunArguments& arguments) {
  auto config = make_config(arguments);
  if (!config) {
    report(invocation, config.error());
    return kRunFailed;
  }
  const netns::RunEnd end = netns::run(std::move(*config));
  if (end.why) report(invocation, *end.why);
  return end.exit_code;
}

}  // namespace

void add_run_command(CLI::App& app, Invocation& invocation) {
  const auto arguments = std::make_shared<RunArguments>();
  CLI::App* run = app.add_subcommand(
      "run", "Run a program whose only network is a WireGuard network; needs no root");
  run->add_option("PROFILE", arguments->profile,
                  "A profile's name (~/.config/warren/NAME.conf) or a WireGuard conf file")
      ->required();
  run->add_option("COMMAND", arguments->command, "The program and its arguments, after --");
  run->add_option("--name", arguments->name, "Name of the run (default: the profile's)");
  run->add_option("-e,--env", arguments->variables,
                  "NAME=VALUE to set for the program; may be repeated")
      ->allow_extra_args(false)
      ->check([](const std::string& text) {
        const std::size_t equals = text.find('=');
        const bool good = equals != std::string::npos && equals != 0;
        return good ? std::string() : "`" + text + "` is not NAME=VALUE";
      });
  run->add_option("--wait-ready", arguments->wait_ready,
                  "Start the program once the tunnel carries an echo; wait at most 10s, 2m, …")
      ->check([](const std::string& text) {
        return parse_wait_s(text) ? std::string()
                                  : "`" + text + "` is not a time span from 1s to 1h (10s, 2m)";
      });
  run->footer(
      "Usage: warren run [OPTIONS] PROFILE [--] COMMAND [ARGUMENT...]\n"
      "Exit code: the program's; 125 warren failed, 126 it cannot be executed, 127 not found.\n"
      "Example: warren run lab -- ping -c 1 10.20.0.1");
  run->callback([&invocation, arguments] {
    std::vector<std::string>& command = arguments->command;
    command.insert(command.end(), invocation.command.begin(), invocation.command.end());
    if (!command.empty()) {
      invocation.exit_code = run_it(invocation, *arguments);
      return;
    }
    report(invocation, make_error(ErrorKind::Invalid, "warren run: there is no command to run",
                                  "name it after --, for example: warren run lab -- bash"));
    invocation.exit_code = kUsage;
  });
}

}  // namespace warren::app
