// Who signs in a network, and the lists of what is revoked.
//
// Every network has one current authority. Those that it replaced are retiring: they sign their own
// lists and nothing else, members are told of them as long as somebody's certificate is still of
// them, and then they are dropped with all they issued; what then stays is in last_lists.cpp.
//
// A list is served from memory and never stored: after a start it is signed again. Its number is in
// the state, and it is used once: it grows in the transaction that revokes something, so that the
// denial and the number of the list that says so are durable together, or in one of its own before
// a list is signed anew for its age. A crash between the two wastes a number, no more. Numbers are
// the time in seconds, or one more than the last: they grow also where the state is an older one
// (a backup that was restored) or somebody else signed before (an authority that is brought).
//
// Lists are good for a week and replaced when a day old, or at once when the clock was set back
// behind one. Whoever asks for a list that is not there or old gets one that is signed for the
// occasion; after a start none is there until somebody asks, or is revoked. The records of
// certificates go two days after their end, with the next list: one that is signed each day has
// told of those that were revoked once more after it (RFC 5280, section 3.3).
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

api::AuthorityView::Facts facts_of(const std::string& certificate_pem) {
  const auto facts = pki::certificate_facts(certificate_pem);
  if (!facts) return {};
  return {.subject = facts->subject,
          .issuer = facts->issuer,
          .fingerprint = facts->fingerprint,
          .not_before = facts->not_before.seconds(),
          .not_after = facts->not_after.seconds()};
}

}  // namespace

pki::Authority Control::Impl::Certificates::pki_authority(const store::StoredAuthority& stored) {
  return {.certificate_pem = stored.certificate_pem,
          .private_key_pem = stored.private_key_pem,
          .chain_pem = stored.chain_pem};
}

base::WallTime Control::Impl::Certificates::list_begin() const {
  constexpr std::chrono::minutes kClocksDiffer{10};
  return {deps.clock.wall().ns - base::Duration(kClocksDiffer).count()};
}

std::uint64_t Control::Impl::Certificates::next_number(std::uint64_t last) const {
  const std::int64_t now = deps.clock.wall().seconds();
  return std::max(last + 1, static_cast<std::uint64_t>(std::max<std::int64_t>(now, 0)));
}

std::string Control::Impl::Certificates::authority_name(const AuthorityKey& key) const {
  const auto network = state.networks.find(key.first);
  const std::string name = network == state.networks.end() ? "?" : network->second.network.name;
  return fmt::format("{} authority {}", name, key.second);
}

bool Control::Impl::Certificates::is_good(const store::IssuedCertificate& certificate) const {
  return certificate.revoked.ns == 0 && certificate.not_after > deps.clock.wall();
}

std::vector<const store::StoredAuthority*> Control::Impl::Certificates::authorities_of(
    model::NetworkId network) const {
  std::vector<const store::StoredAuthority*> found;
  for (auto at = state.authorities.lower_bound({network, 0});
       at != state.authorities.end() && at->first.first == network; ++at) {
    found.push_back(&at->second);
  }
  // The current one, then the youngest of the others.
  std::ranges::sort(found, [](const auto* a, const auto* b) {
    if (a->retiring != b->retiring) return b->retiring;
    return a->number > b->number;
  });
  return found;
}

const store::StoredAuthority* Control::Impl::Certificates::current_authority(
    model::NetworkId network) const {
  const auto all = authorities_of(network);
  return all.empty() || all.front()->retiring ? nullptr : all.front();
}

std::string Control::Impl::Certificates::authorities_pem(model::NetworkId network) const {
  std::string pem;
  for (const store::StoredAuthority* authority : authorities_of(network)) {
    pem += authority->certificate_pem + authority->chain_pem;
  }
  return pem;
}

