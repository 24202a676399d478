#include "base/key.hpp"

#include <algorithm>
#include <cstring>

namespace warren::base {

std::optional<PublicKey> PublicKey::parse_base64(std::string_view text) {
  const auto decoded = base::parse_base64(text);
  if (!decoded || decoded->size() != kSize) return std::nullopt;
  PublicKey key;
  std::ranges::copy(*decoded, key.bytes.begin());
  return key;
}

std::optional<PublicKey> PublicKey::parse_hex(std::string_view text) {
  PublicKey key;
  if (!base::parse_hex(text, key.bytes)) return std::nullopt;
  return key;
}

}  // namespace warren::base

std::size_t std::hash<warren::base::PublicKey>::operator()(
    const warren::base::PublicKey& key) const noexcept {
  // The bytes of a curve point are spread evenly except for the top bit; strangers cannot choose
  // the table's keys (only configuration adds peers), so no keyed hash is needed.
  std::size_t value;
  std::memcpy(&value, key.bytes.data(), sizeof value);
  return value;
}
