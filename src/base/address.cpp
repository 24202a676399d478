#include "base/address.hpp"

#include <algorithm>
#include <functional>

#include <arpa/inet.h>

namespace warren::base {

// inet_pton and inet_ntop are pure functions of the C library (no name service, no socket), and
// accept and print exactly the RFC 4291 and RFC 5952 forms.

IpAddress IpAddress::v4(std::array<std::uint8_t, 4> bytes) {
  IpAddress address;
  std::ranges::copy(bytes, address.bytes_.begin());
  return address;
}

IpAddress IpAddress::v4(std::uint32_t host_order) {
  return v4({static_cast<std::uint8_t>(host_order >> 24),
             static_cast<std::uint8_t>(host_order >> 16),
             static_cast<std::uint8_t>(host_order >> 8), static_cast<std::uint8_t>(host_order)});
}

IpAddress IpAddress::v6(std::array<std::uint8_t, 16> bytes) {
  IpAddress address;
  address.family_ = Family::V6;
  address.bytes_ = bytes;
  return address;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  if (text.size() >= INET6_ADDRSTRLEN) return std::nullopt;
  char terminated[INET6_ADDRSTRLEN] = {};
  std::ranges::copy(text, terminated);
  IpAddress address;
  if (inet_pton(AF_INET, terminated, address.bytes_.data()) == 1) return address;
  address.family_ = Family::V6;
  if (inet_pton(AF_INET6, terminated, address.bytes_.data()) == 1) return address;
  return std::nullopt;
}

bool IpAddress::is_unspecified() const {
  return std::ranges::all_of(bytes_, [](std::uint8_t byte) { return byte == 0; });
}

bool IpAddress::is_link_local() const {
  if (is_v4()) return bytes_[0] == 169 && bytes_[1] == 254;
  return bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

bool IpAddress::is_multicast() const {
  return is_v4() ? (bytes_[0] & 0xf0) == 0xe0 : bytes_[0] == 0xff;
}

bool IpAddress::is_loopback() const {
  if (is_v4()) return bytes_[0] == 127;
  return bytes_[15] == 1 &&
         std::ranges::all_of(bytes().first(15), [](std::uint8_t byte) { return byte == 0; });
}

IpAddress IpAddress::plus(std::uint64_t offset) const {
  IpAddress sum = *this;
  std::uint64_t carry = offset;
  for (std::size_t i = bytes().size(); i-- > 0 && carry != 0;) {
    const std::uint64_t digit = std::uint64_t{sum.bytes_[i]} + (carry & 0xff);
    sum.bytes_[i] = static_cast<std::uint8_t>(digit);
    carry = (carry >> 8) + (digit >> 8);
  }
  return sum;
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes_.data(), text, sizeof text);
}

std::optional<Prefix> Prefix::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  if (slash == std::string_view::npos) return host(*address);
  const auto length = parse_number(text.substr(slash + 1), 0, address->bit_count());
  if (!length) return std::nullopt;
  return Prefix{*address, static_cast<std::uint8_t>(*length)};
}

Prefix Prefix::host(IpAddress address) {
  return {address, static_cast<std::uint8_t>(address.bit_count())};
}

Prefix Prefix::network() const {
  std::array<std::uint8_t, 16> bytes{};
  std::ranges::copy(address.bytes(), bytes.begin());
  for (unsigned bit = length; bit < address.bit_count(); ++bit) {
    bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] & ~(0x80U >> (bit % 8)));
  }
  return {*IpAddress::from_bytes(Bytes(bytes).first(address.bytes().size())), length};
}

bool Prefix::contains(const IpAddress& inner) const {
  if (inner.family() != address.family()) return false;
  return Prefix{inner, length}.network() == network();
}

bool Prefix::overlaps(const Prefix& other) const {
  return length <= other.length ? contains(other.address) : other.contains(address);
}

IpAddress Prefix::last() const {
  std::array<std::uint8_t, 16> bytes{};
  std::ranges::copy(address.bytes(), bytes.begin());
  for (unsigned bit = length; bit < address.bit_count(); ++bit) {
    bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] | (0x80U >> (bit % 8)));
  }
  return *IpAddress::from_bytes(Bytes(bytes).first(address.bytes().size()));
}

std::string Prefix::to_string() const { return address.to_string() + "/" + std::to_string(length); }

std::optional<HostPort> HostPort::parse(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = parse_number(text.substr(colon + 1), 0, 65535);
  if (!port) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return std::nullopt;
  }
  if (host.empty()) return std::nullopt;
  return HostPort{std::string(host), static_cast<std::uint16_t>(*port)};
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
  const auto parts = HostPort::parse(text);
  if (!parts) return std::nullopt;
  std::string_view host = parts->host;
  std::uint32_t scope = 0;
  if (const std::size_t percent = host.find('%'); percent != std::string_view::npos) {
    const auto zone = parse_number(host.substr(percent + 1), 1, 0xffffffff);
    if (!zone) return std::nullopt;
    scope = static_cast<std::uint32_t>(*zone);
    host = host.substr(0, percent);
  }
  const auto address = IpAddress::parse(host);
  if (!address || address->is_v6() != text.starts_with('[') || (scope != 0 && address->is_v4())) {
    return std::nullopt;
  }
  return Endpoint{*address, parts->port, scope};
}

std::string Endpoint::to_string() const {
  const std::string zone = scope == 0 ? "" : "%" + std::to_string(scope);
  const std::string tail = ":" + std::to_string(port);
  if (address.is_v4()) return address.to_string() + tail;
  return "[" + address.to_string() + zone + "]" + tail;
}

}  // namespace warren::base

std::size_t std::hash<warren::base::IpAddress>::operator()(
    const warren::base::IpAddress& address) const noexcept {
  const warren::base::Bytes bytes = address.bytes();
  return std::hash<std::string_view>{}({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::size_t std::hash<warren::base::Endpoint>::operator()(
    const warren::base::Endpoint& endpoint) const noexcept {
  return std::hash<warren::base::IpAddress>{}(endpoint.address) * 31 + endpoint.port;
}
