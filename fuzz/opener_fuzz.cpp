// The opener protocol: a message has one form, so whatever is taken is written byte for byte.
#include <algorithm>

#include "base/assert.hpp"
#include "ipc/opener.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace ipc = warren::ipc;
  const auto message = ipc::parse_opener({data, size});
  if (!message) {
    WARREN_ASSERT(message.error().kind == warren::base::ErrorKind::Invalid);
    return 0;
  }
  const auto written = ipc::write_opener(*message);
  WARREN_ASSERT(written.size() <= ipc::kMaxOpenerMessage);
  WARREN_ASSERT(std::ranges::equal(written, warren::base::Bytes(data, size)));
  return 0;
}
