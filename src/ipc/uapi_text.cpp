#include "ipc/uapi_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "crypto/secret.hpp"
#include "ipc/uapi.hpp"

namespace warren::ipc {

void wipe_text(std::string& text) {
  text.resize(text.capacity());  // never reallocates: the capacity is there
  crypto::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  text.clear();
}

void reserve_wiped(std::string& text, std::size_t more) {
  if (text.capacity() - text.size() >= more) return;
  std::string larger;
  larger.reserve(std::max(text.size() + more, text.capacity() * 2));
  larger.append(text);
  wipe_text(text);
  text.swap(larger);
}

void append_line(std::string& out, std::string_view key, std::string_view value) {
  reserve_wiped(out, key.size() + value.size() + 2);
  out.append(key).append(1, '=').append(value).append(1, '\n');
}

void append_line(std::string& out, std::string_view key, std::uint64_t value) {
  std::array<char, 20> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  append_line(out, key, std::string_view(digits.data(), end));
}

void append_hex_line(std::string& out, std::string_view key, base::Bytes bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  reserve_wiped(out, key.size() + 2 * bytes.size() + 2);
  out.append(key).append(1, '=');
  std::size_t at = out.size();
  out.resize(at + 2 * bytes.size());
  for (const std::uint8_t byte : bytes) {
    out[at++] = kDigits[byte >> 4];
    out[at++] = kDigits[byte & 15];
  }
  out.append(1, '\n');
}

std::optional<UapiLine> next_line(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return split_line(line);
}

std::optional<UapiLine> split_line(std::string_view line) {
  const std::size_t equals = line.find('=');
  if (equals == std::string_view::npos) return std::nullopt;
  return UapiLine{line.substr(0, equals), line.substr(equals + 1)};
}

}  // namespace warren::ipc
