#include "base/bytes.hpp"

#include <charconv>

namespace warren::base {

Bytes ByteReader::take(std::size_t count) {
  if (!ok_ || rest_.size() < count) {
    ok_ = false;
    rest_ = {};
    return {};
  }
  const Bytes taken = rest_.first(count);
  rest_ = rest_.subspan(count);
  return taken;
}

std::uint64_t ByteReader::be(std::size_t count) {
  std::uint64_t value = 0;
  for (const std::uint8_t byte : take(count)) value = value << 8 | byte;
  return value;
}

std::uint64_t ByteReader::le(std::size_t count) {
  std::uint64_t value = 0;
  unsigned shift = 0;
  for (const std::uint8_t byte : take(count)) {
    value |= std::uint64_t{byte} << shift;
    shift += 8;
  }
  return value;
}

MutableBytes ByteWriter::reserve(std::size_t count) {
  if (!ok_ || out_.size() - used_ < count) {
    ok_ = false;
    return {};
  }
  const MutableBytes room = out_.subspan(used_, count);
  used_ += count;
  return room;
}

ByteWriter& ByteWriter::bytes(Bytes from) {
  const MutableBytes room = reserve(from.size());
  if (!room.empty()) std::memcpy(room.data(), from.data(), from.size());
  return *this;
}

ByteWriter& ByteWriter::zeros(std::size_t count) {
  const MutableBytes room = reserve(count);
  if (!room.empty()) std::memset(room.data(), 0, room.size());
  return *this;
}

ByteWriter& ByteWriter::be(std::uint64_t value, std::size_t count) {
  const MutableBytes room = reserve(count);
  for (std::size_t i = 0; i < room.size(); ++i) {
    room[i] = static_cast<std::uint8_t>(value >> (8 * (count - 1 - i)));
  }
  return *this;
}

ByteWriter& ByteWriter::le(std::uint64_t value, std::size_t count) {
  const MutableBytes room = reserve(count);
  for (std::size_t i = 0; i < room.size(); ++i) {
    room[i] = static_cast<std::uint8_t>(value >> (8 * i));
  }
  return *this;
}

std::string to_hex(Bytes bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

namespace {

/// The value of every character as a hexadecimal digit, 0xff where it is none.
constexpr std::array<std::uint8_t, 256> kHexValues = [] {
  std::array<std::uint8_t, 256> values{};
  values.fill(0xff);
  for (std::uint8_t i = 0; i < 10; ++i) values[std::size_t{'0'} + i] = i;
  for (std::uint8_t i = 0; i < 6; ++i) {
    values[std::size_t{'a'} + i] = values[std::size_t{'A'} + i] = static_cast<std::uint8_t>(10 + i);
  }
  return values;
}();

std::uint8_t hex_value(char digit) { return kHexValues[static_cast<std::uint8_t>(digit)]; }

constexpr std::string_view kStandard =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrlSafe =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string encode64(Bytes bytes, std::string_view alphabet, bool pad) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t left = bytes.size() - i;
    const std::uint32_t group = std::uint32_t{bytes[i]} << 16 |
                                (left > 1 ? std::uint32_t{bytes[i + 1]} << 8 : 0) |
                                (left > 2 ? std::uint32_t{bytes[i + 2]} : 0);
    const std::size_t digits = left > 2 ? 4 : left + 1;
    for (std::size_t d = 0; d < digits; ++d) text += alphabet[group >> (18 - 6 * d) & 63];
    if (pad) text.append(4 - digits, '=');
  }
  return text;
}

std::optional<std::vector<std::uint8_t>> decode64(std::string_view text,
                                                  std::string_view alphabet) {
  if (text.size() % 4 == 1) return std::nullopt;
  std::vector<std::uint8_t> bytes;
  bytes.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t group = 0;
  unsigned bits = 0;
  for (const char digit : text) {
    const std::size_t value = alphabet.find(digit);
    if (value == std::string_view::npos) return std::nullopt;
    group = group << 6 | static_cast<std::uint32_t>(value);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes.push_back(static_cast<std::uint8_t>(group >> bits));
    }
  }
  if ((group & ((1U << bits) - 1)) != 0) return std::nullopt;
  return bytes;
}

}  // namespace

bool parse_hex(std::string_view text, MutableBytes out) {
  if (text.size() != out.size() * 2) return false;
  unsigned seen = 0;  // a bit above 15 tells of a wrong digit
  for (std::size_t i = 0; i < out.size(); ++i) {
    const unsigned high = hex_value(text[2 * i]);
    const unsigned low = hex_value(text[2 * i + 1]);
    seen |= high | low;
    out[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return seen < 16;
}

std::string to_base64(Bytes bytes) { return encode64(bytes, kStandard, true); }

std::optional<std::vector<std::uint8_t>> parse_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  if (text.ends_with("==")) {
    text.remove_suffix(2);
  } else if (text.ends_with('=')) {
    text.remove_suffix(1);
  }
  return decode64(text, kStandard);
}

std::string to_base64url(Bytes bytes) { return encode64(bytes, kUrlSafe, false); }

std::optional<std::vector<std::uint8_t>> parse_base64url(std::string_view text) {
  return decode64(text, kUrlSafe);
}

std::optional<std::uint64_t> parse_number(std::string_view text, std::uint64_t minimum,
                                          std::uint64_t maximum) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, value, 10);
  if (error != std::errc{} || last != end || value < minimum || value > maximum) {
    return std::nullopt;
  }
  return value;
}

}  // namespace warren::base
