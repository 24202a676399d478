#include "os/loop.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "os/clock.hpp"
#include "os/unix_socket.hpp"

namespace warren::os {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;

class LoopTest : public testing::Test {
 protected:
  void SetUp() override {
    auto created = Loop::create();
    ASSERT_TRUE(created);
    loop_ = std::move(*created);
    for (auto& pair : pairs_) {
      auto made = unix_pair(UnixType::Stream);
      ASSERT_TRUE(made);
      pair = std::move(*made);
    }
  }
  void poke(std::size_t pair) { ASSERT_EQ(write(pairs_[pair].second.get(), "x", 1), 1); }
  int end(std::size_t pair) { return pairs_[pair].first.get(); }
  void round() { ASSERT_TRUE(loop_->run_once(now())); }

  std::unique_ptr<Loop> loop_;
  std::pair<Fd, Fd> pairs_[2];
};

TEST_F(LoopTest, TellsWhatADescriptorIsReadyFor) {
  std::vector<std::string> seen;
  ASSERT_TRUE(loop_->watch(end(0), [&](Ready ready) {
    seen.push_back(std::string(ready.readable ? "r" : "") + (ready.writable ? "w" : "") +
                   (ready.hangup ? "h" : ""));
  }));
  round();
  EXPECT_TRUE(seen.empty());
  ASSERT_TRUE(loop_->set_want_write(end(0), true));
  round();
  poke(0);
  round();
  ASSERT_TRUE(loop_->set_want_write(end(0), false));
  round();
  pairs_[0].second.reset();
  round();
  EXPECT_THAT(seen, ElementsAre("w", "rw", "r", "rh"));
}

TEST_F(LoopTest, AHandlerMayForgetItselfAndStillUseItsCaptures) {
  int calls = 0;
  const std::string payload(100, 'p');
  ASSERT_TRUE(loop_->watch(end(0), [&, payload](Ready) {
    loop_->forget(end(0));
    ++calls;
    EXPECT_EQ(payload, std::string(100, 'p'));
  }));
  poke(0);
  round();
  round();
  EXPECT_EQ(calls, 1);
}

TEST_F(LoopTest, AHandlerMayForgetTheOtherOfTheSameRound) {
  int calls = 0;
  for (std::size_t i : {0U, 1U}) {
    ASSERT_TRUE(loop_->watch(end(i), [&, i](Ready) {
      ++calls;
      loop_->forget(end(1 - i));
    }));
    poke(i);
  }
  round();
  EXPECT_EQ(calls, 1);
}

TEST_F(LoopTest, AStaleEventNeverReachesTheNextOwnerOfTheNumber) {
  bool wrong = false;
  int calls = 0;
  auto quiet = unix_pair(UnixType::Stream);
  ASSERT_TRUE(quiet);
  for (std::size_t i : {0U, 1U}) {
    ASSERT_TRUE(loop_->watch(end(i), [&, i](Ready) {
      ++calls;
      const int number = end(1 - i);
      loop_->forget(number);
      // The same number, now another file that is not ready; the old event was fetched already.
      ASSERT_EQ(dup3(quiet->first.get(), number, O_CLOEXEC), number);
      ASSERT_TRUE(loop_->watch(number, [&](Ready) { wrong = true; }));
    }));
    poke(i);
  }
  round();
  EXPECT_EQ(calls, 1);
  EXPECT_FALSE(wrong);
}

TEST_F(LoopTest, TimersFireInTheOrderOfTheirTimes) {
  std::vector<int> fired;
  const base::Instant base_time = now();
  loop_->at(base_time + milliseconds(3), [&] {
    fired.push_back(3);
    loop_->stop();
  });
  loop_->at(base_time + milliseconds(1), [&] { fired.push_back(1); });
  loop_->at(base_time + milliseconds(2), [&] { fired.push_back(2); });
  loop_->at(base_time + milliseconds(1), [&] { fired.push_back(11); });
  ASSERT_TRUE(loop_->run());
  EXPECT_THAT(fired, ElementsAre(1, 11, 2, 3));
  EXPECT_GE(now(), base_time + milliseconds(3));
}

TEST_F(LoopTest, ATimerNeverFiresEarly) {
  const base::Instant due = now() + std::chrono::microseconds(700);
  base::Instant fired{};
  loop_->at(due, [&] {
    fired = now();
    loop_->stop();
  });
  ASSERT_TRUE(loop_->run());
  EXPECT_GE(fired, due);
}

TEST_F(LoopTest, ATimerThatSetsItselfInThePastStarvesNobody) {
  int timer_calls = 0;
  int ready_calls = 0;
  std::function<void()> again = [&] {
    ++timer_calls;
    loop_->at(base::Instant{0}, [&] { again(); });
  };
  again();
  ASSERT_TRUE(loop_->watch(end(0), [&](Ready) { ++ready_calls; }));
  poke(0);
  for (int i = 0; i < 5; ++i) round();
  EXPECT_EQ(timer_calls, 6);
  EXPECT_EQ(ready_calls, 5);
}

TEST_F(LoopTest, CancelWorksBeforeAndInsideHandlers) {
  std::vector<int> fired;
  Loop::TimerId later = 0;
  const Loop::TimerId never = loop_->at(base::Instant{1}, [&] { fired.push_back(0); });
  loop_->at(base::Instant{2}, [&] {
    fired.push_back(1);
    loop_->cancel(later);
  });
  later = loop_->at(base::Instant{3}, [&] { fired.push_back(2); });
  loop_->cancel(never);
  loop_->cancel(never);
  round();
  EXPECT_THAT(fired, ElementsAre(1));
}

TEST_F(LoopTest, RunOnceEndsAtItsDeadline) {
  const base::Instant deadline = now() + milliseconds(5);
  ASSERT_TRUE(loop_->run_once(deadline));
  EXPECT_GE(now(), deadline);
}

/// Asked of the kernel, for no test may suspend its host: a timer on this clock has expired when
/// the host wakes up, if it was due while it slept.
TEST_F(LoopTest, TimersAreOnTheClockThatCountsSuspendedTime) {
  const auto timers_on = [](std::string_view clock) {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
      std::ifstream file(entry.path());
      for (std::string line; std::getline(file, line);) count += line == clock;
    }
    return count;
  };
  const std::size_t before = timers_on("clockid: " + std::to_string(CLOCK_BOOTTIME));
  auto another = Loop::create();
  ASSERT_TRUE(another);
  EXPECT_EQ(timers_on("clockid: " + std::to_string(CLOCK_BOOTTIME)), before + 1);
  EXPECT_EQ(timers_on("clockid: " + std::to_string(CLOCK_MONOTONIC)), 0U);
}

