#include "ipc/hints.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace warren::ipc {
namespace {

base::PublicKey key_of(std::uint32_t number) {
  std::mt19937_64 bits(number);
  base::PublicKey key;
  for (auto& byte : key.bytes) byte = static_cast<std::uint8_t>(bits());
  return key;
}

Hint hint_of(std::uint32_t number) {
  Hint hint;
  if (number % 3 != 0) {
    hint.endpoint = base::Endpoint::parse(number % 3 == 1 ? "192.0.2.7:51820" : "[fe80::1%3]:9");
  }
  hint.last_sent_timestamp.fill(static_cast<std::uint8_t>(number));
  hint.last_accepted_timestamp.fill(static_cast<std::uint8_t>(number + 1));
  hint.last_activity = {static_cast<std::int64_t>(number) * 1'000'000'007};
  return hint;
}

bool same(const Hint& a, const Hint& b) {
  return a.endpoint == b.endpoint && a.last_sent_timestamp == b.last_sent_timestamp &&
         a.last_accepted_timestamp == b.last_accepted_timestamp &&
         a.last_activity == b.last_activity;
}

struct Memory {
  explicit Memory(std::size_t capacity) : bytes(HintsTable::size_for(capacity)) {
    HintsTable::format(bytes);
  }
  HintsTable table() { return *HintsTable::open(bytes); }
  std::vector<std::uint8_t> bytes;
};

TEST(Hints, OpensOnlyATableOfThisShape) {
  Memory memory(4);
  EXPECT_TRUE(HintsTable::open(memory.bytes));
  auto shorter = memory.bytes;
  shorter.pop_back();
  EXPECT_FALSE(HintsTable::open(shorter));
  auto longer = memory.bytes;
  longer.push_back(0);
  EXPECT_FALSE(HintsTable::open(longer));
  for (const std::size_t at : {0U, 8U, 12U}) {
    auto other = memory.bytes;
    other[at] ^= 0x10;
    EXPECT_FALSE(HintsTable::open(other)) << at;
  }
  EXPECT_FALSE(HintsTable::open({}));
}

TEST(Hints, KeepsWhatWasPutAcrossReopening) {
  Memory memory(8);
  for (std::uint32_t i = 0; i < 8; ++i) EXPECT_TRUE(memory.table().put(key_of(i), hint_of(i)));
  EXPECT_FALSE(memory.table().put(key_of(8), hint_of(8))) << "full";
  EXPECT_TRUE(memory.table().put(key_of(3), hint_of(9))) << "an update needs no room";
  for (std::uint32_t i = 0; i < 8; ++i) {
    const auto hint = memory.table().get(key_of(i));
    ASSERT_TRUE(hint) << i;
    EXPECT_TRUE(same(*hint, hint_of(i == 3 ? 9 : i))) << i;
  }
  EXPECT_FALSE(memory.table().get(key_of(8)));
}

TEST(Hints, AFullTableIsSearchedNoFurtherThanABound) {
  Memory memory(4096);
  std::uint32_t kept = 0;
  for (std::uint32_t i = 0; i < 8192; ++i) kept += memory.table().put(key_of(i), hint_of(i));
  EXPECT_GE(kept, 4096U * 9 / 10) << "nearly all room is used";
  EXPECT_LE(kept, 4096U);
  std::uint32_t found = 0;
  for (std::uint32_t i = 0; i < 8192; ++i) found += memory.table().get(key_of(i)).has_value();
  EXPECT_EQ(found, kept) << "what was taken is found";
}

TEST(Hints, TheTableFollowsItsPeersWithinBounds) {
  EXPECT_EQ(HintsTable::capacity_for(0), kMinHints);
  EXPECT_EQ(HintsTable::capacity_for(100'000), 200'000U);
  EXPECT_EQ(HintsTable::capacity_for(10'000'000), kMaxHints);
}

TEST(Hints, ASlotCutAtAnyByteReadsAsAbsentAndHidesNoOther) {
  Memory before(4);
  ASSERT_TRUE(before.table().put(key_of(1), hint_of(1)));
  Memory after = before;
  ASSERT_TRUE(after.table().put(key_of(2), hint_of(2)));
  for (std::size_t cut = 0; cut < after.bytes.size(); ++cut) {
    Memory torn = before;
    std::copy_n(after.bytes.begin(), cut, torn.bytes.begin());
    const auto first = torn.table().get(key_of(1));
    ASSERT_TRUE(first && same(*first, hint_of(1))) << cut;
    const auto second = torn.table().get(key_of(2));
    if (second) {
      EXPECT_TRUE(same(*second, hint_of(2))) << cut;
    }
    EXPECT_TRUE(torn.table().put(key_of(2), hint_of(2))) << cut;
  }
}

TEST(Hints, AgreesWithAMapUnderRandomUse) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 generator(seed);
  const auto bits = [&] { return static_cast<std::uint32_t>(generator()); };
  Memory memory(32);
  std::map<std::uint32_t, std::uint32_t> twin;
  for (int step = 0; step < 20'000; ++step) {
    const std::uint32_t who = bits() % 48;
    const std::uint32_t what = bits() % 200;
    if (bits() % 2 == 0) {
      const bool fits = twin.contains(who) || twin.size() < 32;
      ASSERT_EQ(memory.table().put(key_of(who), hint_of(what)), fits) << step;
      if (fits) twin[who] = what;
    } else {
      memory.table().erase(key_of(who));
      twin.erase(who);
    }
    const std::uint32_t asked = bits() % 48;
    const auto hint = memory.table().get(key_of(asked));
    ASSERT_EQ(hint.has_value(), twin.contains(asked)) << step;
    if (hint) {
      ASSERT_TRUE(same(*hint, hint_of(twin[asked]))) << step;
    }
  }
}

}  // namespace
}  // namespace warren::ipc
