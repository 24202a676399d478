// The documents of the API: each text is tried as every type; what is taken is written as a
// document that reads back as the same.
#include <string>
#include <string_view>

#include "api/json.hpp"
#include "base/assert.hpp"

namespace {

namespace api = warren::api;

template <typename T>
void try_as(std::string_view text) {
  const auto document = api::decode<T>(text);
  if (!document) {
    WARREN_ASSERT(document.error().kind == warren::base::ErrorKind::Invalid);
    return;
  }
  const std::string written = api::encode(*document);
  const auto again = api::decode<T>(written);
  WARREN_ASSERT(again.has_value());
  WARREN_ASSERT(api::encode(*again) == written);
}

template <typename... T>
void try_as_each(std::string_view text) {
  (try_as<T>(text), ...);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try_as_each<
      api::Empty, api::RoleAdd, api::RoleSet, api::RoleView, api::RoleList, api::PolicySet,
      api::PolicyView, api::PolicyTest, api::PolicyAnswer, api::VerifyReport, api::NetworkCreate,
      api::NetworkSet, api::ForwardAdd, api::ForwardView, api::ForwardList, api::NetworkView,
      api::NetworkList, api::InviteRequest, api::Invitation, api::PeerView, api::PeerAdd,
      api::PeerBatch, api::PeerKey, api::PeerRename, api::PeerList, api::Revocation,
      api::RevocationList, api::AuthorityList, api::AuthorityRotate, api::CertificateSign,
      api::SignedCertificate, api::CertificateView, api::CertificateList, api::DoctorReport,
      api::Status, api::AuditEntry, api::AuditSpan, api::AuditList, api::TokenCreate,
      api::TokenView, api::TokenList, api::TokenCreated, api::Event, api::EnrolRequest,
      api::Environment, api::EnrolAnswer, api::MemberRequest, api::MemberState, api::MemberLeft>(
      text);
  if (const auto error = api::decode_error(text)) {
    const auto again = api::decode_error(api::encode_error(*error));
    WARREN_ASSERT(again && again->kind == error->kind && again->message == error->message &&
                  again->hint == error->hint);
    WARREN_ASSERT(api::http_status(error->kind) >= 400);
  }
  return 0;
}
