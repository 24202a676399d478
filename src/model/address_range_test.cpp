#include "model/address_range.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "model/forward.hpp"
#include "model/network.hpp"

namespace warren::model {
namespace {

base::IpAddress address(const char* text) { return *base::IpAddress::parse(text); }
base::Prefix prefix(const char* text) { return *base::Prefix::parse(text); }
AddressRange range(const char* text) { return *AddressRange::parse(text); }

TEST(AddressRange, ReadsItsThreeForms) {
  EXPECT_EQ(range("10.0.0.4-10.0.0.9").to_string(), "10.0.0.4-10.0.0.9");
  EXPECT_EQ(range("10.0.0.16/28").to_string(), "10.0.0.16-10.0.0.31");
  EXPECT_EQ(range("fd00::5").to_string(), "fd00::5");
  for (const char* wrong : {"", "-", "10.0.0.9-10.0.0.4", "10.0.0.1-fd00::1", "10.0.0.1/28",
                            "10.0.0.1-", "10.0.0.1-10.0.0.2-10.0.0.3", "x"}) {
    EXPECT_FALSE(AddressRange::parse(wrong)) << wrong;
  }
}

TEST(AddressRange, HoldsItsEnds) {
  const AddressRange four = range("10.0.0.4-10.0.0.7");
  EXPECT_TRUE(four.contains(address("10.0.0.4")) && four.contains(address("10.0.0.7")));
  EXPECT_FALSE(four.contains(address("10.0.0.3")) || four.contains(address("10.0.0.8")));
  EXPECT_FALSE(four.contains(address("fd00::4")));
}

TEST(CountAddresses, CountsEachOnceAndOnlyInside) {
  const auto subnet = prefix("10.0.0.0/24");
  EXPECT_EQ(count_addresses({}, subnet), 0U);
  EXPECT_EQ(count_addresses({range("10.0.0.4-10.0.0.7"), range("10.0.0.6-10.0.0.9")}, subnet), 6U);
  EXPECT_EQ(count_addresses({range("10.0.0.0/24"), range("10.0.0.6")}, subnet), 256U);
  EXPECT_EQ(count_addresses({range("9.255.255.250-10.0.0.1"), range("fd00::1")}, subnet), 2U);
  EXPECT_EQ(count_addresses({range("fd00::/64")}, prefix("fd00::/32")),
            std::numeric_limits<std::uint64_t>::max());
}

TEST(NextFreeAddress, PassesOverReservedRangesAndTheChosenGateway) {
  const auto subnet = prefix("10.0.0.0/28");
  EXPECT_EQ(next_free_address(subnet, {}, address("10.0.0.9")), address("10.0.0.1"));
  const std::vector<AddressRange> reserved{range("10.0.0.1-10.0.0.3"), range("10.0.0.5")};
  std::vector<base::IpAddress> taken;
  while (const auto next = next_free_address(subnet, taken, address("10.0.0.9"), reserved)) {
    taken.push_back(*next);
  }
  std::string all;
  for (const auto& one : taken) all += std::to_string(one.bytes()[3]) + " ";
  EXPECT_EQ(all, "4 6 7 8 10 11 12 13 14 ");
  EXPECT_FALSE(next_free_address(subnet, {}, std::nullopt, {range("10.0.0.0/28")}));
}

TEST(GatewayAddress, MustBeAHostOfTheSubnet) {
  EXPECT_TRUE(check_gateway_address(prefix("10.0.0.0/24"), address("10.0.0.254")));
  EXPECT_FALSE(check_gateway_address(prefix("10.0.0.0/24"), address("10.0.0.255")));
  EXPECT_FALSE(check_gateway_address(prefix("10.0.0.0/24"), address("10.0.0.0")));
  EXPECT_FALSE(check_gateway_address(prefix("10.0.0.0/24"), address("10.0.1.1")));
  EXPECT_TRUE(check_gateway_address(prefix("fd00::/64"), address("fd00::ffff:ffff:ffff:ffff")));
}

TEST(PublicPort, ReadsBackWhatItWrites) {
  EXPECT_EQ(PublicPort::parse("8080"), (PublicPort{Protocol::Tcp, 8080}));
  EXPECT_EQ(PublicPort::parse("53/udp"), (PublicPort{Protocol::Udp, 53}));
  EXPECT_EQ(PublicPort::parse("53/udp")->to_string(), "53/udp");
  for (const char* wrong : {"", "0", "65536", "80/", "80/sctp", "/tcp", "80/tcp/udp", " 80"}) {
    EXPECT_FALSE(PublicPort::parse(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace warren::model