base::Result<std::vector<store::Change>> Control::Impl::Certificates::new_authority(
    const model::Network& network, std::uint32_t number, const std::optional<std::string>& brought,
    const std::optional<std::string>& key) {
  const base::WallTime now = deps.clock.wall();
  if (brought.has_value() != key.has_value()) {
    return make_error(ErrorKind::Invalid, "an authority that is brought needs certificate and key",
                      "give both --ca-cert and --ca-key, or neither: the gateway then makes one");
  }
  pki::Authority made;
  if (brought) {
    WARREN_TRY_ASSIGN(made, pki::load_authority(*brought, *key, now).within("take the authority"));
    WARREN_TRY(check_unused(*key));
  } else {
    WARREN_TRY_ASSIGN(
        made, pki::create_authority(network.name, deps.random, now, kAuthorityDays, number));
  }
  store::StoredAuthority authority{.network = network.id,
                                   .number = number,
                                   .certificate_pem = std::move(made.certificate_pem),
                                   .private_key_pem = std::move(made.private_key_pem),
                                   .chain_pem = std::move(made.chain_pem),
                                   .retiring = false,
                                   .brought = brought.has_value(),
                                   .list_number = next_number(0),
                                   .created = now};
  std::vector<store::Change> told;
  if (brought) WARREN_TRY(resume(authority, told));
  std::vector<store::Change> changes{store::PutAuthority{std::move(authority)}};
  std::ranges::move(told, std::back_inserter(changes));
  return changes;
}

void Control::Impl::Certificates::start() {
  index.build(state);
  for (const auto& [key, authority] : state.authorities) {
    fingerprints.emplace(fingerprint_of(authority), key);
  }
  std::vector<store::Change> changes;
  std::string of;
  for (const auto& [id, stored] : state.networks) {
    if (current_authority(id) != nullptr) continue;
    auto made = new_authority(stored.network, 1, std::nullopt, std::nullopt);
    if (!made) {
      impl.log(base::LogLevel::Error, fmt::format("network={} has no authority: {}",
                                                  stored.network.name, made.error().message));
      continue;
    }
    std::ranges::move(*made, std::back_inserter(changes));
    of += (of.empty() ? "" : " ") + stored.network.name;
  }
  if (changes.empty()) return;
  if (const base::Status done = impl.commit(changes, {"daemon", "ca.create", of}); !done) {
    impl.log(base::LogLevel::Error, "networks without an authority: " + done.error().message);
  }
}

// --- the lists ---

void Control::Impl::Certificates::follow(const store::Change& change) {
  index.follow(state, change);
  if (const auto* put = std::get_if<store::PutAuthority>(&change)) {
    const auto known = state.authorities.find(key_of(put->authority));
    const bool is_new = known == state.authorities.end();
    if (is_new || known->second.list_number != put->authority.list_number) {
      SignedList& list = lists[key_of(put->authority)];
      list.number_is_free = true;
      list.says_too_little = !is_new;
    }
    if (is_new) fingerprints.emplace(fingerprint_of(put->authority), key_of(put->authority));
  } else if (const auto* gone = std::get_if<store::DeleteAuthority>(&change)) {
    const AuthorityKey key{gone->network, gone->number};
    lists.erase(key);
    std::erase_if(fingerprints, [&](const auto& entry) { return entry.second == key; });
  } else if (const auto* network = std::get_if<store::DeleteNetwork>(&change)) {
    std::erase_if(lists, [&](const auto& entry) { return entry.first.first == network->id; });
    std::erase_if(fingerprints,
                  [&](const auto& entry) { return entry.second.first == network->id; });
  }
}

bool Control::Impl::Certificates::is_list_due(const AuthorityKey& key) const {
  const auto found = lists.find(key);
  if (found == lists.end() || found->second.number == 0 || found->second.number_is_free) {
    return true;
  }
  const base::WallTime now = deps.clock.wall();
  return now < found->second.signed_at || now - found->second.signed_at >= kListRenewal;
}

base::Status Control::Impl::Certificates::sign_list(const AuthorityKey& key) {
  const store::StoredAuthority& authority = state.authorities.at(key);
  std::vector<pki::RevokedCertificate> revoked;
  for (const auto& [serial, since] : index.revoked(key)) {
    revoked.push_back({.serial = serial, .since = since});
  }
  WARREN_TRY_ASSIGN(pki::RevocationList made,
                    pki::sign_revocations(pki_authority(authority), revoked, authority.list_number,
                                          list_begin(), kListDays)
                        .within("sign the list of revoked certificates of " + authority_name(key)));
  SignedList& list = lists[key];
  list.tag = tag_of(made.der);
  list.list = std::move(made);
  list.number = authority.list_number;
  list.number_is_free = false;
  list.says_too_little = false;
  list.signed_at = deps.clock.wall();
  return {};
}

bool Control::Impl::Certificates::awaits_lists(model::NetworkId network) const {
  return std::ranges::any_of(authorities_of(network), [&](const auto* authority) {
    const auto list = lists.find(key_of(*authority));
    return list != lists.end() && list->second.says_too_little;
  });
}

