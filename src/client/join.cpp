// Theory of operation
//
// What can be lost is the answer: the gateway then has bound the token to a key. So the key is on
// disk before it is shown to anybody, in a file named after the token (a hash of its secret, so
// that repeating `join TOKEN` finds it again, whatever profile name is asked for). The file goes
// when the profile is written or when the gateway says no for good.
//
//   pending file ─ enrol ─┬─ refused ───────────────→ file removed, error
//                         ├─ lost, unreachable ─────→ file stays, error says: try again
//                         └─ answer ─ write profile ─┬─ name taken ─→ file stays, error
//                                                    └─ written ───→ file removed
//
// The gateway's answer ends in a conf that wg-quick reads as root, where a line break in a value
// could become a PostUp command: every value is parsed into its type before it is written.
#include "client/join.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include <unistd.h>

#include "api/json.hpp"
#include "client/answer.hpp"
#include "client/http.hpp"
#include "client/limits.hpp"
#include "client/patience.hpp"
#include "crypto/crypto.hpp"
#include "os/clock.hpp"
#include "os/file.hpp"
#include "pki/authority.hpp"

namespace warren::client {
namespace {

/// Tells tokens apart and gives nothing of the secret away.
std::string token_id(const model::TokenText& token) {
  const crypto::Hash hash = crypto::sha256(token.secret);
  return base::to_hex(base::Bytes(hash).first(8));
}

base::Error malformed(const std::string& what) {
  return base::make_error(base::ErrorKind::Invalid, "the gateway's answer has a malformed " + what,
                          "use the same version of warren on both sides");
}

/// A host name or address literal: nothing that could end a line or a value.
bool is_plain_host(std::string_view host) {
  return !host.empty() && host.size() <= 255 && std::ranges::all_of(host, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == ':' || c == '-' || c == '_' || c == '%';
  });
}

/// A search domain; what could be an address that is mistyped is none.
bool is_plain_domain(std::string_view name) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return is_plain_host(name) && name.find_first_of(":%") == std::string_view::npos &&
         name.front() != '-' && name.front() != '.' && is_letter(name.back());
}

base::Status fill_interface(const api::EnrolAnswer& answer, Profile& profile) {
  for (const std::string& text : {answer.address, answer.address6}) {
    if (text.empty()) continue;
    const auto address = base::Prefix::parse(text);
    if (!address) return malformed("address");
    profile.conf.interface.addresses.push_back(*address);
  }
  if (profile.conf.interface.addresses.empty()) return malformed("address");
  for (const std::string& text : answer.dns) {
    if (const auto server = base::IpAddress::parse(text)) {
      profile.conf.interface.dns_servers.push_back(*server);
    } else if (is_plain_domain(text)) {
      profile.conf.interface.dns_search.push_back(text);
    } else {
      return malformed("name server");
    }
  }
  if (answer.mtu < 576) return malformed("MTU");
  profile.conf.interface.mtu = answer.mtu;
  return {};
}

base::Status fill_peer(const api::EnrolAnswer& answer, Profile& profile) {
  model::ConfPeer gateway;
  const auto key = base::PublicKey::parse_base64(answer.gateway_key);
  if (!key || key->is_zero()) return malformed("gateway key");
  gateway.public_key = *key;
  gateway.endpoint = base::HostPort::parse(answer.endpoint);
  if (!gateway.endpoint || gateway.endpoint->port == 0 || !is_plain_host(gateway.endpoint->host)) {
    return malformed("endpoint");
  }
  for (const std::string& text : answer.routes) {
    const auto route = base::Prefix::parse(text);
    if (!route) return malformed("route");
    gateway.allowed_ips.push_back(route->network());
  }
  gateway.persistent_keepalive_s = kKeepaliveSeconds;
  profile.conf.peers.push_back(std::move(gateway));
  return {};
}

base::Status fill_note(const api::EnrolAnswer& answer, const Origin& origin, ProfileNote& note) {
  if (!model::check_network_name(answer.network)) return malformed("network name");
  if (!model::check_peer_name(answer.name)) return malformed("peer name");
  for (const std::string& text : {answer.gateway, answer.gateway6}) {
    if (text.empty()) continue;
    const auto address = base::IpAddress::parse(text);
    if (!address) return malformed("gateway address");
    note.gateways.push_back(*address);
  }
  note.network = answer.network;
  note.peer = answer.name;
  note.endpoint = answer.endpoint;
  note.enrol_at = origin.enrol_at;
  note.pin = origin.pin;
  note.joined_with = origin.joined_with;
  note.revision = answer.revision.value_or("");
  for (const api::EnvironmentVariable& variable :
       answer.environment.value_or(std::vector<api::EnvironmentVariable>())) {
    const bool good = model::check_variable_name(variable.name) &&
                      model::is_variable_value(variable.value) &&
                      note.environment.size() < model::kMaxVariables;
    if (good) note.environment.push_back({variable.name, variable.value});
  }
  return {};
}

