// Whether the certificates are what they should be: the authorities and their keys, the lists that
// are served, the records of what was signed, each as it is in memory and as it is in the store.
// The store is read again for this: somebody may have changed it behind the daemon's back, and the
// next start would believe it.
//
// Members' certificates themselves are on the members' disks; here is the record of each, and what
// it says must be true of somebody: the name, the role, the authority, until when.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "control/certificates.hpp"

namespace warren::control {

namespace {

/// What of an authority is not as it should be: "its private key, its number of lists".
std::string unlike(const store::StoredAuthority& is, const store::StoredAuthority& should) {
  std::string what;
  const auto compare = [&](const char* name, const auto& one, const auto& other) {
    if (one == other) return;
    what += (what.empty() ? "its " : ", its ") + std::string(name);
  };
  compare("certificate", is.certificate_pem, should.certificate_pem);
  compare("private key", is.private_key_pem, should.private_key_pem);
  compare("chain", is.chain_pem, should.chain_pem);
  compare("part in the roll-over", is.retiring, should.retiring);
  compare("origin", is.brought, should.brought);
  compare("list's number", is.list_number, should.list_number);
  compare("time", is.created, should.created);
  return what;
}

std::string unlike(const store::IssuedCertificate& is, const store::IssuedCertificate& should) {
  if (is.revoked != should.revoked) {
    return is.revoked.ns == 0 ? "it is revoked, and not there" : "it is not revoked so";
  }
  return fmt::format("{} as {} until {}", is.name, is.role, is.not_after.seconds());
}

std::string unlike(const store::LastList&, const store::LastList&) { return "its content"; }

std::string name_of(const store::StoredAuthority& authority) {
  return fmt::format("authority {}", authority.number);
}
std::string name_of(const store::IssuedCertificate& certificate) {
  return fmt::format("certificate {} of {}", certificate.serial, certificate.name);
}
std::string name_of(const store::LastList& list) {
  return "the last list of authority " + list.authority;
}

/// Tells of each record of a map of the state that the store has not, or has otherwise.
template <typename Map, typename Tell>
void compare(const Map& kept, const Map& state, Tell tell) {
  for (const auto& [key, should] : state) {
    const auto is = kept.find(key);
    if (is == kept.end()) {
      tell(should, "missing in the database: " + name_of(should));
    } else if (is->second != should) {
      tell(should, fmt::format("different in the database: {}: {}", name_of(should),
                               unlike(is->second, should)));
    }
  }
  for (const auto& [key, is] : kept) {
    if (!state.contains(key)) tell(is, "unexpected in the database: " + name_of(is));
  }
}

/// The same as changes: `put` and `remove` make one of a record.
template <typename Map, typename Put, typename Remove>
void restore(const Map& kept, const Map& state, Put put, Remove remove) {
  for (const auto& [key, is] : kept) {
    if (!state.contains(key)) remove(is);
  }
  for (const auto& [key, should] : state) {
    const auto is = kept.find(key);
    if (is == kept.end() || is->second != should) put(should);
  }
}

}  // namespace

std::vector<std::string> Control::Impl::Certificates::verify_list(
    const store::StoredAuthority& authority) const {
  const auto list = lists.find(key_of(authority));
  if (list == lists.end() || list->second.number == 0) return {};  // nobody was told anything yet
  const std::string who = fmt::format("different: the list of authority {}", authority.number);
  const auto facts = pki::read_revocations(list->second.list.pem, authority.certificate_pem);
  if (!facts) return {who + ": " + facts.error().message};
  std::vector<std::string> differences;
  std::vector<std::string> declared;
  for (const auto& [serial, since] : index.revoked(list->first)) declared.push_back(serial);
  if (facts->serials != declared) {
    differences.push_back(fmt::format("{} names {} certificates, {} are revoked", who,
                                      facts->serials.size(), declared.size()));
  }
  if (facts->number != authority.list_number) {
    differences.push_back(
        fmt::format("{} has number {}, not {}", who, facts->number, authority.list_number));
  }
  if (facts->next_update <= deps.clock.wall()) differences.push_back(who + " is over");
  return differences;
}

std::vector<std::string> Control::Impl::Certificates::verify_authority(
    const store::StoredAuthority& authority) const {
  const auto loaded = pki::load_authority(authority.certificate_pem + authority.chain_pem,
                                          authority.private_key_pem, deps.clock.wall());
  if (!loaded) {
    return {fmt::format("different: authority {}: {}", authority.number, loaded.error().message)};
  }
  std::vector<std::string> differences = verify_list(authority);
  const auto facts = pki::certificate_facts(authority.certificate_pem);
  for (const std::string& serial : index.of_authority(key_of(authority))) {
    const store::IssuedCertificate& one = state.certificates.at(serial);
    if (!facts || one.not_after <= facts->not_after) continue;
    differences.push_back(
        fmt::format("different: certificate {} of {} would outlive authority {}, which signed it",
                    serial, one.name, authority.number));
  }
  return differences;
}

store::State Control::Impl::Certificates::identities_of(model::NetworkId network) const {
  store::State found;
  for (const store::StoredAuthority* authority : authorities_of(network)) {
    found.authorities.emplace(key_of(*authority), *authority);
    for (const std::string& serial : index.of_authority(key_of(*authority))) {
      found.certificates.emplace(serial, state.certificates.at(serial));
    }
  }
  found.last_lists = state.last_lists;
  return found;
}

void Control::Impl::Certificates::verify_kept(std::optional<model::NetworkId> only,
                                              api::VerifyReport& report) const {
  for (const store::Exposure& one : deps.store.find_exposed()) {
    report.differences.push_back({"", "state", one.what, one.repair});
  }
  const auto kept = deps.store.load_identities(only);
  if (!kept) {
    report.differences.push_back({"", "state", kept.error().message, kept.error().hint});
    return;
  }
  const auto tell = [&](const auto& record, std::string what) {
    std::string name;
    if constexpr (requires { record.network; }) {
      const auto network = state.networks.find(record.network);
      if (network != state.networks.end()) name = network->second.network.name;
    }
    report.differences.push_back({std::move(name), "certificates", std::move(what), ""});
  };
  const auto tell_all = [&](const store::State& should) {
    compare(kept->authorities, should.authorities, tell);
    compare(kept->certificates, should.certificates, tell);
    compare(kept->last_lists, should.last_lists, tell);
  };
  only ? tell_all(identities_of(*only)) : tell_all(state);
  for (const auto& [authority, list] : state.last_lists) {
    if (!pki::revocations_pem(list.der)) tell(list, "different: " + name_of(list) + " is no list");
  }
}

void Control::Impl::Certificates::verify(const model::Network& network,
                                         api::VerifyReport& report) const {
  std::vector<std::string> differences;
  if (current_authority(network.id) == nullptr) differences.emplace_back("missing: an authority");
  for (const store::StoredAuthority* authority : authorities_of(network.id)) {
    std::ranges::move(verify_authority(*authority), std::back_inserter(differences));
  }
  for (const std::string& serial : strangers(network.id)) {
    differences.push_back(fmt::format("unexpected: certificate {} of {}, who is no member", serial,
                                      state.certificates.at(serial).name));
  }
  for (std::string& what : differences) {
    report.differences.push_back({network.name, "certificates", std::move(what), ""});
  }
}

std::vector<std::string> Control::Impl::Certificates::strangers(model::NetworkId network) const {
  std::vector<std::string> found;
  for (const store::StoredAuthority* authority : authorities_of(network)) {
    for (const std::string& serial : index.of_authority({network, authority->number})) {
      const store::IssuedCertificate& one = state.certificates.at(serial);
      if (!one.peer || !is_good(one)) continue;
      const auto peer = state.peers.find(*one.peer);
      const bool lives = peer != state.peers.end() && peer->second.network == network &&
                         peer->second.state != model::PeerState::Revoked;
      const bool is_so = lives && one.name == peer->second.name && one.role == peer->second.role;
      if (lives && (is_so || one.is_server)) continue;
      found.push_back(serial);
    }
  }
  return found;
}

std::vector<store::Change> Control::Impl::Certificates::restoration(
    model::NetworkId network, const store::State& kept) const {
  std::vector<store::Change> changes;
  const auto add = [&](auto change) { changes.emplace_back(std::move(change)); };
  const store::State should = identities_of(network);
  std::vector<store::Change> current;
  restore(
      kept.authorities, should.authorities,
      [&](const auto& one) {
        // After those that retire: there is one at any time.
        one.retiring ? add(store::PutAuthority{one})
                     : static_cast<void>(current.emplace_back(store::PutAuthority{one}));
      },
      [&](const auto& one) { add(store::DeleteAuthority{one.network, one.number}); });
  std::ranges::move(current, std::back_inserter(changes));
  restore(
      kept.certificates, should.certificates,
      [&](const auto& one) { add(store::PutCertificate{one}); },
      [&](const auto& one) { add(store::DeleteCertificate{one.serial}); });
  restore(
      kept.last_lists, should.last_lists, [&](const auto& one) { add(store::PutLastList{one}); },
      [&](const auto& one) { add(store::DeleteLastList{one.authority}); });
  return changes;
}

base::Status Control::Impl::Certificates::repair(const Request& request,
                                                 const model::Network& network) {
  WARREN_TRY_ASSIGN(const store::State kept, deps.store.load_identities(network.id));
  std::vector<store::Change> changes = restoration(network.id, kept);
  deny(strangers(network.id), deps.clock.wall(), changes);
  if (!changes.empty()) WARREN_TRY(impl.commit(changes, request));
  std::vector<AuthorityKey> wrong;
  for (const store::StoredAuthority* authority : authorities_of(network.id)) {
    if (!verify_list(*authority).empty()) wrong.push_back(key_of(*authority));
  }
  return wrong.empty() ? base::Status() : renew_lists(wrong);
}

}  // namespace warren::control
