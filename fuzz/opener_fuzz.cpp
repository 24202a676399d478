// The opener protocol: a message has one form, so whatever is taken is written byte for byte. Of a
// message of another version only that version is taken.
#include <algorithm>

#include "base/assert.hpp"
#include "ipc/opener.hpp"

namespace {

bool is_foreign(const warren::ipc::OpenerBody& body) {
  namespace ipc = warren::ipc;
  if (const auto* reply = std::get_if<ipc::HelloReply>(&body))
    return reply->version != ipc::kOpenerVersion;
  const auto* adopted = std::get_if<ipc::Adopted>(&body);
  return adopted != nullptr && adopted->version != ipc::kOpenerVersion;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace ipc = warren::ipc;
  const auto message = ipc::parse_opener({data, size});
  if (!message) {
    WARREN_ASSERT(message.error().kind == warren::base::ErrorKind::Invalid);
    return 0;
  }
  const auto written = ipc::write_opener(*message);
  WARREN_ASSERT(written.size() <= ipc::kMaxOpenerMessage);
  WARREN_ASSERT(is_foreign(message->body) ||
                std::ranges::equal(written, warren::base::Bytes(data, size)));
  return 0;
}