// --- the pending key ---

std::string pending_path(const JoinOptions& options) {
  return options.directory + "/join-" + token_id(options.token) + ".conf.pending";
}

base::Result<crypto::PrivateKey> pending_key(const std::string& path, base::RandomSource& random) {
  auto text = os::read_file(path, model::kMaxConfBytes);
  if (text) {
    const auto conf = model::WgConf::parse(*text, path);
    model::wipe_text(*text);
    if (!conf) return base::Error(conf.error());
    return crypto::PrivateKey(conf->interface.private_key.view());
  }
  if (text.error().kind != base::ErrorKind::NotFound) return std::move(text).error();
  crypto::PrivateKey key = crypto::generate_private_key(random);
  model::WgConf conf;
  conf.interface.private_key = model::ConfKey(key.view());
  std::string content = conf.write();
  const base::Status stored = os::write_file_atomically(path, content, 0600);
  model::wipe_text(content);
  if (!stored) return base::Error(stored.error()).within("store the new key");
  return key;
}

/// Kinds with which a gateway says no for good. A wrong clock (Invalid) or a busy gateway is not.
bool is_final(base::ErrorKind kind) {
  return kind == base::ErrorKind::NotFound || kind == base::ErrorKind::Expired ||
         kind == base::ErrorKind::NotPermitted || kind == base::ErrorKind::Conflict;
}

base::Status check_free(const JoinOptions& options) {
  if (!options.profile) return {};
  WARREN_TRY(check_profile_name(*options.profile));
  WARREN_TRY(check_no_certificate(certificate_files(options.directory, *options.profile)));
  const ProfilePaths paths = profile_paths(options.directory, *options.profile);
  if (::access(paths.conf.c_str(), F_OK) == 0 || ::access(paths.note.c_str(), F_OK) == 0) {
    return base::make_error(
        base::ErrorKind::Conflict,
        "a profile named '" + *options.profile + "' exists: " + paths.conf,
        "choose another name with --profile, or remove it: warren leave " + *options.profile);
  }
  return {};
}

/// Conflict when a profile here came from this token: the gateway would refuse it as used up.
base::Status check_not_joined(const JoinOptions& options) {
  WARREN_TRY_ASSIGN(const std::vector<std::string> names, list_profiles(options.directory));
  for (const std::string& name : names) {
    const auto note = read_note(options.directory, name);
    if (!note || !*note || (*note)->joined_with != token_id(options.token)) continue;
    return base::make_error(
        base::ErrorKind::Conflict, "you joined already: profile " + name,
        "use it: warren run " + name + " -- COMMAND; another machine needs a token of its own");
  }
  return {};
}

/// As `enrol`; `refused` tells a gateway's own final no from a failure on the way (where somebody
/// in between must not be able to make us forget the key). `pause`: as of wanted_pause().
base::Result<api::EnrolAnswer> ask_gateway(const model::TokenText& token,
                                           const base::PublicKey& key, base::WallTime now,
                                           bool ephemeral,
                                           const std::optional<std::string>& request_pem,
                                           bool& refused, std::optional<base::Duration>& pause) {
  refused = false;
  pause.reset();
  const auto at = base::HostPort::parse(token.enrol_at);
  if (!at || at->port == 0) {
    return base::make_error(base::ErrorKind::Invalid, "the token names no enrolment address",
                            "ask for a new token");
  }
  const HttpRequest request{.method = "POST",
                            .target = "/v1/enrol",
                            .body = api::encode(api::EnrolRequest{
                                .secret = base::to_base64url(token.secret),
                                .public_key = key.base64(),
                                .time = now.seconds(),
                                .ephemeral = ephemeral ? std::optional(true) : std::nullopt,
                                .certificate_request = request_pem})};
  const PinnedGateway gateway{.at = *at, .pin = token.pin};
  bool sent = false;
  base::Result<HttpAnswer> answer = exchange_pinned(gateway, request, sent);
  if (!answer && answer.error().kind == base::ErrorKind::Unavailable && sent) {
    answer = exchange_pinned(gateway, request, sent);
  }
  pause = wanted_pause(answer);
  if (!answer) return std::move(answer).error();
  auto document = read_answer<api::EnrolAnswer>(*answer, "the gateway");
  refused = !document && is_final(document.error().kind);
  return document;
}

struct Ask {
  const model::TokenText& token;
  const crypto::PrivateKey& key;
  base::WallTime now;  ///< when it begins
  bool ephemeral = false;
  std::optional<std::string> certificate_request = {};
};

