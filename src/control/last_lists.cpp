// What the world is told of authorities: lists by the authority's own name, and the last list of
// one that is no more.
//
// Whoever trusts an authority finds its list by the SHA-256 of its certificate: he has that, and a
// stranger cannot guess it, so nobody learns by asking which networks there are.
//
// An authority ends with its network, when nobody needs it any more after a roll-over, or at once
// (--drop-old). Programs elsewhere may trust it still, and what it issued runs on. So the
// transaction that ends it leaves a last list behind: everything that it issued and that is not
// over, revoked, under its next number, good until the last of it is over. The key goes; nothing is
// left to sign. An authority that issued nothing, or nothing that is still running, leaves none.
//
// One that was brought may be brought again: then its last list becomes records again, so that what
// was revoked once stays so, and numbers go on. Of one key there is only one authority: two would
// sign lists that nobody can tell apart.
#include <fmt/format.h>

#include <algorithm>

#include "control/certificates.hpp"
#include "control/limits.hpp"
#include "control/names.hpp"
#include "pki/wg_keys.hpp"

namespace warren::control {

using base::ErrorKind;
using base::make_error;

std::string Control::Impl::Certificates::tag_of(const std::string& der) {
  return base::to_hex(base::Bytes(pki::secret_hash(base::as_bytes(der))).first(12));
}

std::string Control::Impl::Certificates::fingerprint_of(const store::StoredAuthority& authority) {
  const auto facts = pki::certificate_facts(authority.certificate_pem);
  return facts ? facts->fingerprint : std::string();
}

// --- ending ---

base::Result<std::optional<store::LastList>> Control::Impl::Certificates::last_list(
    const store::StoredAuthority& authority) const {
  const base::WallTime now = deps.clock.wall();
  std::vector<pki::RevokedCertificate> revoked;
  base::WallTime end = now;
  for (const std::string& serial : index.of_authority(key_of(authority))) {
    const store::IssuedCertificate& one = state.certificates.at(serial);
    if (one.not_after <= now) continue;
    revoked.push_back({.serial = serial, .since = one.revoked.ns != 0 ? one.revoked : now});
    end = std::max(end, one.not_after);
  }
  std::optional<store::LastList> made;
  if (revoked.empty()) return made;
  const base::WallTime begin = list_begin();
  const auto days = std::chrono::ceil<std::chrono::days>(end + kCertificateForgotten - begin);
  WARREN_TRY_ASSIGN(
      pki::RevocationList list,
      pki::sign_revocations(pki_authority(authority), revoked, next_number(authority.list_number),
                            begin, static_cast<int>(days.count()))
          .within("sign the last list of " + authority_name(key_of(authority))));
  made = {.authority = fingerprint_of(authority),
          .der = std::move(list.der),
          .until = list.next_update};
  return made;
}

void Control::Impl::Certificates::end(const store::StoredAuthority& authority,
                                      std::vector<store::Change>& changes) const {
  auto last = last_list(authority);
  if (!last) {
    // A key that cannot sign is no reason to keep what shall go.
    impl.log(base::LogLevel::Error, last.error().message);
  } else if (*last) {
    changes.emplace_back(store::PutLastList{std::move(**last)});
  }
  changes.emplace_back(store::DeleteAuthority{authority.network, authority.number});
}

std::vector<store::Change> Control::Impl::Certificates::deletion(model::NetworkId network) const {
  std::vector<store::Change> changes;
  for (const store::StoredAuthority* authority : authorities_of(network)) end(*authority, changes);
  changes.emplace_back(store::DeleteNetwork{network});
  return changes;
}

void Control::Impl::Certificates::forget_last_lists() {
  const base::WallTime now = deps.clock.wall();
  std::vector<store::Change> changes;
  for (const auto& [authority, list] : state.last_lists) {
    if (list.until <= now) changes.emplace_back(store::DeleteLastList{authority});
  }
  if (changes.empty()) return;
  const std::string of = fmt::format("{} last lists", changes.size());
  // Until it is done they are over, and not served.
  std::ignore = impl.commit(changes, {"daemon", "ca.forget", of});
}

// --- bringing ---

base::Status Control::Impl::Certificates::check_unused(const std::string& key_pem) const {
  for (const auto& [key, authority] : state.authorities) {
    if (!pki::is_key_of(key_pem, authority.certificate_pem)) continue;
    return make_error(
        ErrorKind::Conflict,
        fmt::format("this is the key of {}, and of one key there can be only one authority: their "
                    "lists of revoked certificates could not be told apart",
                    authority_name(key)),
        "bring another one, or leave --ca-cert out: the gateway then makes one");
  }
  return {};
}

base::Status Control::Impl::Certificates::resume(store::StoredAuthority& authority,
                                                 std::vector<store::Change>& changes) const {
  for (const auto& [fingerprint, list] : state.last_lists) {
    WARREN_TRY_ASSIGN(const std::string pem, pki::revocations_pem(list.der));
    const auto facts = pki::read_revocations(pem, authority.certificate_pem);
    if (!facts) continue;  // another one's
    authority.list_number = next_number(std::max(authority.list_number, facts->number));
    for (const std::string& serial : facts->serials) {
      changes.emplace_back(store::PutCertificate{
          {.serial = serial,
           .network = authority.network,
           .authority = authority.number,
           .peer = {},
           .name = "?",
           .role = {},
           .issued = facts->this_update,
           .not_after = {list.until.ns - base::Duration(kCertificateForgotten).count()},
           .revoked = facts->this_update}});
    }
    changes.emplace_back(store::DeleteLastList{fingerprint});
  }
  return {};
}

// --- serving ---

base::Result<RevocationDocument> Control::Impl::Certificates::published(
    const std::string& fingerprint, ListForm form) {
  const auto living = fingerprints.find(fingerprint);
  if (living != fingerprints.end()) return lists_of({living->second}, form);
  const auto last = state.last_lists.find(fingerprint);
  if (last == state.last_lists.end() || last->second.until <= deps.clock.wall()) {
    return make_error(ErrorKind::NotFound, "no list is published here");
  }
  RevocationDocument document{.content = last->second.der, .tag = tag_of(last->second.der)};
  if (form == ListForm::Der) return document;
  WARREN_TRY_ASSIGN(document.content, pki::revocations_pem(document.content));
  return document;
}

}  // namespace warren::control
