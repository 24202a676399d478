#include "engine/opener_channel.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "os/clock.hpp"
#include "os/unix_socket.hpp"

namespace warren::engine {
namespace {

class OpenerChannelTest : public testing::Test {
 protected:
  OpenerChannelTest() {
    auto ends = os::unix_pair(os::UnixType::SeqPacket).value();
    far_ = std::move(ends.first);
    channel_ = OpenerChannel(std::move(ends.second));
  }
  void send(std::uint32_t sequence, const ipc::OpenerBody& body) {
    std::ignore = os::send_message(far_, ipc::write_opener({sequence, body}));
  }
  os::Fd far_;
  OpenerChannel channel_;
};

TEST_F(OpenerChannelTest, FindsItsAnswerAmongNoticesAndLateAnswers) {
  send(0, ipc::LinkChanged{.up = true, .mtu = 1280});
  send(77, ipc::Done{.error = 1});  // nobody waits for this one
  send(1, ipc::Done{.error = 5});
  send(0, ipc::NetworkChanged{});
  const auto answer = channel_.ask(ipc::SetMark{3});
  ASSERT_TRUE(answer);
  EXPECT_EQ(std::get<ipc::Done>(answer->body).error, 5);
  const auto first = channel_.poll_notice();
  ASSERT_TRUE(first);
  EXPECT_EQ(std::get<ipc::LinkChanged>(*first).mtu, 1280);
  EXPECT_FALSE(channel_.poll_notice());
  EXPECT_TRUE(channel_.handle_readable());
  EXPECT_TRUE(channel_.poll_notice());
}

TEST_F(OpenerChannelTest, WaitsNoLongerThanItIsTold) {
  const base::Instant before = os::now();
  const auto answer = channel_.ask(ipc::OpenWorker{}, std::chrono::milliseconds(20));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().os_errno, ETIMEDOUT);
  EXPECT_GE(os::now() - before, std::chrono::milliseconds(20));
  EXPECT_LT(os::now() - before, kOpenerAnswer);
  // What comes too late is not taken for the next answer.
  send(1, ipc::Done{.error = 1});
  send(2, ipc::Done{.error = 2});
  const auto next = channel_.ask(ipc::SetMark{3});
  ASSERT_TRUE(next);
  EXPECT_EQ(std::get<ipc::Done>(next->body).error, 2);
}

TEST_F(OpenerChannelTest, SaysNotConnectedWithoutAnOpener) {
  far_.reset();
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto answer = channel_.ask(ipc::SetMark{3});
    ASSERT_FALSE(answer);
    EXPECT_TRUE(answer.error().os_errno == ENOTCONN || answer.error().os_errno == EPIPE);
    EXPECT_FALSE(channel_.handle_readable());
  }
  EXPECT_FALSE(channel_.is_open());
  EXPECT_EQ(channel_.ask(ipc::SetMark{3}).error().os_errno, ENOTCONN);
}

TEST_F(OpenerChannelTest, AnOpenerThatSpeaksNonsenseIsDropped) {
  const std::vector<std::uint8_t> nonsense = {1, 2, 3};
  std::ignore = os::send_message(far_, nonsense);
  EXPECT_FALSE(channel_.handle_readable());
  EXPECT_FALSE(channel_.is_open());
}

}  // namespace
}  // namespace warren::engine
