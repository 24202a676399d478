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
  try_as_each<api::Empty, api::NetworkCreate, api::NetworkView, api::NetworkList,
              api::InviteRequest, api::Invitation, api::PeerAdd, api::PeerBatch, api::PeerKey,
              api::PeerRename, api::PeerView, api::PeerList, api::Revocation, api::Status,
              api::AuditEntry, api::AuditList, api::EnrolRequest, api::EnrolAnswer>(text);
  if (const auto error = api::decode_error(text)) {
    const auto again = api::decode_error(api::encode_error(*error));
    WARREN_ASSERT(again && again->kind == error->kind && again->message == error->message &&
                  again->hint == error->hint);
    WARREN_ASSERT(api::http_status(error->kind) >= 400);
  }
  return 0;
}
