#include "proxy/socks.hpp"

#include <tuple>

namespace warren::proxy::socks {

namespace {

constexpr std::uint8_t kLoginVersion = 1;
enum AddressType : std::uint8_t { kV4 = 1, kName = 3, kV6 = 4 };

std::string text_of(base::Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// DST.ADDR and DST.PORT, or the same of a datagram.
struct Address {
  Input input = Input::Partial;
  bool unknown_type = false;
  Target target;
};
Address read_address(base::ByteReader& reader) {
  Address out;
  const std::uint8_t type = reader.u8();
  if (!reader.ok()) return out;
  base::Bytes bytes;
  if (type == kV4) {
    bytes = reader.take(4);
  } else if (type == kV6) {
    bytes = reader.take(16);
  } else if (type == kName) {
    const std::size_t size = reader.u8();
    bytes = reader.take(size);
  } else {
    out.input = Input::Malformed;
    out.unknown_type = true;
    return out;
  }
  const std::uint16_t port = reader.u16_be();
  if (!reader.ok()) return out;
  if (type == kName) {
    const auto target = parse_target(text_of(bytes), port);
    out.input = target ? Input::Whole : Input::Malformed;
    if (target) out.target = *target;
    return out;
  }
  out.input = Input::Whole;
  out.target = {.name = {}, .address = base::IpAddress::from_bytes(bytes), .port = port};
  return out;
}

void append_address(std::vector<std::uint8_t>& out, const base::Endpoint& at) {
  out.push_back(at.address.is_v4() ? kV4 : kV6);
  const base::Bytes bytes = at.address.bytes();
  out.insert(out.end(), bytes.begin(), bytes.end());
  out.push_back(static_cast<std::uint8_t>(at.port >> 8));
  out.push_back(static_cast<std::uint8_t>(at.port));
}

}  // namespace

Greeting parse_greeting(base::Bytes bytes) {
  base::ByteReader reader(bytes);
  Greeting out;
  if (!bytes.empty() && reader.u8() != kVersion) {
    out.input = Input::Malformed;
    return out;
  }
  const std::size_t count = reader.u8();
  const base::Bytes methods = reader.take(count);
  if (!reader.ok()) return out;
  for (const std::uint8_t method : methods) {
    if (method == kPasswordMethod) out.offers_password = true;
  }
  out.input = count == 0 ? Input::Malformed : Input::Whole;
  out.used = bytes.size() - reader.rest().size();
  return out;
}

Login parse_login(base::Bytes bytes) {
  base::ByteReader reader(bytes);
  Login out;
  if (!bytes.empty() && reader.u8() != kLoginVersion) {
    out.input = Input::Malformed;
    return out;
  }
  const std::size_t name_size = reader.u8();
  const base::Bytes name = reader.take(name_size);
  const std::size_t password_size = reader.u8();
  const base::Bytes password = reader.take(password_size);
  if (!reader.ok()) return out;
  out.input = Input::Whole;
  out.name = text_of(name);
  out.password = text_of(password);
  out.used = bytes.size() - reader.rest().size();
  return out;
}

Request parse_request(base::Bytes bytes) {
  base::ByteReader reader(bytes);
  Request out;
  if (!bytes.empty() && reader.u8() != kVersion) {
    out.input = Input::Malformed;
    return out;
  }
  out.command = reader.u8();
  std::ignore = reader.u8();  // reserved
  const Address address = read_address(reader);
  out.input = address.input;
  if (address.unknown_type) out.reply = Reply::AddressTypeNotSupported;
  if (out.input != Input::Whole) return out;
  out.target = address.target;
  out.used = bytes.size() - reader.rest().size();
  return out;
}

Reply reply_for(Failure failure) {
  switch (failure) {
    case Failure::NotSupported:
      return Reply::CommandNotSupported;
    case Failure::BadPassword:
    case Failure::OwnAddress:
    case Failure::NoDns:
      return Reply::NotAllowed;
    case Failure::NotRouted:
    case Failure::NoFamily:
      return Reply::NetworkUnreachable;
    case Failure::NameNotFound:
    case Failure::NameTimeout:
      return Reply::HostUnreachable;
    case Failure::Refused:
      return Reply::Refused;
    case Failure::TimedOut:
      return Reply::TtlExpired;
    case Failure::Malformed:
    case Failure::TooMany:
      return Reply::GeneralFailure;
  }
  return Reply::GeneralFailure;
}

std::vector<std::uint8_t> write_reply(Reply reply, const base::Endpoint& bound) {
  std::vector<std::uint8_t> out = {kVersion, static_cast<std::uint8_t>(reply), 0};
  append_address(out, bound);
  return out;
}

std::optional<Datagram> parse_datagram(base::Bytes bytes) {
  base::ByteReader reader(bytes);
  std::ignore = reader.u16_be();  // reserved
  const std::uint8_t fragment = reader.u8();
  const Address address = read_address(reader);
  if (!reader.ok() || fragment != 0 || address.input != Input::Whole) return std::nullopt;
  if (address.target.port == 0) return std::nullopt;
  return Datagram{.target = address.target, .payload = reader.rest()};
}

std::vector<std::uint8_t> write_datagram_header(const base::Endpoint& remote) {
  std::vector<std::uint8_t> out = {0, 0, 0};
  append_address(out, remote);
  return out;
}

}  // namespace warren::proxy::socks
