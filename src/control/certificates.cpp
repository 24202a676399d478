// Certificates of members and of servers: signed, renewed, revoked, looked at.
//
// A certificate says who somebody is by name and role, so it ends when that is no longer true: with
// the membership, whatever ends it, and with the name. Both are denials: revoked in the transaction
// that makes them so, and on the list before the answer is given. A certificate that was renewed is
// not revoked; programs may have it loaded, and it ends by itself.
//
// Members decide by themselves when they need another one, by what lies on their disk; here it is
// only decided who gets one, and how often.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "control/certificates.hpp"
#include "control/limits.hpp"
#include "control/names.hpp"

namespace warren::control {

namespace {

using base::ErrorKind;
using base::make_error;

constexpr std::string_view kServerRole = "server";  ///< that certificates of servers say

api::CertificateView view_of(const store::IssuedCertificate& certificate) {
  return {.serial = certificate.serial,
          .authority = certificate.authority,
          .name = certificate.name,
          .role = certificate.role,
          .of_peer = certificate.peer.has_value(),
          .issued = certificate.issued.seconds(),
          .not_after = certificate.not_after.seconds(),
          .revoked = certificate.revoked.seconds()};
}

base::Status check_server_names(const api::CertificateSign& wanted) {
  if (wanted.dns_names.empty() && wanted.addresses.empty()) {
    return make_error(ErrorKind::Invalid, "a server's certificate needs a name or an address",
                      "give --dns NAME or --ip ADDRESS, as its clients call it");
  }
  if (wanted.dns_names.size() + wanted.addresses.size() > kMaxServerNames) {
    return make_error(ErrorKind::Invalid,
                      fmt::format("a certificate has at most {} names", kMaxServerNames));
  }
  for (const std::string& address : wanted.addresses) {
    if (base::IpAddress::parse(address)) continue;
    return make_error(ErrorKind::Invalid, "'" + one_line(address, 80) + "' is no address",
                      "write it as 10.20.0.7 or fd00::7");
  }
  return {};
}

}  // namespace

// --- signing ---

base::Result<Control::Impl::Certificates::Signed> Control::Impl::Certificates::sign(
    const model::Network& network, const std::string& request_pem, const pki::Holder& holder,
    std::optional<model::PeerId> peer, int days) {
  const base::WallTime now = deps.clock.wall();
  const store::StoredAuthority* authority = current_authority(network.id);
  if (authority == nullptr) {
    return make_error(ErrorKind::Failed,
                      fmt::format("network {} has no authority yet", network.name),
                      "start the daemon again; its log says why it could not make one");
  }
  WARREN_TRY_ASSIGN(const pki::Issued issued,
                    pki::sign_request({.certificate_pem = authority->certificate_pem,
                                       .private_key_pem = authority->private_key_pem,
                                       .chain_pem = {}},
                                      request_pem, holder, deps.random, now, days));
  if (issued.not_after <= now) {
    return make_error(ErrorKind::Expired,
                      fmt::format("the authority of network {} is over", network.name),
                      "warren ca rotate " + network.name);
  }
  return Signed{.pem = issued.certificate_pem,
                .record = {.serial = issued.serial,
                           .network = network.id,
                           .authority = authority->number,
                           .peer = peer,
                           .name = holder.name,
                           .role = holder.role,
                           .is_server = holder.use == pki::CertificateUse::Server,
                           .issued = now,
                           .not_after = issued.not_after}};
}

base::Result<std::optional<Control::Impl::Certificates::Signed>>
Control::Impl::Certificates::sign_for_member(const model::Network& network, const model::Peer& peer,
                                             const std::string& request_pem, bool ephemeral) {
  const base::WallTime now = deps.clock.wall();
  const CertificateIndex::Serials& known = index.of_peer(peer.id);
  const auto today = std::ranges::count_if(known, [&](const std::string& serial) {
    return now - state.certificates.at(serial).issued < std::chrono::hours(24);
  });
  std::optional<Signed> made;
  if (static_cast<std::size_t>(today) >= kCertificatesEachDay) {
    impl.log(
        base::LogLevel::Warning,
        fmt::format("network={} peer={} asks for too many certificates", network.name, peer.name));
    return made;
  }
  auto done = sign(network, request_pem,
                   {.network = network.name,
                    .name = peer.name,
                    .role = peer.role,
                    .use = pki::CertificateUse::Client,
                    .dns_names = {},
                    .addresses = {}},
                   peer.id, ephemeral ? kEphemeralCertificateDays : kMemberCertificateDays);
  if (!done && done.error().kind == ErrorKind::Invalid) return std::move(done).error();
  if (!done) {
    // What the gateway cannot sign keeps nobody out of the tunnel.
    impl.log(base::LogLevel::Error, fmt::format("network={} peer={} gets no certificate: {}",
                                                network.name, peer.name, done.error().message));
    return made;
  }
  made = std::move(*done);
  return made;
}

base::Result<std::string> Control::Impl::Certificates::issue(const Member& member,
                                                             const std::string& request_pem) {
  const auto found = state.peers.find(member.peer);
  const auto network = state.networks.find(member.network);
  if (found == state.peers.end() || network == state.networks.end() ||
      found->second.state != model::PeerState::Enrolled) {
    return std::string();  // member_state says why
  }
  const model::Peer& peer = found->second;
  const std::string target = network->second.network.name + "/" + peer.name;
  const Request request{"member " + peer.name, "peer.certificate", target};
  return impl.audited(
      request, "sign the certificate of " + peer.name, [&]() -> base::Result<std::string> {
        WARREN_TRY_ASSIGN(const auto made, sign_for_member(network->second.network, peer,
                                                           request_pem, peer.is_ephemeral()));
        if (!made) return std::string();
        WARREN_TRY(impl.commit({store::PutCertificate{made->record}}, request));
        return made->pem;
      });
}

base::Result<api::SignedCertificate> Control::Impl::Certificates::sign_by_hand(
    const Request& request, const std::string& name, const api::CertificateSign& wanted) {
  WARREN_TRY_ASSIGN(const model::Network network, impl.find_network(name));
  const bool server = wanted.server.value_or(false);
  if (!server && !(wanted.dns_names.empty() && wanted.addresses.empty())) {
    return make_error(ErrorKind::Invalid, "names and addresses are for a server's certificate",
                      "add --server, or leave --dns and --ip out");
  }
  if (!server && !wanted.peer) {
    return make_error(ErrorKind::Invalid, "it is not said whose certificate this is",
                      "give --peer NAME for a member, or --server with --dns or --ip for a server");
  }
  pki::Holder holder{.network = network.name, .name = {}, .role = std::string(kServerRole)};
  std::optional<model::PeerId> of;
  if (wanted.peer) {
    const model::Peer* peer = impl.current_peer(network.id, *wanted.peer);
    if (peer == nullptr) return impl.unknown_peer(network, *wanted.peer);
    of = peer->id;
    holder.name = peer->name;
    holder.role = peer->role;
  }
  if (server) {
    WARREN_TRY(check_server_names(wanted));
    holder.use = pki::CertificateUse::Server;
    holder.role = kServerRole;
    holder.name = wanted.dns_names.empty() ? wanted.addresses.front() : wanted.dns_names.front();
    if (holder.name.find(':') != std::string::npos) holder.name = "server";  // an IPv6 address
    holder.dns_names = wanted.dns_names;
    holder.addresses = wanted.addresses;
  }
  const std::uint32_t days =
      wanted.days.value_or(server ? kServerCertificateDays : kMemberCertificateDays);
  if (days == 0 || days > kAuthorityDays) {
    return make_error(ErrorKind::Invalid, fmt::format("{} days cannot be", days),
                      fmt::format("give a number from 1 to {}", kAuthorityDays));
  }
  WARREN_TRY_ASSIGN(const Signed made,
                    sign(network, wanted.certificate_request, holder, of, static_cast<int>(days)));
  WARREN_TRY(impl.commit({store::PutCertificate{made.record}}, request));
  return api::SignedCertificate{.network = network.name,
                                .name = holder.name,
                                .serial = made.record.serial,
                                .not_after = made.record.not_after.seconds(),
                                .certificate = made.pem,
                                .authorities = authorities_pem(network.id)};
}

base::Result<api::CertificateList> Control::Impl::Certificates::list(
    const std::string& name) const {
  WARREN_TRY_ASSIGN(const model::Network network, impl.find_network(name));
  api::CertificateList list{.network = network.name, .certificates = {}};
  for (const store::StoredAuthority* authority : authorities_of(network.id)) {
    for (const std::string& serial : index.of_authority({network.id, authority->number})) {
      list.certificates.push_back(view_of(state.certificates.at(serial)));
    }
  }
  std::ranges::sort(list.certificates, {},
                    [](const auto& one) { return std::pair(one.name, one.issued); });
  return list;
}

// --- revoking ---

void Control::Impl::Certificates::deny(const std::vector<std::string>& serials,
                                       base::WallTime since,
                                       std::vector<store::Change>& changes) const {
  std::set<AuthorityKey> touched;
  for (const std::string& serial : serials) {
    store::IssuedCertificate certificate = state.certificates.at(serial);
    certificate.revoked = since;
    touched.emplace(certificate.network, certificate.authority);
    changes.emplace_back(store::PutCertificate{std::move(certificate)});
  }
  for (const AuthorityKey& key : touched) {
    store::StoredAuthority authority = state.authorities.at(key);
    authority.list_number = next_number(authority.list_number);
    changes.emplace_back(store::PutAuthority{std::move(authority)});
  }
}

void Control::Impl::Certificates::deny_all(model::PeerId peer, base::WallTime since,
                                           std::vector<store::Change>& changes) const {
  std::vector<std::string> serials;
  for (const std::string& serial : index.of_peer(peer)) {
    if (is_good(state.certificates.at(serial))) serials.push_back(serial);
  }
  deny(serials, since, changes);
}

void Control::Impl::Certificates::deny_name(model::PeerId peer,
                                            std::vector<store::Change>& changes) const {
  std::vector<std::string> serials;
  for (const std::string& serial : index.of_peer(peer)) {
    const store::IssuedCertificate& one = state.certificates.at(serial);
    if (is_good(one) && !one.is_server) serials.push_back(serial);
  }
  deny(serials, deps.clock.wall(), changes);
}

base::Result<api::CertificateView> Control::Impl::Certificates::revoke(const Request& request,
                                                                       const std::string& name,
                                                                       const std::string& serial) {
  WARREN_TRY_ASSIGN(const model::Network network, impl.find_network(name));
  const auto found = state.certificates.find(serial);
  if (found == state.certificates.end() || found->second.network != network.id) {
    return make_error(
        ErrorKind::NotFound,
        fmt::format("no certificate {} is known in network {}", one_line(serial, 80), network.name),
        "warren ca list " + network.name);
  }
  if (found->second.revoked.ns != 0) {
    return make_error(ErrorKind::Conflict,
                      "it was revoked already, at " + utc_text(found->second.revoked.seconds()));
  }
  std::vector<store::Change> changes;
  deny({serial}, deps.clock.wall(), changes);
  WARREN_TRY(impl.commit(changes, request));
  WARREN_TRY(sign_lists(network.id));
  return view_of(state.certificates.at(serial));
}

}  // namespace warren::control
