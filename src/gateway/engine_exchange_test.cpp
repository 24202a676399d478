#include "gateway/engine_exchange.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <vector>

#include "os/clock.hpp"
#include "os/scratch_directory.hpp"
#include "os/unix_socket.hpp"

namespace warren::gateway {
namespace {

constexpr base::Duration kPatience = std::chrono::milliseconds(50);

/// A stuck engine: its socket is there, and nobody accepts.
class StuckEngineTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(listener_.has_value()); }
  base::Result<std::string> ask() { return exchange(path_, "get=1\n\n", {.at_most = kPatience}); }

  os::ScratchDirectory scratch_;
  std::string path_ = scratch_ / "engine.sock";
  base::Result<os::Fd> listener_ = os::unix_listen(os::UnixType::Stream, path_, 0600);
};

TEST_F(StuckEngineTest, IsGivenUpAfterTheTime) {
  const base::Instant begin = os::now();
  const auto answer = ask();
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().os_errno, ETIMEDOUT);
  EXPECT_GE(os::now() - begin, kPatience);
}

// A connection that was given up stays in the listener's queue: a daemon that is asked for the
// state of a stuck engine again and again must not end up waiting in connect for ever.
TEST_F(StuckEngineTest, DoesNotStopTheDaemonWithAFullQueue) {
  std::vector<os::Fd> waiting;
  constexpr std::size_t kPlenty = 1000;
  auto next = os::unix_connect_now(os::UnixType::Stream, path_);
  while (next && waiting.size() < kPlenty) {
    waiting.push_back(std::move(*next));
    next = os::unix_connect_now(os::UnixType::Stream, path_);
  }
  ASSERT_FALSE(next.has_value()) << "the queue is endless";
  const auto answer = ask();
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().kind, base::ErrorKind::Unavailable);
  EXPECT_EQ(answer.error().os_errno, ETIMEDOUT);
}

}  // namespace
}  // namespace warren::gateway
