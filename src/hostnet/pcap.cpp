// Little-endian, whatever the machine: readers tell by the magic number.
#include "hostnet/pcap.hpp"

#include <algorithm>
#include <array>

namespace warren::hostnet {

namespace {

constexpr std::uint32_t kMagicNanoseconds = 0xa1b23c4d;
constexpr std::uint16_t kMajor = 2;
constexpr std::uint16_t kMinor = 4;
constexpr std::uint32_t kLinktypeRaw = 101;
constexpr std::size_t kHeaderBytes = 24;
constexpr std::size_t kPacketHeaderBytes = 16;
constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;

}  // namespace

void append_pcap_header(std::vector<std::uint8_t>& out) {
  std::array<std::uint8_t, kHeaderBytes> header{};
  base::ByteWriter(header)
      .u32_le(kMagicNanoseconds)
      .u16_le(kMajor)
      .u16_le(kMinor)
      .u32_le(0)
      .u32_le(0)
      .u32_le(kPcapSnapLength)
      .u32_le(kLinktypeRaw);
  out.insert(out.end(), header.begin(), header.end());
}

void append_pcap_packet(std::vector<std::uint8_t>& out, base::WallTime time, base::Bytes kept,
                        std::uint32_t length) {
  const base::Bytes shown = kept.first(std::min<std::size_t>(kept.size(), kPcapSnapLength));
  std::array<std::uint8_t, kPacketHeaderBytes> header{};
  base::ByteWriter(header)
      .u32_le(static_cast<std::uint32_t>(time.ns / kNanosecondsPerSecond))
      .u32_le(static_cast<std::uint32_t>(time.ns % kNanosecondsPerSecond))
      .u32_le(static_cast<std::uint32_t>(shown.size()))
      .u32_le(length);
  out.insert(out.end(), header.begin(), header.end());
  out.insert(out.end(), shown.begin(), shown.end());
}

}  // namespace warren::hostnet
