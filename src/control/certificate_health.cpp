// What of a gateway's certificates runs out: what `warren doctor certificates` says.
//
// Whatever renews by itself is a finding only when it should have done so long ago: then somebody
// is away, or something is broken. What needs a person is one from thirty days before its end.
#include <fmt/format.h>

#include <algorithm>

#include "control/certificates.hpp"
#include "control/limits.hpp"
#include "control/names.hpp"

namespace warren::control {

namespace {

using Finding = api::DoctorReport::Finding;

constexpr std::int64_t kDay_s = 86'400;
constexpr std::int64_t kWarnDays = 30;
constexpr std::int64_t kBadDays = 7;
constexpr std::int64_t kUrgentDays = 1;

/// Good, weak from thirty days before, bad from seven, and from one it says so.
Finding finding(const std::string& network, std::string what, std::int64_t until, std::int64_t now,
                std::string remedy) {
  const std::int64_t left = until - now;
  Finding one{.network = network, .what = std::move(what), .days_left = left / kDay_s};
  const std::string when = utc_text(until);
  if (left <= 0) {
    one.state = "bad";
    one.text = fmt::format("is over since {} ({})", rough_duration(-left), when);
  } else if (left <= kUrgentDays * kDay_s) {
    one.state = "bad";
    one.text = fmt::format("ends within a day: in {} ({})", rough_duration(left), when);
  } else if (left <= kWarnDays * kDay_s) {
    one.state = left <= kBadDays * kDay_s ? "bad" : "weak";
    one.text = fmt::format("ends in {} days ({})", left / kDay_s, when);
  } else {
    one.state = "good";
    one.text = fmt::format("good for {} days ({})", left / kDay_s, when);
  }
  if (one.state != "good") one.remedy = std::move(remedy);
  return one;
}

}  // namespace

void Control::Impl::Certificates::examine_authorities(const model::Network& network,
                                                      api::DoctorReport& report) const {
  const std::int64_t now = deps.clock.wall().seconds();
  const store::StoredAuthority* current = current_authority(network.id);
  if (current == nullptr) {
    report.findings.push_back({.network = network.name,
                               .what = "authority",
                               .state = "bad",
                               .text = "there is none",
                               .remedy = "start the daemon again; its log says why"});
    return;
  }
  std::int64_t until = INT64_MAX;
  for (const std::string& one :
       pki::certificates_of(current->certificate_pem + current->chain_pem)) {
    const auto facts = pki::certificate_facts(one);
    until = std::min(until, facts ? facts->not_after.seconds() : 0);
  }
  report.findings.push_back(finding(network.name, fmt::format("authority {}", current->number),
                                    until, now, "warren ca rotate " + network.name));
  for (const store::StoredAuthority* authority : authorities_of(network.id)) {
    const AuthorityKey key{network.id, authority->number};
    const auto list = lists.find(key);
    const bool signed_once = list != lists.end() && list->second.number != 0;
    if (!signed_once) continue;  // the next who asks gets one
    const std::int64_t ends = list->second.list.next_update.seconds();
    if (ends - now > 2 * kDay_s) continue;
    report.findings.push_back(
        finding(network.name, fmt::format("list of authority {}", key.second), ends, now,
                "it should have been signed anew: see the daemon's log and `warren status`"));
  }
}

void Control::Impl::Certificates::examine_issued(const model::Network& network,
                                                 api::DoctorReport& report) const {
  const base::WallTime now = deps.clock.wall();
  // The last good one of each holder.
  using Holder = std::tuple<std::string, std::string, bool>;
  std::map<Holder, const store::IssuedCertificate*> newest;
  for (const store::StoredAuthority* authority : authorities_of(network.id)) {
    for (const std::string& serial : index.of_authority({network.id, authority->number})) {
      const store::IssuedCertificate& one = state.certificates.at(serial);
      if (one.revoked.ns != 0) continue;
      const store::IssuedCertificate*& known = newest[{one.name, one.role, one.is_server}];
      if (known == nullptr || known->not_after < one.not_after) known = &one;
    }
  }
  for (const auto& [who, certificate] : newest) {
    const bool brief = certificate->not_after - certificate->issued <
                       std::chrono::hours(24 * (kEphemeralCertificateDays + 1));
    const bool by_itself = certificate->peer && !certificate->is_server;
    // A member's is renewed with a third of its life left, which is when its last month begins.
    const std::int64_t from = by_itself ? kWarnDays - 1 : kWarnDays;
    const std::int64_t until = certificate->not_after.seconds();
    if (brief || until - now.seconds() > from * kDay_s) continue;
    report.findings.push_back(finding(
        network.name, "certificate of " + certificate->name, until, now.seconds(),
        by_itself ? "it renews when " + certificate->name + " is there: warren run or warren up"
                  : fmt::format("sign its request again: warren ca sign {} FILE", network.name)));
  }
}

api::DoctorReport Control::Impl::Certificates::examine() const {
  api::DoctorReport report;
  const std::int64_t now = deps.clock.wall().seconds();
  if (gateway_certificate_ends) {
    report.findings.push_back(finding("", "the gateway's TLS certificate",
                                      gateway_certificate_ends->seconds(), now,
                                      "it should have renewed by itself: see the daemon's log"));
  }
  for (const auto& [id, stored] : state.networks) {
    examine_authorities(stored.network, report);
    examine_issued(stored.network, report);
  }
  return report;
}

// --- as control offers them ---

base::Result<api::AuthorityList> Control::show_authorities(const std::string& network) {
  return impl_->certificates->show(network);
}

base::Result<api::AuthorityList> Control::rotate_authority(const std::string& actor,
                                                           const std::string& network,
                                                           const api::AuthorityRotate& request) {
  const Request what{actor, "ca.rotate", network};
  return impl_->audited(what, "rotate the authority of " + one_line(network, 80),
                        [&] { return impl_->certificates->rotate(what, network, request); });
}

base::Result<RevocationDocument> Control::revocation_document(const std::string& network,
                                                              ListForm form,
                                                              std::optional<std::uint32_t> number) {
  return impl_->certificates->list_document(network, form, number);
}

base::Result<RevocationDocument> Control::published_list(const std::string& fingerprint,
                                                         ListForm form) {
  return impl_->certificates->published(fingerprint, form);
}

base::Result<std::string> Control::issue_certificate(const Member& member,
                                                     const std::string& request_pem) {
  return impl_->certificates->issue(member, request_pem);
}

base::Result<api::SignedCertificate> Control::sign_certificate(
    const std::string& actor, const std::string& network, const api::CertificateSign& request) {
  const Request what{actor, "ca.sign", network};
  return impl_->audited(what, "sign a certificate",
                        [&] { return impl_->certificates->sign_by_hand(what, network, request); });
}

base::Result<api::CertificateList> Control::list_certificates(const std::string& network) {
  return impl_->certificates->list(network);
}

base::Result<api::CertificateView> Control::revoke_certificate(const std::string& actor,
                                                               const std::string& network,
                                                               const std::string& serial) {
  const Request what{actor, "ca.revoke", network + "/" + serial};
  return impl_->audited(what, "revoke certificate " + one_line(serial, 80),
                        [&] { return impl_->certificates->revoke(what, network, serial); });
}

api::DoctorReport Control::examine_certificates() const { return impl_->certificates->examine(); }

void Control::set_gateway_certificate_end(base::WallTime end) {
  impl_->certificates->gateway_certificate_ends = end;
}

}  // namespace warren::control
