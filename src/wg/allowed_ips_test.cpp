#include "wg/allowed_ips.hpp"

#include <gtest/gtest.h>

#include "wg/wg_test_support.hpp"

namespace warren::wg {
namespace {

base::Prefix prefix(std::string_view text) { return *base::Prefix::parse(text); }
base::IpAddress address(std::string_view text) { return *base::IpAddress::parse(text); }

/// The obvious twin: a list searched from end to end.
class NaiveAllowedIps {
 public:
  void insert(base::Prefix given, PeerId owner) {
    given = given.network();
    std::erase_if(entries_, [&](const Entry& entry) { return entry.prefix == given; });
    entries_.push_back({given, owner});
  }
  void remove(base::Prefix given, PeerId owner) {
    given = given.network();
    std::erase_if(entries_, [&](const Entry& entry) {
      return entry.prefix == given && entry.owner == owner;
    });
  }
  void remove_all(PeerId owner) {
    std::erase_if(entries_, [&](const Entry& entry) { return entry.owner == owner; });
  }
  [[nodiscard]] std::optional<PeerId> lookup(const base::IpAddress& at) const {
    const Entry* best = nullptr;
    for (const Entry& entry : entries_) {
      if (entry.prefix.contains(at) &&
          (best == nullptr || entry.prefix.length > best->prefix.length)) {
        best = &entry;
      }
    }
    if (best == nullptr) return std::nullopt;
    return best->owner;
  }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] std::size_t count(PeerId owner) const {
    return static_cast<std::size_t>(
        std::count_if(entries_.begin(), entries_.end(),
                      [&](const Entry& entry) { return entry.owner == owner; }));
  }

 private:
  struct Entry {
    base::Prefix prefix;
    PeerId owner;
  };
  std::vector<Entry> entries_;
};

TEST(AllowedIps, TheLongestPrefixWins) {
  AllowedIps table;
  table.insert(prefix("0.0.0.0/0"), PeerId{1});
  table.insert(prefix("10.0.0.0/8"), PeerId{2});
  table.insert(prefix("10.1.0.0/16"), PeerId{3});
  table.insert(prefix("10.1.2.3/32"), PeerId{4});
  EXPECT_EQ(table.lookup(address("192.0.2.1")), PeerId{1});
  EXPECT_EQ(table.lookup(address("10.2.0.1")), PeerId{2});
  EXPECT_EQ(table.lookup(address("10.1.255.1")), PeerId{3});
  EXPECT_EQ(table.lookup(address("10.1.2.3")), PeerId{4});
  EXPECT_EQ(table.lookup(address("::1")), std::nullopt);
  table.remove(prefix("10.1.0.0/16"), PeerId{3});
  EXPECT_EQ(table.lookup(address("10.1.255.1")), PeerId{2});
  EXPECT_EQ(table.lookup(address("10.1.2.3")), PeerId{4});
}

TEST(AllowedIps, FamiliesDoNotMix) {
  AllowedIps table;
  table.insert(prefix("::/0"), PeerId{6});
  EXPECT_EQ(table.lookup(address("0.0.0.0")), std::nullopt);
  table.insert(prefix("0.0.0.0/0"), PeerId{4});
  EXPECT_EQ(table.lookup(address("::")), PeerId{6});
  EXPECT_EQ(table.lookup(address("2001:db8::1")), PeerId{6});
  EXPECT_EQ(table.lookup(address("255.255.255.255")), PeerId{4});
}

TEST(AllowedIps, GivingAPrefixAwayTakesItFromItsOwner) {
  AllowedIps table;
  table.insert(prefix("10.0.0.1/24"), PeerId{1});
  table.insert(prefix("10.0.0.0/24"), PeerId{2});
  EXPECT_EQ(table.lookup(address("10.0.0.9")), PeerId{2});
  EXPECT_TRUE(table.of(PeerId{1}).empty());
  EXPECT_EQ(table.of(PeerId{2}), std::vector{prefix("10.0.0.0/24")});
  table.remove(prefix("10.0.0.0/24"), PeerId{1});  // not its owner: nothing happens
  EXPECT_EQ(table.lookup(address("10.0.0.9")), PeerId{2});
  table.remove_all(PeerId{1});
  EXPECT_EQ(table.lookup(address("10.0.0.9")), PeerId{2});
}

base::Prefix random_prefix(SeededRandom& random) {
  // Few distinct bits, so that prefixes nest and collide.
  if (random.below(2) == 0) {
    const auto bits = static_cast<std::uint32_t>(random.below(16) << 28 | random.below(16) << 20 |
                                                 random.below(4));
    return {base::IpAddress::v4(bits), static_cast<std::uint8_t>(random.below(33))};
  }
  std::array<std::uint8_t, 16> bytes{};
  for (const std::size_t at : {0U, 7U, 8U, 15U}) {
    bytes[at] = static_cast<std::uint8_t>(random.below(4) * 85);
  }
  return {base::IpAddress::v6(bytes), static_cast<std::uint8_t>(random.below(129))};
}

TEST(AllowedIps, AgreesWithItsNaiveTwin) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SeededRandom random(seed);
    AllowedIps table;
    NaiveAllowedIps naive;
    for (int step = 0; step < 600; ++step) {
      const base::Prefix at = random_prefix(random);
      const PeerId peer{static_cast<std::uint32_t>(random.below(12))};
      const std::uint64_t kind = random.below(100);
      if (kind < 55) {
        table.insert(at, peer);
        naive.insert(at, peer);
      } else if (kind < 97) {
        table.remove(at, peer);
        naive.remove(at, peer);
      } else {
        table.remove_all(peer);
        naive.remove_all(peer);
      }
      for (int probe = 0; probe < 10; ++probe) {
        const base::IpAddress where = random_prefix(random).address;
        ASSERT_EQ(table.lookup(where), naive.lookup(where))
            << "seed " << seed << " step " << step << " " << where.to_string();
      }
      ASSERT_EQ(table.of(peer).size(), naive.count(peer)) << "seed " << seed;
      ASSERT_LE(table.node_count(), 2 * naive.size()) << "seed " << seed;
    }
    for (std::uint32_t peer = 0; peer < 12; ++peer) table.remove_all(PeerId{peer});
    ASSERT_EQ(table.node_count(), 0U);
  }
}

}  // namespace
}  // namespace warren::wg
