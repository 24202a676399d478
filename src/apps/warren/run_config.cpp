// From what `warren run` was told and a WireGuard conf file to a netns::RunConfig.
#include "apps/warren/run_config.hpp"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <set>
#include <span>

#include "apps/warren/echo_target.hpp"
#include "apps/warren/member_follower.hpp"
#include "apps/warren/run_certificate.hpp"
#include "apps/warren/run_openconnect.hpp"
#include "apps/warren/text.hpp"
#include "client/join.hpp"
#include "client/profile.hpp"
#include "crypto/crypto.hpp"
#include "model/wg_conf.hpp"
#include "netns/runtime_dir.hpp"
#include "os/clock.hpp"
#include "os/file.hpp"

namespace warren::app {

using base::ErrorKind;
using base::make_error;

namespace {

constexpr std::string_view kTokenMark = "warren1";

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
  WARREN_TRY_ASSIGN(const std::string directory, client::profile_directory());
  const std::string path = directory + "/" + given + ".conf";
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

base::Status fill_from_conf(const model::WgConf& conf, std::span<const base::IpAddress> gateways,
                            const std::string& path, netns::RunConfig& config) {
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
  config.echo_target = choose_echo_target(conf, gateways);
  return fill_peers(conf, config);
}

/// `--dns`: what the profile says about names gives way to it.
base::Status replace_dns(const RunArguments& arguments, netns::RunConfig& config) {
  if (!arguments.dns_search.empty()) config.dns_search = arguments.dns_search;
  if (arguments.dns.empty()) return {};
  config.dns_servers.clear();
  for (const std::string& text : arguments.dns) {
    if (text == "none" && arguments.dns.size() == 1) return {};
    const auto address = base::IpAddress::parse(text);
    if (!address) {
      return make_error(ErrorKind::Invalid, "--dns: `" + text + "` is not an IP address",
                        "give the address of a name server in the network, or none");
    }
    config.dns_servers.push_back(*address);
  }
  return {};
}

/// `--routes all`: the one peer gets everything, whatever its AllowedIPs say.
base::Status replace_routes(const RunArguments& arguments, netns::RunConfig& config) {
  if (arguments.routes != "all") return {};
  if (config.engine.peers.size() != 1) {
    return make_error(ErrorKind::Invalid, "--routes all: the profile has several peers",
                      "say which gets what in their AllowedIPs, and leave --routes out");
  }
  config.routes = {*base::Prefix::parse("0.0.0.0/0"), *base::Prefix::parse("::/0")};
  ipc::UapiPeer& peer = config.engine.peers[0];
  peer.allowed_ips.clear();
  for (const base::Prefix& prefix : config.routes) peer.allowed_ips.push_back({.prefix = prefix});
  return {};
}

/// `--expose`: the loopback of this machine, or what was said on purpose.
base::Status fill_exposures(const RunArguments& arguments, netns::RunConfig& config) {
  std::vector<base::Prefix> allowed;
  for (const std::string& text : arguments.allowed) {
    const auto prefix = base::Prefix::parse(text);
    if (!prefix) {
      return make_error(ErrorKind::Invalid, "--allow: `" + text + "` is not a prefix",
                        "write it as 192.0.2.0/24 or 2001:db8::/32");
    }
    allowed.push_back(prefix->network());
  }
  for (const std::string& text : arguments.exposed) {
    WARREN_TRY_ASSIGN(netns::Exposure exposure, netns::Exposure::parse(text));
    const bool local = exposure.listen.address.is_loopback();
    if (!local && allowed.empty() && !arguments.expose_public) {
      const base::Endpoint inside{.address = config.addresses[0].address, .port = exposure.port};
      return make_error(ErrorKind::NotPermitted,
                        "--expose " + text + ": every host that reaches " +
                            exposure.listen.address.to_string() + " would reach the program",
                        "name who may with --allow CIDR, or all with --expose-public; members of "
                        "the network reach it without, at " +
                            inside.to_string());
    }
    if (!local) exposure.allowed = allowed;
    config.exposures.push_back(std::move(exposure));
  }
  return {};
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

/// The paths in "unix:path=/a,guid=b;unix:path=/c" and in "unix:///a".
void add_socket_paths(const std::string& address, std::vector<std::string>& paths) {
  for (const std::string& mark : {std::string("path="), std::string("unix://")}) {
    for (std::size_t at = address.find(mark); at != std::string::npos;
         at = address.find(mark, at + 1)) {
      const std::size_t from = at + mark.size();
      std::string path = address.substr(from, address.find_first_of(",;", from) - from);
      if (path.starts_with('/')) paths.push_back(std::move(path));
    }
  }
}

/// The display is reached by a path and leads nowhere else.
void keep_display(netns::RunConfig& config) {
  const std::string wayland = variable("WAYLAND_DISPLAY");
  std::vector<std::string> paths = {variable("XAUTHORITY")};
  if (!wayland.empty()) {
    paths.push_back(wayland.starts_with('/') ? wayland : config.session_dir + "/" + wayland);
  }
  for (const std::string& path : paths) {
    if (path.starts_with('/') && access(path.c_str(), F_OK) == 0) config.kept.push_back(path);
  }
}

base::Status fill_surroundings(const RunArguments& arguments, netns::RunConfig& config) {
  const std::string session = variable("XDG_RUNTIME_DIR");
  if (session.starts_with('/')) config.session_dir = session;
  for (const std::string& path : arguments.kept) {
    if (!path.starts_with('/')) {
      return make_error(ErrorKind::Invalid, "--keep: `" + path + "` is not an absolute path",
                        "give it from / on");
    }
    config.kept.push_back(path);
  }
  keep_display(config);
  for (const char* name :
       {"DBUS_SESSION_BUS_ADDRESS", "DBUS_SYSTEM_BUS_ADDRESS", "DOCKER_HOST", "CONTAINER_HOST"}) {
    add_socket_paths(variable(name), config.hidden_sockets);
  }
  const std::string tmux = variable("TMUX");
  config.hidden_sockets.push_back(tmux.substr(0, tmux.find(',')));
  config.hidden_sockets.push_back("/tmp/tmux-" + std::to_string(geteuid()) + "/default");
  config.weak_dns = arguments.weak_dns;
  config.private_tmp = arguments.private_tmp;
  config.preserve_fds = arguments.preserve_fds;
  config.no_net = arguments.no_net;
  return {};
}

base::Status check_name(const std::string& name) {
  if (netns::is_run_name(name)) return {};
  return make_error(ErrorKind::Invalid, "`" + name + "` cannot name a run",
                    "give --name: letters, digits, `.`, `_`, `-`, at most 32");
}

/// What can be said before a server is asked for anything.
base::Status check_options(const RunArguments& arguments) {
  if (!arguments.name.empty()) WARREN_TRY(check_name(arguments.name));
  if (!arguments.wait_ready.empty() && arguments.no_net) {
    return make_error(ErrorKind::Invalid, "--wait-ready and --no-net exclude each other",
                      "without a tunnel there is nothing to wait for");
  }
  if (is_openconnect_url(arguments.profile)) return {};
  const OpenconnectArguments& given = arguments.openconnect;
  for (const auto& [option, value] : {std::pair{"--user", &given.user},
                                      {"--password-file", &given.password_file},
                                      {"--cert", &given.cert},
                                      {"--key", &given.key},
                                      {"--cafile", &given.cafile},
                                      {"--servercert", &given.server_cert},
                                      {"--group", &given.group}}) {
    if (value->empty()) continue;
    return make_error(ErrorKind::Invalid,
                      std::string(option) + " is for AnyConnect servers: openconnect://HOST",
                      "a WireGuard profile has all it needs in its file");
  }
  return {};
}

/// A conf, wherever it comes from (`shown`), as the run needs it; `gateways` where they are known.
base::Status fill_from_wireguard(const RunArguments& arguments, const model::WgConf& conf,
                                 std::span<const base::IpAddress> gateways,
                                 const std::string& shown, netns::RunConfig& config) {
  WARREN_TRY_ASSIGN(config.engine_program, netns::engine_program());
  WARREN_TRY(fill_from_conf(conf, gateways, shown, config));
  WARREN_TRY(replace_routes(arguments, config));
  const auto wait_s = parse_wait_s(arguments.wait_ready);
  if (!wait_s) return {};
  if (!config.echo_target) {
    return make_error(ErrorKind::Invalid,
                      "--wait-ready: " + shown + " names nobody who answers an echo",
                      "add a DNS server, or an Address with the network's length");
  }
  config.wait_ready = std::chrono::seconds(*wait_s);
  return {};
}

/// A token, or a file that holds one.
base::Result<std::optional<model::TokenText>> find_token(const std::string& given) {
  constexpr std::size_t kMaxTokenFile = 4096;
  std::string text = given;
  if (given.find('/') != std::string::npos) {
    auto content = os::read_file(given, kMaxTokenFile);
    if (!content) return std::nullopt;
    text = content->substr(0, content->find_first_of("\r\n "));
    model::wipe_text(*content);
  }
  if (!text.starts_with(kTokenMark)) return std::nullopt;
  auto token = model::TokenText::parse(text);
  model::wipe_text(text);
  if (!token) return std::move(token).error();
  return std::optional(std::move(*token));
}

MemberFollower::Options follower_options(const RunArguments& arguments,
                                         const netns::RunConfig& config,
                                         client::Membership membership,
                                         const client::ProfileNote& note) {
  MemberFollower::Options options{.follow = {.member = std::move(membership),
                                             .revision = note.revision,
                                             .lease_s = std::nullopt,
                                             .endpoint = note.endpoint,
                                             .endpoint_address = {},
                                             .directory = {},
                                             .profile = {}},
                                  .peer = note.peer,
                                  .own_dns = !arguments.dns.empty(),
                                  .own_search = !arguments.dns_search.empty(),
                                  .all_routes = arguments.routes == "all",
                                  .end_when_revoked = arguments.end_when_revoked};
  for (const ipc::UapiPeer& peer : config.engine.peers) {
    if (peer.endpoint) options.follow.endpoint_address = peer.endpoint->address;
  }
  return options;
}

/// What join noted beside a profile; nothing for a conf of another origin. A note that cannot be
/// read is as none: the conf alone makes a tunnel.
std::optional<client::ProfileNote> note_of(const Profile& profile) {
  auto note = client::read_note(profile.path.substr(0, profile.path.rfind('/')), profile.name);
  return note ? std::move(*note) : std::nullopt;
}

/// A profile that join wrote is kept current while the run lives.
base::Status follow_profile(const RunArguments& arguments, const Profile& profile,
                            const model::WgConf& conf,
                            const std::optional<client::ProfileNote>& note,
                            netns::RunConfig& config) {
  if (arguments.no_follow || profile.name != arguments.profile || !note) return {};
  auto membership = client::make_membership(conf, *note);
  if (!membership) return {};
  auto options = follower_options(arguments, config, std::move(*membership), *note);
  options.follow.directory = profile.path.substr(0, profile.path.rfind('/'));
  options.follow.profile = profile.name;
  config.follower = std::make_unique<MemberFollower>(std::move(options));
  return {};
}

/// A profile, its conf and what is known of its network.
struct Found {
  Profile profile;
  model::WgConf conf;
  std::optional<client::ProfileNote> note;
};

base::Result<Found> find_wireguard(const std::string& given) {
  WARREN_TRY_ASSIGN(Profile profile, find_profile(given));
  WARREN_TRY_ASSIGN(model::WgConf conf, read_conf(profile.path));
  notice_hooks(conf, profile.path);
  auto note = note_of(profile);
  return Found{std::move(profile), std::move(conf), std::move(note)};
}

base::Status fill_from_found(const RunArguments& arguments, const Found& found,
                             netns::RunConfig& config) {
  std::span<const base::IpAddress> gateways;
  if (found.note) gateways = found.note->gateways;
  WARREN_TRY(fill_from_wireguard(arguments, found.conf, gateways, found.profile.path, config));
  return follow_profile(arguments, found.profile, found.conf, found.note, config);
}

/// What programs are told of the network's services; `-e` stands above it.
void tell_of_services(const client::ProfileNote& note, netns::RunConfig& config) {
  for (const model::Variable& variable : note.environment) {
    config.services.push_back(variable.name + "=" + variable.value);
  }
}

/// Joins for the duration of the run: a key of its own, and a lease.
base::Status fill_from_token(const RunArguments& arguments, const model::TokenText& token,
                             netns::RunConfig& config) {
  std::optional<client::CertificateFiles> certificate;
  WARREN_TRY_ASSIGN(client::RunMember member,
                    join_for_run(token, arguments.certificate_dir, certificate));
  const std::string shown = "the token's network " + member.answer.network;
  tell_of_services(member.profile.note, config);
  config.profile = member.answer.network + " (token)";
  config.name = member.answer.name.substr(0, 32);
  // From here on whoever drops the configuration leaves the network.
  MemberFollower::Options options =
      follower_options(arguments, config, std::move(member.membership), member.profile.note);
  options.follow.lease_s = member.answer.lease_s;
  options.temporary = true;
  options.follow.certificate = std::move(certificate);
  options.follow.peer = member.answer.name;
  config.follower = std::make_unique<MemberFollower>(std::move(options));
  return fill_from_wireguard(arguments, member.profile.conf, member.profile.note.gateways, shown,
                             config);
}

base::Status fill_from_profile(const RunArguments& arguments, netns::RunConfig& config) {
  WARREN_TRY_ASSIGN(const Found found, find_wireguard(arguments.profile));
  config.name = found.profile.name;
  if (arguments.name.empty()) WARREN_TRY(check_name(config.name));
  if (found.note) tell_of_services(*found.note, config);
  return fill_from_found(arguments, found, config);
}

}  // namespace

std::optional<std::uint32_t> parse_wait_s(const std::string& text) {
  constexpr std::uint32_t kLongest = 3600;
  const bool bare = text.find_first_not_of("0123456789") == std::string::npos;
  const auto seconds = parse_duration_s(bare ? text + "s" : text);
  return seconds && *seconds <= kLongest ? seconds : std::nullopt;
}

std::string check_variable(const std::string& text) {
  const std::size_t equals = text.find('=');
  const bool good = equals != std::string::npos && equals != 0;
  return good ? std::string() : "`" + text + "` is not NAME=VALUE";
}

std::vector<std::string> run_environment(const std::string& run,
                                         const std::vector<std::string>& services,
                                         const std::vector<std::string>& variables) {
  std::vector<std::string> out;
  const auto remove = [&](const std::string& name) {
    std::erase_if(out, [&](const std::string& entry) { return entry.starts_with(name + "="); });
  };
  for (char** entry = environ; *entry != nullptr; ++entry) out.emplace_back(*entry);
  for (const char* name : {"DBUS_SESSION_BUS_ADDRESS", "DBUS_SYSTEM_BUS_ADDRESS", "TMUX"}) {
    remove(name);
  }
  remove("WARREN_RUN");
  remove("WARREN_PASSWORD");  // the tunnel's business, not the program's
  out.push_back("WARREN_RUN=" + run);
  for (const auto* each : {&services, &variables}) {
    for (const std::string& given : *each) {
      remove(given.substr(0, given.find('=')));
      out.push_back(given);
    }
  }
  return out;
}

base::Result<LinkProfile> make_link_profile(const RunArguments& arguments) {
  const std::string& given = arguments.profile;
  if (is_openconnect_url(given) || given.starts_with(kTokenMark)) {
    return make_error(ErrorKind::Invalid, "warren up takes a profile, no token and no server",
                      "`warren join TOKEN` makes a profile; `warren run` takes the others, too");
  }
  LinkProfile out;
  WARREN_TRY_ASSIGN(const Found found, find_wireguard(given));
  const std::string& name = found.profile.name;
  WARREN_TRY(client::check_profile_name(name));
  out.run.profile = given;
  out.run.name = name;
  out.run.interface_name = name;
  WARREN_TRY(fill_from_found(arguments, found, out.run));
  WARREN_TRY_ASSIGN(out.table, hostlink::TableChoice::parse(found.conf.interface.table));
  return out;
}

base::Result<netns::RunConfig> make_run_config(const RunArguments& arguments) {
  netns::RunConfig config;
  config.profile = arguments.profile;
  WARREN_TRY_ASSIGN(config.runtime_dir, netns::runtime_directory());
  WARREN_TRY(check_options(arguments));
  WARREN_TRY_ASSIGN(const auto token, find_token(arguments.profile));
  WARREN_TRY(check_certificate_dir(arguments.certificate_dir, token.has_value()));
  if (token) {
    WARREN_TRY(fill_from_token(arguments, *token, config));
  } else if (is_openconnect_url(arguments.profile)) {
    WARREN_TRY(fill_from_server(arguments, config));
  } else {
    WARREN_TRY(fill_from_profile(arguments, config));
  }
  if (!arguments.name.empty()) config.name = arguments.name;
  WARREN_TRY(check_name(config.name));
  WARREN_TRY(replace_dns(arguments, config));
  WARREN_TRY(fill_exposures(arguments, config));
  WARREN_TRY(fill_surroundings(arguments, config));
  config.argv = arguments.command;
  config.environment = run_environment(config.name, config.services, arguments.variables);
  return config;
}

}  // namespace warren::app