/// As ask_gateway, again and again while the gateway has too much to do.
base::Result<api::EnrolAnswer> ask_patiently(const Ask& ask, base::RandomSource& random,
                                             const std::function<void()>& busy, bool& refused) {
  const base::Instant began = os::now();
  Patience patience(began, kBusyFor);
  bool told = false;
  while (true) {
    const base::Duration passed = os::now() - began;
    std::optional<base::Duration> wanted;
    auto answer = ask_gateway(ask.token, crypto::public_key(ask.key), ask.now + passed,
                              ask.ephemeral, ask.certificate_request, refused, wanted);
    if (!wanted) return answer;
    const auto pause = patience.next(*wanted, os::now(), random);
    if (!pause) {
      const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(kBusyFor).count();
      base::Error error = std::move(answer).error();
      error.hint = "it was asked again for " + std::to_string(minutes) +
                   " minutes; start fewer at once, or try later: the token stays valid";
      return std::move(error).within("the gateway has too much to do");
    }
    if (busy && !told && passed + *pause > kSilentWait) {
      told = true;
      busy();
    }
    rest(*pause);
  }
}

}  // namespace

base::Result<api::EnrolAnswer> enrol(const model::TokenText& token, const base::PublicKey& key,
                                     base::WallTime now, bool ephemeral) {
  bool refused = false;
  std::optional<base::Duration> pause;
  return ask_gateway(token, key, now, ephemeral, std::nullopt, refused, pause);
}

Origin origin_of(const model::TokenText& token) {
  return {.enrol_at = token.enrol_at, .pin = token.pin, .joined_with = token_id(token)};
}

base::Result<Profile> make_profile(const api::EnrolAnswer& answer, const Origin& origin) {
  Profile profile;
  WARREN_TRY(fill_interface(answer, profile));
  WARREN_TRY(fill_peer(answer, profile));
  WARREN_TRY(fill_note(answer, origin, profile.note));
  return profile;
}

base::Result<RunMember> join_for_run(const model::TokenText& token, base::RandomSource& random,
                                     base::WallTime now, const std::function<void()>& busy,
                                     std::optional<std::string> request) {
  const crypto::PrivateKey key = crypto::generate_private_key(random);
  bool refused = false;
  const Ask ask{.token = token,
                .key = key,
                .now = now,
                .ephemeral = true,
                .certificate_request = std::move(request)};
  WARREN_TRY_ASSIGN(api::EnrolAnswer answer, ask_patiently(ask, random, busy, refused));
  WARREN_TRY_ASSIGN(Profile profile, make_profile(answer, origin_of(token)));
  profile.conf.interface.private_key = model::ConfKey(key.view());
  WARREN_TRY_ASSIGN(Membership membership, make_membership(profile.conf, profile.note));
  return RunMember{.profile = std::move(profile),
                   .membership = std::move(membership),
                   .answer = std::move(answer)};
}

base::Result<Joined> join(const JoinOptions& options, base::RandomSource& random,
                          base::WallTime now) {
  WARREN_TRY(check_not_joined(options));
  WARREN_TRY(check_free(options));
  WARREN_TRY(os::make_directories(options.directory, 0700));
  const std::string pending = pending_path(options);
  WARREN_TRY_ASSIGN(const crypto::PrivateKey key, pending_key(pending, random));
  WARREN_TRY_ASSIGN(pki::RequestedCertificate wanted, pki::create_request("member"));
  bool refused = false;
  base::Result<api::EnrolAnswer> answer = ask_patiently({.token = options.token,
                                                         .key = key,
                                                         .now = now,
                                                         .ephemeral = false,
                                                         .certificate_request = wanted.request_pem},
                                                        random, nullptr, refused);
  if (!answer) {
    if (refused) ::unlink(pending.c_str());
    return std::move(answer).error();
  }
  WARREN_TRY_ASSIGN(Profile profile, make_profile(*answer, origin_of(options.token)));
  profile.conf.interface.private_key = model::ConfKey(key.view());
  const std::string name = options.profile.value_or(answer->network);
  WARREN_TRY(check_no_certificate(certificate_files(options.directory, name)));
  WARREN_TRY(write_profile(options.directory, name, profile.conf, profile.note));
  ::unlink(pending.c_str());
  const CertificateFiles files = certificate_files(options.directory, name);
  const bool kept =
      answer->certificate && keep_new_certificate(files, wanted.private_key_pem, *answer);
  model::wipe_text(wanted.private_key_pem);
  return Joined{.profile = name,
                .conf_path = profile_paths(options.directory, name).conf,
                .answer = std::move(*answer),
                .certificate = kept ? std::optional(files) : std::nullopt};
}

}  // namespace warren::client