TEST_F(LoopTest, AnEarlierTimerThatWasCancelledNeitherFiresNorKeepsTheLoopTurning) {
  const auto early = loop_->at(now() + milliseconds(2), [] { FAIL(); });
  ASSERT_TRUE(loop_->run_once(now() + milliseconds(1)));
  loop_->cancel(early);
  const base::Instant due = now() + milliseconds(30);
  bool fired = false;
  loop_->at(due, [&] { fired = true; });
  int rounds = 0;
  for (; !fired; ++rounds) ASSERT_TRUE(loop_->run_once(std::nullopt));
  EXPECT_GE(now(), due);
  EXPECT_LE(rounds, 3);
}

TEST_F(LoopTest, AStopBeforeRunEndsItAtOnce) {
  loop_->stop();
  ASSERT_TRUE(loop_->run());
  loop_->at(now(), [&] { loop_->stop(); });
  ASSERT_TRUE(loop_->run());
}

TEST_F(LoopTest, RefusesWhatCannotBeWatched) {
  EXPECT_EQ(loop_->watch(-1, [](Ready) {}).error().os_errno, EBADF);
  ASSERT_TRUE(loop_->watch(end(0), [](Ready) {}));
  EXPECT_EQ(loop_->watch(end(0), [](Ready) {}).error().kind, base::ErrorKind::Conflict);
  EXPECT_EQ(loop_->set_want_write(end(1), true).error().kind, base::ErrorKind::NotFound);
  loop_->forget(end(1));
}

}  // namespace
}  // namespace warren::os
