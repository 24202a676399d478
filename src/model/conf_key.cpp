#include "model/conf_key.hpp"

#include <cstring>

#include "base/bytes.hpp"

namespace warren::model {

namespace {

void wipe_bytes(void* memory, std::size_t size) {
  volatile std::uint8_t* bytes = static_cast<volatile std::uint8_t*>(memory);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = 0;
}

}  // namespace

void wipe_text(std::string& text) {
  wipe_bytes(text.data(), text.size());
  text.clear();
}

ConfKey::ConfKey(std::span<const std::uint8_t, kSize> bytes) {
  std::memcpy(bytes_.data(), bytes.data(), kSize);
}

std::optional<ConfKey> ConfKey::parse_base64(std::string_view text) {
  auto decoded = base::parse_base64(text);
  if (!decoded) return std::nullopt;
  std::optional<ConfKey> key;
  if (decoded->size() == kSize) key.emplace(std::span<const std::uint8_t, kSize>(*decoded));
  wipe_bytes(decoded->data(), decoded->size());
  return key;
}

void ConfKey::take(ConfKey& other) {
  bytes_ = other.bytes_;
  other.wipe();
}

void ConfKey::wipe() { wipe_bytes(bytes_.data(), bytes_.size()); }

}  // namespace warren::model
