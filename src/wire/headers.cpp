#include "wire/headers.hpp"

namespace warren::wire {

namespace {

constexpr std::size_t kMacsSize = 12;
constexpr std::size_t kTagSize = 4;
constexpr int kMaxTags = 2;
constexpr std::uint16_t kEtherIpv4 = 0x0800;
constexpr std::uint16_t kEtherIpv6 = 0x86dd;
constexpr std::uint16_t kEtherVlan = 0x8100;
constexpr std::uint16_t kEtherProviderVlan = 0x88a8;

constexpr std::uint8_t kHopByHop = 0;
constexpr std::uint8_t kRouting = 43;
constexpr std::uint8_t kFragment = 44;
constexpr std::uint8_t kDestinationOptions = 60;
constexpr std::size_t kFragmentHeaderSize = 8;

std::optional<Headers> parse_v4(base::Bytes packet, Headers headers) {
  if (packet.size() - headers.network < kIpv4HeaderSize) return std::nullopt;
  const std::uint8_t* ip = packet.data() + headers.network;
  const std::size_t size = std::size_t{ip[0]} % 16 * 4;
  const std::size_t total = load_u16_be(ip + 2);
  if (size < kIpv4HeaderSize || total < size || total > packet.size() - headers.network) {
    return std::nullopt;
  }
  headers.transport = headers.network + size;
  headers.end = headers.network + total;
  headers.protocol = ip[9];
  headers.plain = size == kIpv4HeaderSize;
  headers.fragment = (load_u16_be(ip + 6) & 0x3fff) != 0;  // more to come, or an offset
  return headers;
}

/// Walks over the headers between the IPv6 header and the transport's.
std::optional<Headers> walk_extensions(base::Bytes packet, Headers headers) {
  while (true) {
    const std::uint8_t* header = packet.data() + headers.transport;
    const std::size_t rest = headers.end - headers.transport;
    if (headers.protocol == kFragment) {
      if (rest < kFragmentHeaderSize) return std::nullopt;
      headers.fragment = true;
      headers.transport += kFragmentHeaderSize;
      headers.protocol = header[0];
      headers.plain = false;
      return headers;
    }
    if (headers.protocol != kHopByHop && headers.protocol != kRouting &&
        headers.protocol != kDestinationOptions) {
      return headers;
    }
    if (rest < 2) return std::nullopt;
    const std::size_t size = (std::size_t{header[1]} + 1) * 8;
    if (rest < size) return std::nullopt;
    headers.transport += size;
    headers.protocol = header[0];
    headers.plain = false;
  }
}

std::optional<Headers> parse_v6(base::Bytes packet, Headers headers) {
  if (packet.size() - headers.network < kIpv6HeaderSize) return std::nullopt;
  const std::uint8_t* ip = packet.data() + headers.network;
  const std::size_t total = kIpv6HeaderSize + load_u16_be(ip + 4);
  if (total > packet.size() - headers.network) return std::nullopt;
  headers.v6 = true;
  headers.transport = headers.network + kIpv6HeaderSize;
  headers.end = headers.network + total;
  headers.protocol = ip[6];
  return walk_extensions(packet, headers);
}

/// Where the IP header of a frame begins, and the version that the EtherType promises.
struct Link {
  std::size_t size;
  int version;
};

std::optional<Link> parse_link(base::Bytes frame) {
  std::size_t type_at = kMacsSize;
  for (int tags = 0; tags <= kMaxTags; ++tags) {
    if (frame.size() < type_at + 2) return std::nullopt;
    const std::uint16_t type = load_u16_be(frame.data() + type_at);
    if (type == kEtherIpv4) return Link{type_at + 2, 4};
    if (type == kEtherIpv6) return Link{type_at + 2, 6};
    if (type != kEtherVlan && type != kEtherProviderVlan) return std::nullopt;
    type_at += kTagSize;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Headers> parse_headers(base::Bytes packet, Layer layer) {
  Headers headers;
  int promised = 0;
  if (layer == Layer::Frame) {
    const auto link = parse_link(packet);
    if (!link) return std::nullopt;
    headers.network = link->size;
    promised = link->version;
  }
  if (packet.size() <= headers.network) return std::nullopt;
  const int version = packet[headers.network] >> 4;
  if (promised != 0 && version != promised) return std::nullopt;
  if (version == 4) return parse_v4(packet, headers);
  if (version == 6) return parse_v6(packet, headers);
  return std::nullopt;
}

}  // namespace warren::wire
