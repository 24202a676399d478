#include "control/peer_index.hpp"

#include <gtest/gtest.h>

#include <random>

namespace warren::control {
namespace {

/// The index beside a plain map that is searched from one end to the other.
class Twins {
 public:
  explicit Twins(std::uint32_t seed) : random_(seed) {}

  void step() {
    const model::PeerId id{static_cast<std::uint32_t>(random_() % 40 + 1)};
    if (const auto old = peers_.find(id); old != peers_.end()) index_.remove(old->second);
    if (random_() % 4 == 0) {
      peers_.erase(id);
      return;
    }
    model::Peer& peer = peers_[id];
    peer = {.id = id, .network = {id.value % 2 + 1}};
    peer.name = "p" + std::to_string(id.value) + (random_() % 2 == 0 ? "" : "x");
    peer.role = random_() % 2 == 0 ? "node" : "member";
    peer.person = random_() % 2 == 0 ? "" : "ann";
    peer.state = random_() % 3 == 0 ? model::PeerState::Revoked : model::PeerState::Enrolled;
    if (random_() % 4 != 0) peer.address4 = free_address(peer.network);
    index_.add(peer);
  }

  void compare() {
    for (const model::NetworkId network : {model::NetworkId{1}, model::NetworkId{2}}) {
      std::size_t all = 0;
      std::size_t members = 0;
      std::size_t nodes = 0;
      std::size_t anns = 0;
      for (const auto& [id, peer] : peers_) {
        if (peer.network != network) continue;
        ++all;
        ASSERT_EQ(index_.in(network).at(id), &peer);
        if (peer.address4) {
          ASSERT_EQ(index_.holder(network, *peer.address4), &peer);
        }
        if (peer.state == model::PeerState::Revoked) continue;
        ++members;
        nodes += peer.role == "node" ? 1U : 0U;
        anns += peer.person == "ann" ? 1U : 0U;
        ASSERT_EQ(index_.named(network, peer.name), &peer);
      }
      EXPECT_EQ(index_.in(network).size(), all);
      EXPECT_EQ(index_.members(network), members);
      EXPECT_EQ(index_.members(network, "node"), nodes);
      EXPECT_EQ(index_.devices(network, "ann").size(), anns);
      EXPECT_EQ(index_.named(network, "nobody"), nullptr);
    }
  }

  base::IpAddress free_address(model::NetworkId network) {
    std::vector<base::IpAddress> taken;
    for (const auto& [address, peer] : index_.addresses(network)) taken.push_back(address);
    const auto wanted = model::next_free_address(kSubnet, taken, std::nullopt, kReserved);
    const auto found =
        index_.next_free(network, "node", kSubnet, kSubnet.address.plus(1), kReserved, {});
    EXPECT_EQ(found, wanted);
    // One that leaves something out leaves no trace.
    const auto other = index_.next_free(network, "node", kSubnet, kSubnet.address.plus(1),
                                        kReserved, {{*found, *found}});
    EXPECT_NE(other, found);
    return *found;
  }

 private:
  const base::Prefix kSubnet = *base::Prefix::parse("10.9.8.0/26");
  const std::vector<model::AddressRange> kReserved{*model::AddressRange::parse("10.9.8.5-10.9.8.7"),
                                                   *model::AddressRange::parse("10.9.8.9")};
  std::minstd_rand random_;
  std::map<model::PeerId, model::Peer> peers_;
  PeerIndex index_;
};

TEST(PeerIndex, FindsWhatASearchOfAllFinds) {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    Twins twins(seed);
    for (int i = 0; i < 300; ++i) {
      twins.step();
      if (i % 10 == 0) twins.compare();
    }
    twins.compare();
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
  }
}

TEST(PeerIndex, AFullRangeHasNoAddressUntilOneGoes) {
  PeerIndex index;
  const base::Prefix subnet = *base::Prefix::parse("10.0.0.0/29");
  std::map<model::PeerId, model::Peer> peers;
  const auto next = [&] {
    return index.next_free({1}, "member", subnet, subnet.address.plus(1), {}, {});
  };
  std::uint32_t id = 0;
  while (const auto address = next()) {
    model::Peer& peer = peers[{++id}];
    peer = {.id = {id}, .network = {1}, .name = "p" + std::to_string(id)};
    peer.address4 = *address;
    index.add(peer);
  }
  EXPECT_EQ(id, 5U);
  index.remove(peers.at({3}));
  EXPECT_EQ(next(), peers.at({3}).address4);
  EXPECT_EQ(next(), peers.at({3}).address4);
}

}  // namespace
}  // namespace warren::control
