// What the node has to know of an inner packet: its addresses, its length and its ECN bits.
#pragma once

#include <cstdint>
#include <optional>

#include "base/address.hpp"
#include "base/bytes.hpp"

namespace warren::node {

struct InnerHeader {
  base::IpAddress source;
  base::IpAddress destination;
  std::size_t length = 0;  ///< of the whole packet, as its header says
};

/// The header of an IPv4 or IPv6 packet with nothing but padding behind it. False when the bytes
/// are too short for their header or for the length it states; `out` may have changed all the same.
/// HOT PATH
[[nodiscard]] bool parse_inner(base::Bytes packet, InnerHeader& out);

/// The ECN codepoint (low two bits of the traffic class). Needs a packet that parse_inner takes.
[[nodiscard]] std::uint8_t inner_ecn(base::Bytes packet);

/// Combines the outer ECN codepoint into the packet (RFC 6040 section 4.2). False when the packet
/// must be dropped: congestion was signalled to a transport that cannot understand it.
[[nodiscard]] bool decapsulate_ecn(base::MutableBytes packet, std::uint8_t outer);

}  // namespace warren::node
