// The opener against an engine that behaves and one that does not; the engine's end is this test.
#include "gateway/engine_opener.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>

#include "gateway/limits.hpp"
#include "os/file.hpp"
#include "os/process.hpp"
#include "os/udp.hpp"
#include "os/unix_socket.hpp"

namespace warren::gateway {
namespace {

struct Answer {
  ipc::OpenerMessage message;
  std::vector<os::Fd> descriptors;
};

class EngineOpenerTest : public testing::Test {
 protected:
  void SetUp() override {
    for (os::Fd* place : {&descriptors_.tun, &descriptors_.api_listener,
                          &descriptors_.control_listener, &descriptors_.hints})
      *place = *os::memory_file("warren-test", 16);
    descriptors_.tun_offloads = {.vnet_header = true, .checksum = true, .tcp4 = true};
    attach();
  }
  void attach() {
    auto pair = os::unix_pair(os::UnixType::SeqPacket);
    ASSERT_TRUE(pair.has_value());
    ASSERT_TRUE(pair->first.set_nonblocking().has_value());
    ASSERT_TRUE(pair->second.set_nonblocking().has_value());
    engine_ = std::move(pair->second);
    opener_.attach(std::move(pair->first));
  }
  /// Sends a question and lets the opener serve it; false when the opener gave up.
  bool ask(const ipc::OpenerBody& body) {
    const auto bytes = ipc::write_opener({.sequence = ++sequence_, .body = body});
    EXPECT_TRUE(os::send_message(engine_, bytes).has_value());
    return opener_.handle_readable();
  }
  Answer answer() {
    auto received = os::receive_message(engine_, ipc::kMaxOpenerMessage);
    if (!received || received->closed) return {};
    auto parsed = ipc::parse_opener(received->bytes);
    EXPECT_TRUE(parsed.has_value());
    EXPECT_EQ(parsed->sequence, sequence_);
    return {std::move(*parsed), std::move(received->descriptors)};
  }
  ipc::OpenUdpReply open(std::uint16_t port) {
    EXPECT_TRUE(ask(ipc::OpenUdp{.port = port}));
    last_ = answer();
    return std::get<ipc::OpenUdpReply>(last_.message.body);
  }
  static ino_t inode(const os::Fd& descriptor) {
    struct stat status{};
    return fstat(descriptor.get(), &status) == 0 ? status.st_ino : 0;
  }

