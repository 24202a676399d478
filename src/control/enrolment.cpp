// Enrolment: a stranger presents a secret and a public key.
//
// Whoever does not know a secret learns nothing: an unknown one and a malformed one get the same
// answer, and neither is recorded (strangers may not fill the disk). Everybody else is told exactly
// what is wrong, and it is recorded under the token's name.
//
// A token is bound to the first key that it admits. The same key may come again until the token
// expires and gets the same answer: a lost reply must not lock a member out.
#include <fmt/format.h>

#include <algorithm>

#include "control/certificates.hpp"
#include "control/limits.hpp"
#include "control/names.hpp"
#include "pki/wg_keys.hpp"

namespace warren::control {

namespace {

using base::ErrorKind;
using base::make_error;

constexpr std::size_t kSecretSize = 16;

base::Error not_admitted() {
  return make_error(ErrorKind::NotPermitted, "this token is not valid here, or used up",
                    "ask whoever runs the network for a new one");
}

base::Status check_clock(std::int64_t theirs, std::int64_t ours, base::Duration tolerance) {
  const std::int64_t allowed = std::chrono::duration_cast<std::chrono::seconds>(tolerance).count();
  // Subtracting unsigned: a member may claim any time.
  const bool ahead = theirs > ours;
  const std::uint64_t off =
      ahead ? static_cast<std::uint64_t>(theirs) - static_cast<std::uint64_t>(ours)
            : static_cast<std::uint64_t>(ours) - static_cast<std::uint64_t>(theirs);
  if (off <= static_cast<std::uint64_t>(allowed)) return {};
  const auto shown = static_cast<std::int64_t>(std::min<std::uint64_t>(off, INT64_MAX));
  return make_error(ErrorKind::Invalid,
                    fmt::format("the member's clock is {} {} the gateway's ({} there, {} here)",
                                rough_duration(shown), ahead ? "ahead of" : "behind",
                                utc_text(theirs), utc_text(ours)),
                    "set the clock (`timedatectl set-ntp true`) and join again");
}

std::string with_length(const std::optional<base::IpAddress>& address,
                        const std::optional<base::Prefix>& subnet) {
  if (!address || !subnet) return {};
  return base::Prefix{*address, subnet->length}.to_string();
}

std::string text_of(const std::optional<base::IpAddress>& address) {
  return address ? address->to_string() : std::string();
}

}  // namespace

const model::Token* Control::Impl::find_place(base::Bytes secret, const std::string& key) const {
  const auto presented = base::PublicKey::parse_base64(key);
  const model::Token* best = nullptr;
  // Every place is looked at: those of revoked peers are gone, the others stay.
  for (std::uint32_t place = 0; place < kMaxTokenUses; ++place) {
    const auto hash = pki::secret_hash(secret, place);
    const auto at = std::ranges::lower_bound(state.tokens, hash, {}, &model::Token::secret_hash);
    if (at == state.tokens.end() || at->secret_hash != hash) continue;
    if (presented && at->bound_to == *presented) return &*at;
    const bool better = best == nullptr || (best->bound_to && !at->bound_to);
    if (better) best = &*at;
  }
  return best;
}

base::Result<api::EnrolAnswer> Control::Impl::enrol(const api::EnrolRequest& request) {
  const auto secret = base::parse_base64url(request.secret);
  if (!secret || secret->size() != kSecretSize) return not_admitted();
  const model::Token* found = find_place(*secret, request.public_key);
  if (found == nullptr) return not_admitted();
  const model::Token token = *found;
  const auto peer = state.peers.find(token.peer);
  const auto network = state.networks.find(token.network);
  if (peer == state.peers.end() || network == state.networks.end()) return not_admitted();
  const std::string target = network->second.network.name + "/" + peer->second.name;
  const Request what{"token of " + target, "peer.enrol", target};
  return audited(what, "enrol " + peer->second.name,
                 [&] { return enrol_peer(what, request, token); });
}

base::Result<api::EnrolAnswer> Control::Impl::enrol_peer(const Request& request,
                                                         const api::EnrolRequest& wanted,
                                                         const model::Token& token) {
  const base::WallTime now = deps.clock.wall();
  const model::Network& network = state.networks.at(token.network).network;
  if (now >= token.expires) {
    return make_error(ErrorKind::Expired,
                      fmt::format("the token expired {} ago, at {}",
                                  rough_duration(now.seconds() - token.expires.seconds()),
                                  utc_text(token.expires.seconds())),
                      "ask whoever runs the network for a new one");
  }
  WARREN_TRY(check_clock(wanted.time, now.seconds(), settings.clock_tolerance));
  const auto key = base::PublicKey::parse_base64(wanted.public_key);
  if (!key) {
    return make_error(ErrorKind::Invalid, "the public key is not 32 bytes in base64",
                      "make a key with `warren join` or `wg genkey | wg pubkey`");
  }
  if (token.bound_to && *token.bound_to != *key) {
    return make_error(ErrorKind::Expired, "the token was used already, with another key",
                      "ask whoever runs the network for a new one; if it was not you who used it, "
                      "tell them");
  }
  WARREN_TRY(check_key(network, state.peers.at(token.peer), *key));
  const bool ephemeral = wanted.ephemeral.value_or(false);
  std::optional<Certificates::Signed> certificate;
  std::vector<store::Change> more;
  if (wanted.certificate_request) {
    WARREN_TRY_ASSIGN(certificate,
                      certificates->sign_for_member(network, state.peers.at(token.peer),
                                                    *wanted.certificate_request, ephemeral));
  }
  if (certificate) more.emplace_back(store::PutCertificate{certificate->record});
  WARREN_TRY(admit(request, token, *key, ephemeral, more));
  api::MemberState told = told_to(network, state.peers.at(token.peer));
  told.profile.revision = std::move(told.revision);
  if (certificate) told.profile.certificate = std::move(certificate->pem);
  return std::move(told.profile);
}

base::Status Control::Impl::check_key(const model::Network& network, const model::Peer& peer,
                                      const base::PublicKey& key) const {
  constexpr std::string_view kNewKey = "make a new key and try again";
  if (!pki::is_usable_public_key(key)) {
    return make_error(ErrorKind::Invalid,
                      "the public key is not a usable one (its point is of low order)",
                      std::string(kNewKey));
  }
  if (key == network.gateway_key) {
    return make_error(ErrorKind::Conflict, "this public key is the gateway's own",
                      std::string(kNewKey));
  }
  const auto refused = std::ranges::lower_bound(
      state.refused, store::RefusedKey{.network = network.id, .key = key, .since = {INT64_MIN}});
  if (refused != state.refused.end() && refused->network == network.id && refused->key == key) {
    return make_error(ErrorKind::NotPermitted, "this public key was revoked and stays refused",
                      std::string(kNewKey));
  }
  if (const auto everywhere = state.refused_everywhere.find(key);
      everywhere != state.refused_everywhere.end()) {
    return make_error(ErrorKind::NotPermitted,
                      fmt::format("this public key was revoked everywhere on this gateway at {}{}",
                                  utc_text(everywhere->second.seconds()), owner_of_refused(key)),
                      std::string(kNewKey));
  }
  const auto known = members_by_key.find({network.id, key});
  const auto other =
      known == members_by_key.end() ? state.peers.end() : state.peers.find(known->second);
  const bool taken = other != state.peers.end() && other->first != peer.id &&
                     other->second.public_key == key &&
                     other->second.state != model::PeerState::Revoked;
  if (!taken) return {};
  return make_error(ErrorKind::Conflict,
                    fmt::format("this public key belongs to {} already", other->second.name),
                    std::string(kNewKey));
}

base::Status Control::Impl::admit(const Request& request, const model::Token& token,
                                  const base::PublicKey& key, bool ephemeral,
                                  const std::vector<store::Change>& more) {
  const model::Peer before = state.peers.at(token.peer);
  if (before.state == model::PeerState::Enrolled) {
    if (!more.empty()) WARREN_TRY(commit(more, request));
    renew_lease(before);
    return configure(before);
  }
  model::Peer peer = before;
  peer.state = model::PeerState::Enrolled;
  peer.public_key = key;
  peer.enrolled = deps.clock.wall();
  if (const auto role = model::find_role(state.networks.at(peer.network).network.roles, peer.role);
      role && role->membership_s != 0 && peer.expires.ns == 0) {
    peer.expires = peer.enrolled + std::chrono::seconds(role->membership_s);
  }
  peer.lease_s = !ephemeral ? 0 : before.lease_s != 0 ? before.lease_s : kLease_s;
  renew_lease(peer);
  model::Token bound = token;
  bound.bound_to = key;
  std::vector<store::Change> changes{store::PutPeer{peer}, store::PutToken{bound}};
  std::vector<store::Change> inverse{store::PutPeer{before}, store::PutToken{token}};
  for (const store::Change& change : more) {
    changes.push_back(change);
    // Nobody has seen the certificate yet.
    if (const auto* put = std::get_if<store::PutCertificate>(&change)) {
      inverse.emplace_back(store::DeleteCertificate{put->certificate.serial});
    }
  }
  return grant(request, peer, changes, inverse);
}

base::Status Control::Impl::configure(const model::Peer& peer) {
  WARREN_TRY(change_membership(peer, true).within("let the policy know it"));
  WARREN_TRY(change_attachment(peer, true).within("answer for it on the segment"));
  if (state.networks.at(peer.network).network.stopped) return {};  // when it starts
  return deps.engines.add_peer(peer.network, engine_peer(peer)).within("configure the engine");
}

base::Status Control::Impl::grant(const Request& request, const model::Peer& peer,
                                  const std::vector<store::Change>& changes,
                                  const std::vector<store::Change>& inverse) {
  std::vector<base::IpAddress> addresses;
  for (const auto& address : {peer.address4, peer.address6}) {
    if (address) addresses.push_back(*address);
  }
  WARREN_TRY(check_unused(state.networks.at(peer.network).network, addresses,
                          "let that host have another address, or revoke the member and add it "
                          "again"));
  WARREN_TRY(commit(changes, request));
  base::Status added = configure(peer);
  if (added) return {};
  base::Error reason = std::move(added).error();

  const Request undo{request.actor, request.action + ".undo", request.target};
  if (const auto undone = commit(inverse, undo); !undone) {
    // The member stays admitted in the state; asking again with the same key completes it.
    reason.message += "; it could not be undone: " + undone.error().message;
    return reason;
  }
  base::Status out = change_membership(peer, false);
  if (out) out = change_attachment(peer, false);
  if (!out) {
    host_to_reconcile = true;
    host_problem = out.error().message;
  }
  if (const auto gone = deps.engines.remove_peer(peer.network, *peer.public_key);
      !gone && gone.error().kind != ErrorKind::NotFound) {
    keys_to_remove.emplace(peer.network, *peer.public_key);
  }
  return reason;
}

api::EnrolAnswer Control::Impl::enrol_answer(const model::Network& network,
                                             const model::Peer& peer) const {
  api::EnrolAnswer answer;
  answer.network = network.name;
  answer.name = peer.name;
  answer.address = with_length(peer.address4, network.subnet4);
  answer.address6 = with_length(peer.address6, network.subnet6);
  answer.gateway = text_of(network.gateway4());
  answer.gateway6 = text_of(network.gateway6());
  answer.gateway_key = network.gateway_key.base64();
  answer.endpoint = host_port(network.endpoint_host, network.port);
  if (network.subnet4) answer.routes.push_back(network.subnet4->to_string());
  if (network.subnet6) answer.routes.push_back(network.subnet6->to_string());
  if (network.nat && network.subnet4) answer.routes.emplace_back("0.0.0.0/0");
  if (network.nat && network.subnet6) answer.routes.emplace_back("::/0");
  fill_dns(network, answer);
  if (auto variables = variables_of(network); !variables.empty()) {
    answer.environment = std::move(variables);
  }
  answer.mtu = network.mtu;
  if (peer.is_ephemeral()) answer.lease_s = peer.lease_s;
  answer.authorities = certificates->authorities_pem(network.id);
  return answer;
}

}  // namespace warren::control
