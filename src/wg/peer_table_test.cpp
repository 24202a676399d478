#include "wg/peer_table.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "wg/wg_test_support.hpp"

namespace warren::wg {
namespace {

constexpr base::Duration kLifetime = std::chrono::seconds(120);

base::PublicKey key_of(std::uint64_t number) {
  base::PublicKey key;
  SeededRandom(number).fill(key.bytes);
  return key;
}

TEST(TagTable, AgreesWithItsNaiveTwin) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SeededRandom random(seed);
    TagTable table;
    std::set<std::pair<std::uint32_t, std::uint32_t>> naive;
    for (int step = 0; step < 4000; ++step) {
      // Few tags, most of them at the end of the array, so that runs wrap around and collide.
      const auto tag = static_cast<std::uint32_t>(0U - random.below(24));
      const auto value = static_cast<std::uint32_t>(random.below(8));
      const bool grows = step / 500 % 2 == 0;
      if (naive.contains({tag, value})) {
        if (random.below(10) < (grows ? 3U : 8U)) {
          table.erase(tag, value);
          naive.erase({tag, value});
        }
      } else if (random.below(10) < (grows ? 8U : 3U)) {
        table.insert(tag, value);
        naive.emplace(tag, value);
      }
      ASSERT_EQ(table.size(), naive.size());
      for (std::uint32_t t = 0; t < 24; ++t) {
        for (std::uint32_t v = 0; v < 8; ++v) {
          const auto found = table.find(0U - t, [v](std::uint32_t other) { return other == v; });
          ASSERT_EQ(found.has_value(), naive.contains({0U - t, v})) << "seed " << seed;
        }
      }
    }
  }
}

TEST(IndexTable, FindsEveryLeaseUntilItEnds) {
  SeededRandom random(3);
  IndexTable table;
  std::map<Index, std::pair<PeerId, IndexLease>> leases;
  for (std::uint32_t i = 0; i < 5000; ++i) {
    IndexLease lease = table.lease(PeerId{i}, random);
    const Index index = lease.index();
    ASSERT_TRUE(leases.emplace(index, std::pair(PeerId{i}, std::move(lease))).second);
    if (i % 3 == 0) {
      const Index ended = leases.begin()->first;
      leases.erase(leases.begin());
      ASSERT_FALSE(table.find(ended));
    }
  }
  for (const auto& [index, held] : leases) ASSERT_EQ(table.find(index), held.first);
  leases.clear();
  EXPECT_EQ(table.size(), 0U);
}

TEST(PeerTable, FindsPeersThroughAddingAndRemoving) {
  SeededRandom random(4);
  PeerTable table(3000, &random);
  std::map<std::uint64_t, PeerId> naive;
  for (int step = 0; step < 30'000; ++step) {
    const std::uint64_t number = random.below(4000);
    const auto found = naive.find(number);
    Peer* const peer = table.find(key_of(number));
    ASSERT_EQ(peer != nullptr, found != naive.end());
    if (peer == nullptr) {
      Peer* const added = table.add(key_of(number), kLifetime);
      ASSERT_EQ(added != nullptr, naive.size() < 3000);
      if (added != nullptr) naive.emplace(number, added->id);
    } else if (random.below(3) == 0) {
      ASSERT_EQ(peer->id, found->second);
      table.remove(peer->id);
      naive.erase(found);
    }
    ASSERT_EQ(table.size(), naive.size());
  }
  for (const auto& [number, id] : naive) ASSERT_EQ(table.at(id).public_key, key_of(number));
}

TEST(PeerTable, PagesShowEveryPeerThatStaysOnce) {
  PeerTable table(1000);
  for (std::uint64_t i = 0; i < 700; ++i) ASSERT_NE(table.add(key_of(i), kLifetime), nullptr);
  std::map<std::uint32_t, int> seen;
  std::optional<std::size_t> at = 0;
  std::uint64_t next = 0;
  while (at) {
    at = table.for_slots(*at, 64, [&](Peer& peer) { ++seen[peer.id.value]; });
    table.remove(table.find(key_of(next))->id);                     // an early one goes,
    ASSERT_NE(table.add(key_of(1000 + next), kLifetime), nullptr);  // another takes its slot
    ++next;
  }
  for (std::uint64_t i = next; i < 700; ++i) {
    EXPECT_EQ(seen[table.find(key_of(i))->id.value], 1) << i;
  }
}

TEST(Peer, IsSmallUntilItTalks) {
  // The figures that the peer's promise of 1 KiB is made of; the heap is measured by peer_bench.
  EXPECT_LE(sizeof(Peer), 384U);
}

}  // namespace
}  // namespace warren::wg
