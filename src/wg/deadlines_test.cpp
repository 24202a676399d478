#include "wg/deadlines.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <map>

#include "wg/on_demand.hpp"
#include "wg/ring.hpp"
#include "wg/timers.hpp"
#include "wg/wg_test_support.hpp"

namespace warren::wg {
namespace {

/// The obvious twin: a list searched from end to end.
class NaiveDeadlines {
 public:
  void wake_by(PeerId peer, base::Instant at) {
    const auto found = at_.emplace(peer, at).first;
    found->second = std::min(found->second, at);
  }
  void remove(PeerId peer) { at_.erase(peer); }
  [[nodiscard]] std::optional<base::Instant> next() const {
    std::optional<base::Instant> earliest;
    for (const auto& [peer, at] : at_) earliest = std::min(earliest.value_or(at), at);
    return earliest;
  }
  [[nodiscard]] bool has(PeerId peer) const { return at_.contains(peer); }
  [[nodiscard]] base::Instant of(PeerId peer) const { return at_.at(peer); }
  [[nodiscard]] std::size_t size() const { return at_.size(); }

 private:
  std::map<PeerId, base::Instant> at_;
};

/// Deadlines at every distance: within a tick, a level, and up to a century.
base::Duration random_distance(SeededRandom& random) {
  const std::uint64_t below = std::uint64_t{1} << random.below(61);
  return base::Duration(static_cast<std::int64_t>(random.below(below)));
}

/// Takes everything that is due, comparing each with the twin.
void take_all(Deadlines& deadlines, NaiveDeadlines& naive, base::Instant now) {
  while (const auto due = deadlines.take_due(now)) {
    ASSERT_LE(naive.of(*due), now);
    ASSERT_EQ(naive.of(*due), naive.next()) << "in the order of the deadlines";
    naive.remove(*due);
  }
  const base::Instant never{std::numeric_limits<std::int64_t>::max()};
  ASSERT_GT(naive.next().value_or(never), now) << "nobody is forgotten";
  ASSERT_GT(deadlines.next().value_or(never), now) << "the caller would spin";
}

TEST(Deadlines, AgreesWithItsNaiveTwin) {
  constexpr std::int64_t kLatest = std::int64_t{1} << 62;  // 146 years; distances stay below too
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    SeededRandom random(seed);
    Deadlines deadlines;
    NaiveDeadlines naive;
    base::Instant now{static_cast<std::int64_t>(random.below(std::uint64_t{1} << 50))};
    const bool only_fresh = seed % 2 == 1;  // nobody leaves or moves: next() is exact
    for (int step = 0; step < 2000; ++step) {
      const PeerId peer{static_cast<std::uint32_t>(random.below(40))};
      const std::uint64_t kind = random.below(20);
      if (kind < 11) {
        const base::Duration distance = random_distance(random);
        const base::Instant at = kind == 0 ? now - distance : now + distance;
        if (only_fresh && naive.has(peer)) continue;
        deadlines.wake_by(peer, at);
        naive.wake_by(peer, at);
      } else if (kind < 14 && !only_fresh) {
        deadlines.remove(peer);
        naive.remove(peer);
      } else {
        const base::Duration jump = random_distance(random);
        const bool to_next = kind < 18 && naive.next() && *naive.next() > now && now.ns < kLatest;
        if (to_next) now = *naive.next();
        if (!to_next && now.ns < kLatest) now += jump / 64;
        ASSERT_NO_FATAL_FAILURE(take_all(deadlines, naive, now));
      }
      ASSERT_EQ(deadlines.size(), naive.size());
      ASSERT_EQ(deadlines.next().has_value(), naive.next().has_value());
      if (only_fresh) {
        ASSERT_EQ(deadlines.next(), naive.next());
      } else if (naive.next()) {
        ASSERT_LE(*deadlines.next(), *naive.next());
      }
    }
  }
}

TEST(Deadlines, ARemovedOneMayWakeOnceForNothing) {
  Deadlines deadlines;
  deadlines.wake_by(PeerId{1}, {10'000'000'000});
  deadlines.wake_by(PeerId{2}, {10'900'000'000});
  deadlines.remove(PeerId{1});
  const auto next = deadlines.next();
  ASSERT_TRUE(next);
  if (*next < base::Instant{10'900'000'000}) {
    EXPECT_FALSE(deadlines.take_due(*next));
    EXPECT_GT(*deadlines.next(), *next);
  }
  EXPECT_EQ(deadlines.take_due({10'900'000'000}), PeerId{2});
}

TEST(Deadlines, AYearLostInSuspendWakesEverybodyInOrder) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  constexpr std::uint32_t kPeers = 100'000;
  SeededRandom random(9);
  Deadlines deadlines;
  for (std::uint32_t peer = 0; peer < kPeers; ++peer) {
    deadlines.wake_by(PeerId{peer}, {static_cast<std::int64_t>(random.below(540 * kSecond))});
  }
  const base::Instant later{365 * 86'400 * kSecond};
  std::vector<bool> woken(kPeers);
  for (std::uint32_t i = 0; i < kPeers; ++i) {
    const auto due = deadlines.take_due(later);
    ASSERT_TRUE(due);
    ASSERT_FALSE(woken[due->value]);
    woken[due->value] = true;
  }
  EXPECT_FALSE(deadlines.take_due(later));
  deadlines.wake_by(PeerId{7}, {later.ns + 25 * kSecond});
  EXPECT_EQ(deadlines.next(), base::Instant{later.ns + 25 * kSecond});
  EXPECT_FALSE(deadlines.take_due({later.ns + 25 * kSecond - 1}));
  EXPECT_EQ(deadlines.take_due({later.ns + 25 * kSecond}), PeerId{7});
}

TEST(Timers, KnowTheirEarliest) {
  Timers timers;
  EXPECT_FALSE(timers.next());
  timers.arm(Timer::ZeroKeys, {500});
  timers.arm(Timer::SendKeepalive, {100});
  EXPECT_EQ(timers.next(), base::Instant{100});
  EXPECT_FALSE(timers.take_due(Timer::SendKeepalive, {99}));
  EXPECT_TRUE(timers.take_due(Timer::SendKeepalive, {100}));
  EXPECT_FALSE(timers.take_due(Timer::SendKeepalive, {100}));
  EXPECT_TRUE(timers.armed(Timer::ZeroKeys));
  timers.cancel_all();
  EXPECT_FALSE(timers.next());
}

TEST(Ring, KeepsOrderWhileItGrowsAndErases) {
  Ring<int> ring;
  int next_in = 0;
  int next_out = 0;
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < round; ++i) ring.push(next_in++);
    for (int i = 0; i < round / 2; ++i) EXPECT_EQ(ring.pop(), next_out++);
  }
  ring.erase_if([](int value) { return value % 2 == 0; });
  int last = -1;
  while (!ring.empty()) {
    const int value = ring.pop();
    EXPECT_EQ(value % 2, 1);
    EXPECT_GT(value, last);
    last = value;
  }
}

TEST(BriefRing, KeepsOrderAndForgetsItsMemory) {
  BriefRing<int> ring;
  EXPECT_TRUE(ring.empty());
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 20; ++i) ring.push(i);
    EXPECT_EQ(ring.size(), 20U);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(ring.pop(), i);
    EXPECT_TRUE(ring.empty());
  }
  ring.push(1);
  ring.clear();
  EXPECT_EQ(ring.size(), 0U);
}

}  // namespace
}  // namespace warren::wg
