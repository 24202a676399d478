#include "hostnet/pcap.hpp"

#include <gtest/gtest.h>

#include <array>

namespace warren::hostnet {
namespace {

TEST(Pcap, TheHeaderIsTheOneOfTheFormat) {
  std::vector<std::uint8_t> out;
  append_pcap_header(out);
  EXPECT_EQ(base::to_hex(out), "4d3cb2a10200040000000000000000000000040065000000");
}

TEST(Pcap, APacketHasItsTimeItsLengthsAndItsBytes) {
  std::vector<std::uint8_t> out;
  const std::array<std::uint8_t, 3> kept{0x45, 0x01, 0x02};
  append_pcap_packet(out, {1'700'000'000'000'000'007}, kept, 1500);
  EXPECT_EQ(base::to_hex(out),
            "00f15365"
            "07000000"
            "03000000"
            "dc050000"
            "450102");
}

TEST(Pcap, NoMoreIsKeptThanTheHeaderPromises) {
  std::vector<std::uint8_t> out;
  const std::vector<std::uint8_t> large(kPcapSnapLength + 5);
  append_pcap_packet(out, {}, large, kPcapSnapLength + 5);
  EXPECT_EQ(out.size(), 16U + kPcapSnapLength);
}

}  // namespace
}  // namespace warren::hostnet