base::Status Control::Impl::Certificates::sign_lists(model::NetworkId network) {
  base::Status all;
  for (const store::StoredAuthority* authority : authorities_of(network)) {
    const auto list = lists.find(key_of(*authority));
    if (list == lists.end() || !list->second.says_too_little) continue;
    if (base::Status done = sign_list(list->first); !done) all = std::move(done);
  }
  return all;
}

base::Status Control::Impl::Certificates::renew_lists(const std::vector<AuthorityKey>& due) {
  const base::WallTime now = deps.clock.wall();
  std::vector<store::Change> changes;
  for (const AuthorityKey& key : due) {
    for (const std::string& serial : index.of_authority(key)) {
      if (now - state.certificates.at(serial).not_after < kCertificateForgotten) continue;
      changes.emplace_back(store::DeleteCertificate{serial});
    }
    const auto list = lists.find(key);
    if (list != lists.end() && list->second.number_is_free) continue;
    store::StoredAuthority next = state.authorities.at(key);
    next.list_number = next_number(next.list_number);
    changes.emplace_back(store::PutAuthority{std::move(next)});
  }
  const std::string of =
      due.size() == 1 ? authority_name(due.front()) : fmt::format("{} authorities", due.size());
  if (!changes.empty()) WARREN_TRY(impl.commit(changes, {"daemon", "ca.list", of}));
  base::Status all;
  for (const AuthorityKey& key : due) {
    if (base::Status done = sign_list(key); !done) all = std::move(done);
  }
  return all;
}

base::Result<RevocationDocument> Control::Impl::Certificates::list_document(
    const std::string& name, ListForm form, std::optional<std::uint32_t> number) {
  WARREN_TRY_ASSIGN(const model::Network network, impl.find_network(name));
  std::vector<AuthorityKey> wanted;
  for (const store::StoredAuthority* authority : authorities_of(network.id)) {
    if (number && authority->number != *number) continue;
    // DER holds one list: the current authority's, unless another one is asked for.
    if (!number && form == ListForm::Der && authority->retiring) continue;
    wanted.push_back(key_of(*authority));
  }
  if (wanted.empty()) {
    return make_error(ErrorKind::NotFound,
                      number ? fmt::format("network {} has no authority {}", name, *number)
                             : fmt::format("network {} has no authority yet", name),
                      "warren ca show " + name);
  }
  return lists_of(wanted, form);
}

base::Result<RevocationDocument> Control::Impl::Certificates::lists_of(
    const std::vector<AuthorityKey>& wanted, ListForm form) {
  std::vector<AuthorityKey> due;
  std::ranges::copy_if(wanted, std::back_inserter(due),
                       [&](const AuthorityKey& key) { return is_list_due(key); });
  const base::Status renewed = due.empty() ? base::Status() : renew_lists(due);
  RevocationDocument document;
  for (const AuthorityKey& key : wanted) {
    const auto list = lists.find(key);
    const bool good = list != lists.end() && list->second.number != 0 &&
                      list->second.list.next_update > deps.clock.wall();
    // What it says may be old, but it is better than none; what was revoked since is retried.
    if (!good)
      return renewed ? make_error(ErrorKind::Unavailable, "there is no list yet")
                     : base::Error(renewed.error());
    const SignedList& one = list->second;
    document.content += form == ListForm::Pem ? one.list.pem : one.list.der;
    document.tag += one.tag;
  }
  return document;
}

// --- retiring ---

std::vector<std::string> Control::Impl::Certificates::awaited(const AuthorityKey& key,
                                                              std::size_t limit) const {
  const store::StoredAuthority* current = current_authority(key.first);
  const auto replaced = [&](const store::IssuedCertificate& old,
                            const CertificateIndex::Serials& candidates) {
    return std::ranges::any_of(candidates, [&](const std::string& serial) {
      const store::IssuedCertificate& other = state.certificates.at(serial);
      return other.authority == current->number && other.network == key.first &&
             other.name == old.name && other.role == old.role && other.is_server == old.is_server &&
             is_good(other);
    });
  };
  std::set<std::string> names;
  for (const std::string& serial : index.of_authority(key)) {
    const store::IssuedCertificate& old = state.certificates.at(serial);
    if (!is_good(old) || names.contains(old.name)) continue;
    const bool done = current != nullptr &&
                      replaced(old, old.peer ? index.of_peer(*old.peer)
                                             : index.of_authority({key.first, current->number}));
    if (!done) names.insert(old.name);
    if (names.size() >= limit) break;
  }
  return {names.begin(), names.end()};
}

