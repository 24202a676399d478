// Tokens as people carry them. The bytes are read as a token's text; they also become the parts of
// a token, since no fuzzer guesses the checksum.
#include <algorithm>
#include <string>
#include <string_view>

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "model/network.hpp"

namespace {

using warren::model::TokenText;

constexpr std::size_t kMaxEndpoint = 300;  // what write() asks of its caller

bool same(const TokenText& a, const TokenText& b) {
  return a.enrol_at == b.enrol_at && a.pin == b.pin && a.secret == b.secret;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto token = TokenText::parse(text)) {
    const auto again = TokenText::parse(token->write());
    WARREN_ASSERT(again && same(*again, *token));
    WARREN_ASSERT(text.find(token->write()) != std::string_view::npos);
  } else {
    WARREN_ASSERT(token.error().kind == warren::base::ErrorKind::Invalid);
  }

  warren::base::ByteReader in({data, size});
  TokenText made;
  made.pin = in.array<32>();
  made.secret = in.array<16>();
  const auto rest = in.rest().first(std::min(in.rest().size(), kMaxEndpoint));
  made.enrol_at.assign(rest.begin(), rest.end());
  if (const auto read = TokenText::parse(made.write())) {
    WARREN_ASSERT(same(*read, made));
    WARREN_ASSERT(warren::base::HostPort::parse(made.enrol_at).has_value());
  }
  return 0;
}
