// The messages of WireGuard on the wire (whitepaper section 5.4), under the paper's names.
//
//   initiation  type=1  sender  ephemeral  static+tag  timestamp+tag  mac1 mac2        148 bytes
//   response    type=2  sender  receiver   ephemeral   empty+tag      mac1 mac2         92 bytes
//   cookie      type=3  receiver  nonce  cookie+tag                                     64 bytes
//   transport   type=4  receiver  counter  packet+padding+tag                        >= 32 bytes
//
// All integers are little endian. The type is one byte followed by three reserved zero bytes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/bytes.hpp"
#include "base/key.hpp"
#include "crypto/crypto.hpp"

namespace warren::wg {

enum class MessageType : std::uint8_t { Initiation = 1, Response = 2, Cookie = 3, Transport = 4 };

inline constexpr std::size_t kInitiationSize = 148;
inline constexpr std::size_t kResponseSize = 92;
inline constexpr std::size_t kCookieSize = 64;
inline constexpr std::size_t kTransportHeaderSize = 16;
/// Header and tag: what a transport message adds to its padded packet.
inline constexpr std::size_t kTransportOverhead = kTransportHeaderSize + crypto::kTagSize;
/// mac1 and mac2 end both handshake messages.
inline constexpr std::size_t kMacSize = 16;
inline constexpr std::size_t kMacsSize = 2 * kMacSize;
/// Transport plaintext is padded with zeros to a multiple of this.
inline constexpr std::size_t kPaddingMultiple = 16;

/// TAI64N: 8 bytes of seconds and 4 of nanoseconds, big endian; compares as bytes.
using Timestamp = std::array<std::uint8_t, 12>;
/// Our or their 32-bit name of a handshake and the session that comes of it.
using Index = std::uint32_t;
using Cookie = crypto::Mac;

struct Initiation {
  Index sender = 0;
  base::PublicKey ephemeral;
  std::array<std::uint8_t, 32 + crypto::kTagSize> encrypted_static{};
  std::array<std::uint8_t, 12 + crypto::kTagSize> encrypted_timestamp{};
  crypto::Mac mac1{};
  crypto::Mac mac2{};
};

struct Response {
  Index sender = 0;
  Index receiver = 0;
  base::PublicKey ephemeral;
  std::array<std::uint8_t, crypto::kTagSize> encrypted_nothing{};
  crypto::Mac mac1{};
  crypto::Mac mac2{};
};

struct CookieReply {
  Index receiver = 0;
  std::array<std::uint8_t, 24> nonce{};
  std::array<std::uint8_t, 16 + crypto::kTagSize> encrypted_cookie{};
};

struct TransportHeader {
  Index receiver = 0;
  std::uint64_t counter = 0;
};

/// The type of a datagram whose type, reserved bytes and length agree; nullopt for anything else.
[[nodiscard]] std::optional<MessageType> message_type(base::Bytes datagram);

/// Each parser wants the whole datagram and refuses a wrong type, reserved byte or length.
[[nodiscard]] std::optional<Initiation> parse_initiation(base::Bytes datagram);
[[nodiscard]] std::optional<Response> parse_response(base::Bytes datagram);
[[nodiscard]] std::optional<CookieReply> parse_cookie_reply(base::Bytes datagram);
/// The header only; the ciphertext is everything after kTransportHeaderSize.
[[nodiscard]] std::optional<TransportHeader> parse_transport(base::Bytes datagram);

/// Each writer fills exactly the size of its message (for transport: the header).
void write_initiation(const Initiation& message, std::span<std::uint8_t, kInitiationSize> out);
void write_response(const Response& message, std::span<std::uint8_t, kResponseSize> out);
void write_cookie_reply(const CookieReply& message, std::span<std::uint8_t, kCookieSize> out);
void write_transport_header(TransportHeader header,
                            std::span<std::uint8_t, kTransportHeaderSize> out);

}  // namespace warren::wg