void Control::Impl::Certificates::drop_retired() {
  std::vector<AuthorityKey> done;
  for (const auto& [key, authority] : state.authorities) {
    if (authority.retiring && awaited(key, 1).empty()) done.push_back(key);
  }
  for (const AuthorityKey& key : done) {
    const Request request{"daemon", "ca.drop", authority_name(key)};
    std::vector<store::Change> changes;
    end(state.authorities.at(key), changes);
    const base::Status dropped = impl.commit(changes, request);
    if (!dropped) return;  // as long as it is there it does no harm
    impl.tell_changed(key.first, std::nullopt);
  }
}

bool Control::Impl::Certificates::keep_up() {
  drop_retired();
  forget_last_lists();
  std::vector<AuthorityKey> due;
  for (const auto& [key, list] : lists) {
    // Those that nobody asked for since the start are signed when somebody does.
    const bool served = list.number != 0 && is_list_due(key);
    if (due.size() < kListsEachRound && (list.says_too_little || served)) due.push_back(key);
  }
  if (due.empty()) return true;
  const base::Status done = renew_lists(due);
  const std::string problem = done ? "" : done.error().message;
  if (!done && problem != list_problem) impl.log(base::LogLevel::Error, problem);
  list_problem = problem;
  return done.has_value();
}

// --- what is asked for ---

base::Result<api::AuthorityList> Control::Impl::Certificates::show(const std::string& name) const {
  WARREN_TRY_ASSIGN(const model::Network network, impl.find_network(name));
  constexpr std::size_t kNamesShown = 100;
  api::AuthorityList answer{.network = network.name, .authorities = {}};
  for (const store::StoredAuthority* authority : authorities_of(network.id)) {
    const AuthorityKey key = key_of(*authority);
    api::AuthorityView view;
    view.number = authority->number;
    view.current = !authority->retiring;
    view.brought = authority->brought;
    view.certificates = authority->certificate_pem + authority->chain_pem;
    for (const std::string& one : pki::certificates_of(view.certificates)) {
      view.chain.push_back(facts_of(one));
    }
    view.good = static_cast<std::uint32_t>(std::ranges::count_if(
        index.of_authority(key),
        [&](const std::string& serial) { return is_good(state.certificates.at(serial)); }));
    view.revoked = static_cast<std::uint32_t>(index.revoked(key).size());
    view.list_number = authority->list_number;
    if (authority->retiring) view.awaits = awaited(key, kNamesShown);
    answer.authorities.push_back(std::move(view));
  }
  return answer;
}

base::Result<api::AuthorityList> Control::Impl::Certificates::rotate(
    const Request& request, const std::string& name, const api::AuthorityRotate& wanted) {
  WARREN_TRY_ASSIGN(const model::Network network, impl.find_network(name));
  const auto before = authorities_of(network.id);
  const bool drop = wanted.drop_old.value_or(false);
  if (!drop && before.size() > kMaxRetiring) {
    return make_error(ErrorKind::Conflict,
                      fmt::format("{} authorities are retiring already", before.size() - 1),
                      "wait until members have renewed (warren ca show " + name +
                          "), or drop the old ones at once with --drop-old");
  }
  std::uint32_t number = 1;
  for (const auto* authority : before) number = std::max(number, authority->number + 1);
  WARREN_TRY_ASSIGN(std::vector<store::Change> next,
                    new_authority(network, number, wanted.ca_certificates, wanted.ca_key));
  std::vector<store::Change> changes;
  for (const auto* authority : before) {
    if (drop) {
      end(*authority, changes);
    } else if (!authority->retiring) {
      store::StoredAuthority old = *authority;
      old.retiring = true;
      changes.emplace_back(store::PutAuthority{std::move(old)});
    }
  }
  std::ranges::move(next, std::back_inserter(changes));
  WARREN_TRY(impl.commit(changes, request));
  if (const base::Status done = sign_lists(network.id); !done) {
    impl.log(base::LogLevel::Error, done.error().message);  // and it is tried again
  }
  impl.tell_changed(network.id, std::nullopt);
  return show(name);
}

}  // namespace warren::control
