// The pcap file format, with nanoseconds and bare IP packets (LINKTYPE_RAW), as tcpdump and
// Wireshark read it. Pure: bytes to bytes.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.hpp"
#include "base/time.hpp"

namespace warren::hostnet {

/// The most of a packet that is kept: more than any IP packet has.
inline constexpr std::uint32_t kPcapSnapLength = 262'144;

/// The 24 bytes that a file starts with.
void append_pcap_header(std::vector<std::uint8_t>& out);
/// One packet: 16 bytes, then `kept`, the first bytes of a packet that had `length`.
void append_pcap_packet(std::vector<std::uint8_t>& out, base::WallTime time, base::Bytes kept,
                        std::uint32_t length);

}  // namespace warren::hostnet
