// Handshake messages are read and written field by field. The header of a transport message is not:
// there is one per packet, and its three fields are one load or store each.
#include "wg/messages.hpp"

#include <bit>
#include <concepts>
#include <cstring>

#include "base/assert.hpp"

namespace warren::wg {

namespace {

constexpr std::size_t kTypeAt = 0;
constexpr std::size_t kReceiverAt = 4;
constexpr std::size_t kCounterAt = 8;

template <std::unsigned_integral T>
T in_little_endian(T value) {
  return std::endian::native == std::endian::little ? value : std::byteswap(value);
}

template <std::unsigned_integral T>
T load_le(const std::uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return in_little_endian(value);
}

template <std::unsigned_integral T>
void store_le(T value, std::uint8_t* to) {
  value = in_little_endian(value);
  std::memcpy(to, &value, sizeof value);
}

/// A reader behind the type field, if the datagram is of this type.
std::optional<base::ByteReader> body(base::Bytes datagram, MessageType type) {
  if (message_type(datagram) != type) return std::nullopt;
  return base::ByteReader(datagram.subspan(4));
}

base::ByteWriter begin(base::MutableBytes out, MessageType type) {
  base::ByteWriter writer(out);
  writer.u32_le(std::to_underlying(type));
  return writer;
}

}  // namespace

// HOT PATH
std::optional<MessageType> message_type(base::Bytes datagram) {
  if (datagram.size() < sizeof(std::uint32_t)) return std::nullopt;
  switch (load_le<std::uint32_t>(&datagram[kTypeAt])) {
    case 1:
      if (datagram.size() == kInitiationSize) return MessageType::Initiation;
      break;
    case 2:
      if (datagram.size() == kResponseSize) return MessageType::Response;
      break;
    case 3:
      if (datagram.size() == kCookieSize) return MessageType::Cookie;
      break;
    case 4:
      if (datagram.size() >= kTransportOverhead) return MessageType::Transport;
      break;
    default:
      break;
  }
  return std::nullopt;
}

std::optional<Initiation> parse_initiation(base::Bytes datagram) {
  auto reader = body(datagram, MessageType::Initiation);
  if (!reader) return std::nullopt;
  Initiation message;
  message.sender = reader->u32_le();
  message.ephemeral.bytes = reader->array<32>();
  message.encrypted_static = reader->array<48>();
  message.encrypted_timestamp = reader->array<28>();
  message.mac1 = reader->array<kMacSize>();
  message.mac2 = reader->array<kMacSize>();
  if (!reader->done()) return std::nullopt;
  return message;
}

std::optional<Response> parse_response(base::Bytes datagram) {
  auto reader = body(datagram, MessageType::Response);
  if (!reader) return std::nullopt;
  Response message;
  message.sender = reader->u32_le();
  message.receiver = reader->u32_le();
  message.ephemeral.bytes = reader->array<32>();
  message.encrypted_nothing = reader->array<crypto::kTagSize>();
  message.mac1 = reader->array<kMacSize>();
  message.mac2 = reader->array<kMacSize>();
  if (!reader->done()) return std::nullopt;
  return message;
}

std::optional<CookieReply> parse_cookie_reply(base::Bytes datagram) {
  auto reader = body(datagram, MessageType::Cookie);
  if (!reader) return std::nullopt;
  CookieReply message;
  message.receiver = reader->u32_le();
  message.nonce = reader->array<24>();
  message.encrypted_cookie = reader->array<32>();
  if (!reader->done()) return std::nullopt;
  return message;
}

// HOT PATH
std::optional<TransportHeader> parse_transport(base::Bytes datagram) {
  if (message_type(datagram) != MessageType::Transport) return std::nullopt;
  return TransportHeader{.receiver = load_le<Index>(&datagram[kReceiverAt]),
                         .counter = load_le<std::uint64_t>(&datagram[kCounterAt])};
}

void write_initiation(const Initiation& message, std::span<std::uint8_t, kInitiationSize> out) {
  auto writer = begin(out, MessageType::Initiation);
  writer.u32_le(message.sender)
      .bytes(message.ephemeral.bytes)
      .bytes(message.encrypted_static)
      .bytes(message.encrypted_timestamp)
      .bytes(message.mac1)
      .bytes(message.mac2);
  WARREN_ASSERT(writer.ok() && writer.written() == out.size());
}

void write_response(const Response& message, std::span<std::uint8_t, kResponseSize> out) {
  auto writer = begin(out, MessageType::Response);
  writer.u32_le(message.sender)
      .u32_le(message.receiver)
      .bytes(message.ephemeral.bytes)
      .bytes(message.encrypted_nothing)
      .bytes(message.mac1)
      .bytes(message.mac2);
  WARREN_ASSERT(writer.ok() && writer.written() == out.size());
}

void write_cookie_reply(const CookieReply& message, std::span<std::uint8_t, kCookieSize> out) {
  auto writer = begin(out, MessageType::Cookie);
  writer.u32_le(message.receiver).bytes(message.nonce).bytes(message.encrypted_cookie);
  WARREN_ASSERT(writer.ok() && writer.written() == out.size());
}

// HOT PATH
void write_transport_header(TransportHeader header,
                            std::span<std::uint8_t, kTransportHeaderSize> out) {
  static_assert(kCounterAt + sizeof header.counter == kTransportHeaderSize);
  store_le(std::uint32_t{std::to_underlying(MessageType::Transport)}, &out[kTypeAt]);
  store_le(header.receiver, &out[kReceiverAt]);
  store_le(header.counter, &out[kCounterAt]);
}

}  // namespace warren::wg