  base::NullLog log_;
  EngineDescriptors descriptors_;
  EngineOpener opener_{{.interface_name = "wr00000001",
                        .mtu = 1420,
                        .port = 443,
                        .max_workers = 4,
                        .open_queue = [this]() -> base::Result<os::Fd> {
                          if (queue_error_ != 0)
                            return base::os_error("open a queue", queue_error_);
                          return os::memory_file("warren-test-queue", 16);
                        }},
                       descriptors_,
                       log_};
  int queue_error_ = 0;
  os::Fd engine_;
  std::uint32_t sequence_ = 0;
  Answer last_;
};

TEST_F(EngineOpenerTest, HelloIsAnsweredOnceWithTheEnginesOwnDescriptors) {
  ASSERT_TRUE(ask(ipc::Hello{}));
  const Answer got = answer();
  const auto& reply = std::get<ipc::HelloReply>(got.message.body);
  EXPECT_EQ(reply.interface_name, "wr00000001");
  EXPECT_FALSE(reply.exit_with_opener);
  EXPECT_EQ(reply.tun_offloads, 7);
  EXPECT_EQ(reply.max_workers, 4);
  ASSERT_EQ(got.descriptors.size(), 4U);
  EXPECT_EQ(inode(got.descriptors[0]), inode(descriptors_.tun));
  EXPECT_EQ(inode(got.descriptors[3]), inode(descriptors_.hints));
  EXPECT_FALSE(ask(ipc::Hello{}));
  EXPECT_FALSE(ask(ipc::OpenUdp{}));  // an engine that broke the protocol is not served again
}

TEST_F(EngineOpenerTest, TheLastReportIsKeptAndEndsWithItsEngine) {
  EXPECT_FALSE(opener_.report());
  ASSERT_TRUE(ask(ipc::Report{.features = "one", .counters = {}}));
  ASSERT_TRUE(ask(ipc::Report{.features = "two", .counters = {{"tun-reads", 7}}}));
  ASSERT_TRUE(opener_.report());
  EXPECT_EQ(opener_.report()->features, "two");
  EXPECT_EQ(opener_.report()->counters.at(0).value, 7U);
  EXPECT_FALSE(os::receive_message(engine_, ipc::kMaxOpenerMessage)) << "a notice has no answer";
  attach();
  EXPECT_FALSE(opener_.report());
}

TEST_F(EngineOpenerTest, OtherVersionIsRefused) { EXPECT_FALSE(ask(ipc::Hello{.version = 99})); }

TEST_F(EngineOpenerTest, GarbageEndsTheConversation) {
  const std::vector<std::uint8_t> garbage(17, 0xff);
  ASSERT_TRUE(os::send_message(engine_, garbage).has_value());
  EXPECT_FALSE(opener_.handle_readable());
}

TEST_F(EngineOpenerTest, ClosedChannelIsToldApartFromAnEmptyOne) {
  EXPECT_TRUE(opener_.handle_readable());
  engine_.reset();
  EXPECT_FALSE(opener_.handle_readable());
}

TEST_F(EngineOpenerTest, EngineThatAsksALotIsServedInTurns) {
  constexpr unsigned kAsked = kOpenerQuestionsPerTurn + 4;
  for (unsigned i = 0; i < kAsked; ++i) {
    const auto bytes = ipc::write_opener({.sequence = i + 1, .body = ipc::SetMark{}});
    ASSERT_TRUE(os::send_message(engine_, bytes).has_value());
  }
  const auto answers = [this] {
    unsigned count = 0;
    while (os::receive_message(engine_, ipc::kMaxOpenerMessage)) ++count;
    return count;
  };
  EXPECT_TRUE(opener_.handle_readable());
  EXPECT_EQ(answers(), kOpenerQuestionsPerTurn);
  EXPECT_TRUE(*os::wait_readable(opener_.channel(), base::Duration::zero()));
  EXPECT_TRUE(opener_.handle_readable());
  EXPECT_EQ(answers(), kAsked - kOpenerQuestionsPerTurn);
}

TEST_F(EngineOpenerTest, EngineGetsNoLowPortButItsOwn) {
  EXPECT_EQ(open(22).error, EACCES);
  EXPECT_EQ(open(kFirstFreePort - 1).error, EACCES);
  EXPECT_TRUE(last_.descriptors.empty());
}

TEST_F(EngineOpenerTest, SuccessorGetsTheSameOpenSockets) {
  const auto first = open(0);
  ASSERT_EQ(first.error, 0);
  ASSERT_NE(first.port, 0);
  const ino_t before = inode(last_.descriptors[0]);
  attach();  // the next engine
  const auto second = open(first.port);
  EXPECT_EQ(second.error, 0);
  EXPECT_EQ(second.port, first.port);
  EXPECT_EQ(second.has_v6, first.has_v6);
  EXPECT_EQ(inode(last_.descriptors[0]), before);
}

TEST_F(EngineOpenerTest, TakenPortLeavesTheOldSockets) {
  const auto first = open(0);
  const ino_t before = inode(descriptors_.udp4);
  const auto holder = os::open_udp({});
  const std::uint16_t taken = *os::local_port(*holder);
  EXPECT_EQ(open(taken).error, EADDRINUSE);
  EXPECT_EQ(inode(descriptors_.udp4), before);
  EXPECT_EQ(*os::local_port(descriptors_.udp4), first.port);
}

TEST_F(EngineOpenerTest, WorkersShareThePortAndNothingOfThemIsKept) {
  ASSERT_TRUE(ask(ipc::OpenWorker{.port = 4242}));
  EXPECT_EQ(std::get<ipc::OpenWorkerReply>(answer().message.body).error, EINVAL) << "no port yet";
  const auto opened = open(0);
  ASSERT_EQ(opened.error, 0);
  const std::size_t sockets = last_.descriptors.size();
  EXPECT_FALSE(os::open_udp({.port = opened.port})) << "who does not share is kept out";

  for (const bool queue : {true, true, false}) {
    ASSERT_TRUE(ask(ipc::OpenWorker{.port = opened.port, .queue = queue}));
    last_ = answer();
    const auto& reply = std::get<ipc::OpenWorkerReply>(last_.message.body);
    EXPECT_EQ(reply.error, 0);
    EXPECT_EQ(reply.has_v6, opened.has_v6);
    ASSERT_EQ(last_.descriptors.size(), sockets + (queue ? 1U : 0U));
    EXPECT_EQ(*os::local_port(last_.descriptors.back()), opened.port);
    EXPECT_NE(inode(last_.descriptors.back()), inode(descriptors_.udp4));
  }
  last_ = {};

  ASSERT_TRUE(ask(ipc::OpenWorker{.port = static_cast<std::uint16_t>(opened.port ^ 1)}));
  EXPECT_EQ(std::get<ipc::OpenWorkerReply>(answer().message.body).error, EINVAL);
  queue_error_ = ENODEV;
  ASSERT_TRUE(ask(ipc::OpenWorker{.port = opened.port}));
  last_ = answer();
  EXPECT_EQ(std::get<ipc::OpenWorkerReply>(last_.message.body).error, ENODEV);
  EXPECT_TRUE(last_.descriptors.empty());
}

TEST_F(EngineOpenerTest, APortThatAStrangerSharesIsAConflict) {
  const auto stranger = os::open_udp({.reuse_port = true});
  EXPECT_EQ(open(*os::local_port(*stranger)).error, EADDRINUSE);
}

TEST_F(EngineOpenerTest, MarkNeedsSocketsAndIsRemembered) {
  ASSERT_TRUE(ask(ipc::SetMark{.mark = 7}));
  EXPECT_EQ(std::get<ipc::Done>(answer().message.body).error, ENOTCONN);
  ASSERT_EQ(open(0).error, 0);
  ASSERT_TRUE(ask(ipc::SetMark{.mark = 7}));
  const int error = std::get<ipc::Done>(answer().message.body).error;
  if (error == EPERM) GTEST_SKIP() << "needs CAP_NET_ADMIN to set a mark";
  EXPECT_EQ(error, 0);
  EXPECT_EQ(opener_.mark(), 7U);
}

}  // namespace
}  // namespace warren::gateway
