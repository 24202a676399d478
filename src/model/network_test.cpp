#include "model/network.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace warren::model {
namespace {

base::Prefix prefix(std::string_view text) { return base::Prefix::parse(text).value(); }
base::IpAddress address(std::string_view text) { return base::IpAddress::parse(text).value(); }

TEST(NetworkId, IsEightHexDigits) {
  EXPECT_EQ(NetworkId{0x3f9c01ab}.hex(), "3f9c01ab");
  EXPECT_EQ(NetworkId{7}.interface_name(), "wr00000007");
  EXPECT_EQ(NetworkId{7}.uplink_name(), "wh00000007");
}

TEST(Network, GatewayIsTheFirstHostAddress) {
  Network network;
  EXPECT_FALSE(network.gateway4());
  network.subnet4 = prefix("10.20.0.0/24");
  network.subnet6 = prefix("fd00:1::/64");
  EXPECT_EQ(network.gateway4(), address("10.20.0.1"));
  EXPECT_EQ(network.gateway6(), address("fd00:1::1"));
}

TEST(NetworkName, FollowsTheRule) {
  for (const char* good : {"a", "lab", "lab-2", "a23456789012345", "a-"}) {
    EXPECT_TRUE(check_network_name(good)) << good;
  }
  for (const char* bad : {"", "2lab", "-lab", "Lab", "lab_2", "lab.2", "a234567890123456", "läb",
                          "a/b", "../x", "a b", "a\n"}) {
    const base::Status status = check_network_name(bad);
    ASSERT_FALSE(status) << bad;
    EXPECT_EQ(status.error().kind, base::ErrorKind::Invalid);
    EXPECT_FALSE(status.error().hint.empty());
  }
}

TEST(NetworkName, ErrorShowsNoControlCharacters) {
  const base::Status status = check_network_name("a\x1b[31m\n");
  EXPECT_EQ(status.error().message, "network name \"a?[31m?\" is not valid");
}

TEST(PeerName, FollowsTheRule) {
  for (const char* good : {"a", "0", "laptop.of_ann-2"}) EXPECT_TRUE(check_peer_name(good)) << good;
  EXPECT_TRUE(check_peer_name(std::string(63, 'x')));
  EXPECT_FALSE(check_peer_name(std::string(64, 'x')));
  for (const char* bad : {"", ".", "-a", "_a", "A", "a/b", "a b"}) {
    EXPECT_FALSE(check_peer_name(bad)) << bad;
  }
}

TEST(Subnet, FollowsTheRule) {
  for (const char* good : {"10.0.0.0/8", "10.20.0.0/24", "192.168.1.4/30", "100.64.0.0/10",
                           "203.0.113.0/24", "fd00::/16", "fd12:3456::/64", "2001:db8::4/126"}) {
    EXPECT_TRUE(check_subnet(prefix(good))) << good;
  }
  for (const char* bad :
       {"10.0.0.0/7", "10.0.0.0/31", "10.0.0.1/32", "10.20.0.1/24", "127.0.0.0/8", "127.1.0.0/16",
        "0.0.0.0/8", "169.254.0.0/24", "224.0.0.0/8", "240.0.0.0/8", "::/64", "fd00::/15",
        "fd00::/127", "fd00::1/64", "fe80::/64", "ff00::/16", "::ffff:10.0.0.0/112"}) {
    const base::Status status = check_subnet(prefix(bad));
    ASSERT_FALSE(status) << bad;
    EXPECT_FALSE(status.error().hint.empty()) << bad;
  }
  EXPECT_EQ(check_subnet(prefix("10.20.0.1/24")).error().hint, "did you mean 10.20.0.0/24?");
}

TEST(NextFreeAddress, SkipsNetworkGatewayAndBroadcast) {
  EXPECT_EQ(next_free_address(prefix("10.0.0.0/30"), {}), address("10.0.0.2"));
  EXPECT_EQ(next_free_address(prefix("10.0.0.0/30"), {address("10.0.0.2")}), std::nullopt);
  EXPECT_EQ(next_free_address(prefix("fd00::/126"), {address("fd00::2")}), address("fd00::3"));
  EXPECT_EQ(next_free_address(prefix("fd00::/126"), {address("fd00::3"), address("fd00::2")}),
            std::nullopt);
}

TEST(NextFreeAddress, EndsAtTheEndOfTheAddressSpace) {
  const base::Prefix subnet = prefix("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126");
  std::vector<base::IpAddress> taken{subnet.last(), subnet.network().address.plus(2)};
  EXPECT_EQ(next_free_address(subnet, taken), std::nullopt);
}

TEST(NextFreeAddress, AgreesWithTheObviousSearch) {
  std::minstd_rand random(20240817);
  for (int round = 0; round < 300; ++round) {
    const base::Prefix subnet = prefix(round % 2 == 0 ? "10.9.8.64/27" : "fd00:9::40/123");
    std::vector<base::IpAddress> taken;
    const std::size_t count = random() % 48;
    taken.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      // Some lie outside the subnet or twice in the list.
      taken.push_back(subnet.address.plus(random() % 36));
    }
    std::optional<base::IpAddress> expected;
    const std::uint64_t end = subnet.address.is_v4() ? 31 : 32;
    for (std::uint64_t offset = 2; offset < end && !expected; ++offset) {
      const base::IpAddress candidate = subnet.address.plus(offset);
      if (std::ranges::find(taken, candidate) == taken.end()) expected = candidate;
    }
    ASSERT_EQ(next_free_address(subnet, taken), expected) << "round " << round;
  }
}

TEST(NextFreeAddress, FillsASubnetWithoutRepeating) {
  const base::Prefix subnet = prefix("10.1.0.0/22");
  std::vector<base::IpAddress> taken;
  while (const auto next = next_free_address(subnet, taken)) taken.push_back(*next);
  EXPECT_EQ(taken.size(), 1024U - 3U);
  EXPECT_EQ(std::set(taken.begin(), taken.end()).size(), taken.size());
}

TEST(PeerState, ReadsBackWhatItWrites) {
  for (const PeerState state : {PeerState::Invited, PeerState::Enrolled, PeerState::Revoked}) {
    EXPECT_EQ(parse_peer_state(to_string(state)), state);
  }
  EXPECT_EQ(parse_peer_state("Invited"), std::nullopt);
}

}  // namespace
}  // namespace warren::model
