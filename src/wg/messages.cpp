#include "wg/messages.hpp"

#include "base/assert.hpp"

namespace warren::wg {

namespace {

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

std::optional<MessageType> message_type(base::Bytes datagram) {
  base::ByteReader reader(datagram);
  const std::uint32_t type = reader.u32_le();
  if (!reader.ok()) return std::nullopt;
  switch (type) {
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

std::optional<TransportHeader> parse_transport(base::Bytes datagram) {
  auto reader = body(datagram, MessageType::Transport);
  if (!reader) return std::nullopt;
  TransportHeader header;
  header.receiver = reader->u32_le();
  header.counter = reader->u64_le();
  return header;
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

void write_transport_header(TransportHeader header,
                            std::span<std::uint8_t, kTransportHeaderSize> out) {
  auto writer = begin(out, MessageType::Transport);
  writer.u32_le(header.receiver).u64_le(header.counter);
  WARREN_ASSERT(writer.ok() && writer.written() == out.size());
}

}  // namespace warren::wg
