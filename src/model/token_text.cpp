// The text of a token.
//
// "warren1" and then base64url, without padding, of
//   u8 version = 1 | u16 length of the endpoint | endpoint | 32 bytes pin | 16 bytes secret | u32
//   CRC
// The CRC-32 (IEEE 802.3, over everything before it, big endian like all integers here) tells a
// mistyped or cut off token from a refused one before anything is sent. It protects nothing else:
// the secret is checked by the gateway, the pin by TLS.
#include <algorithm>

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "model/admin_token.hpp"
#include "model/network.hpp"

namespace warren::model {

namespace {

constexpr std::string_view kPrefix = "warren1";
constexpr std::string_view kAdminPrefix = "warrenadmin1";
// What prints tokens.
constexpr std::string_view kMemberCommand = "warren invite";
constexpr std::string_view kAdminCommand = "warren token create";
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kMaxEndpoint = 300;  // a name of 253 characters, brackets, a colon, a port
constexpr std::size_t kFixedSize = 1 + 2 + 32 + 16 + 4;
constexpr std::size_t kMaxText = kAdminPrefix.size() + (kFixedSize + kMaxEndpoint + 2) / 3 * 4;

std::uint32_t crc32(base::Bytes bytes) {
  std::uint32_t crc = 0xffffffffU;
  for (const std::uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xedb88320U & (0U - (crc & 1U)));
  }
  return ~crc;
}

base::Error bad_token(std::string why, std::string_view printed_by) {
  return base::make_error(
      base::ErrorKind::Invalid, "token: " + std::move(why),
      "copy the whole line that `" + std::string(printed_by) + "` printed, or ask for a new one");
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

bool printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

std::string written(const TokenText& token) {
  const auto& [enrol_at, pin, secret] = token;
  WARREN_ASSERT(enrol_at.size() <= kMaxEndpoint);
  std::vector<std::uint8_t> bytes(kFixedSize + enrol_at.size());
  base::ByteWriter writer(bytes);
  writer.u8(kVersion).u16_be(static_cast<std::uint16_t>(enrol_at.size()));
  writer.bytes(base::as_bytes(enrol_at)).bytes(pin).bytes(secret);
  writer.u32_be(crc32(base::Bytes(bytes).first(writer.written())));
  WARREN_ASSERT(writer.ok() && writer.written() == bytes.size());
  return base::to_base64url(bytes);
}

/// What stands behind the prefix.
base::Result<TokenText> read_token(std::string_view text, std::string_view printed_by) {
  if (text.size() > kMaxText) return bad_token("it is too long", printed_by);
  const auto bytes = base::parse_base64url(text);
  if (!bytes) {
    return bad_token("it is cut off or holds a character that no token has", printed_by);
  }
  if (bytes->size() < kFixedSize) return bad_token("it is cut off", printed_by);

  const base::Bytes body = base::Bytes(*bytes).first(bytes->size() - 4);
  if (base::ByteReader(base::Bytes(*bytes).last(4)).u32_be() != crc32(body)) {
    return bad_token("it is cut off or mistyped (its checksum is wrong)", printed_by);
  }
  base::ByteReader reader(body);
  if (reader.u8() != kVersion) {
    return base::make_error(
        base::ErrorKind::Invalid, "token: made by a newer warren",
        "upgrade warren here, or ask for a token from a gateway of this version");
  }
  const std::size_t length = reader.u16_be();
  const base::Bytes endpoint = reader.take(length);
  TokenText token;
  token.pin = reader.array<32>();
  token.secret = reader.array<16>();
  if (!reader.done()) return bad_token("it is malformed", printed_by);
  token.enrol_at.assign(endpoint.begin(), endpoint.end());
  const auto endpoint_parts = base::HostPort::parse(token.enrol_at);
  if (length > kMaxEndpoint || !printable(token.enrol_at) || !endpoint_parts ||
      endpoint_parts->port == 0) {
    return bad_token("the address of its gateway is malformed", printed_by);
  }
  return token;
}

}  // namespace

std::string TokenText::write() const { return std::string(kPrefix) + written(*this); }

base::Result<TokenText> TokenText::parse(std::string_view text) {
  text = trimmed(text);
  if (text.starts_with(kAdminPrefix)) {
    return base::make_error(base::ErrorKind::Invalid,
                            "token: this one is for administrators, not for members",
                            "give it to `warren remote add`; `warren invite` makes the others");
  }
  if (!text.starts_with(kPrefix))
    return bad_token("it does not start with \"warren1\"", kMemberCommand);
  return read_token(text.substr(kPrefix.size()), kMemberCommand);
}

std::string write_admin_token(const TokenText& token) {
  return std::string(kAdminPrefix) + written(token);
}

base::Result<TokenText> parse_admin_token(std::string_view text) {
  text = trimmed(text);
  if (text.starts_with(kAdminPrefix)) {
    return read_token(text.substr(kAdminPrefix.size()), kAdminCommand);
  }
  if (text.starts_with(kPrefix)) {
    return base::make_error(base::ErrorKind::Invalid,
                            "token: this one admits a member, it is not for administrators",
                            "`warren token create` on the gateway makes the others");
  }
  return bad_token("it does not start with \"warrenadmin1\"", kAdminCommand);
}

}  // namespace warren::model
