// The opener of a stand-alone engine: real sockets, and a real tun where there are rights for one.
#include "engine/opener.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>

#include "os/file.hpp"
#include "os/netns.hpp"
#include "os/udp.hpp"
#include "os/unix_socket.hpp"

namespace warren::engine {
namespace {

struct Answer {
  ipc::OpenerBody body;
  std::vector<os::Fd> descriptors;
};

class OpenerTest : public testing::Test {
 protected:
  void make(Opener::Resources resources) {
    auto ends = os::unix_pair(os::UnixType::SeqPacket).value();
    engine_ = std::move(ends.second);
    if (!resources.tun) resources.tun = os::memory_file("warren-test", 16).value();
    resources.api_listener = os::memory_file("warren-test", 16).value();
    resources.interface_name = "wg0";
    opener_.emplace(std::move(ends.first), std::move(resources));
  }
  Answer ask(const ipc::OpenerBody& question) {
    EXPECT_TRUE(os::send_message(engine_, ipc::write_opener({++sequence_, question})));
    const auto alive = opener_->handle_readable();
    EXPECT_TRUE(alive && *alive);
    auto got = os::receive_message(engine_, ipc::kMaxOpenerMessage).value();
    auto message = ipc::parse_opener(got.bytes).value();
    EXPECT_EQ(message.sequence, sequence_);
    return {std::move(message.body), std::move(got.descriptors)};
  }
  static base::Result<os::Fd> stand_in() { return os::memory_file("warren-test-queue", 16); }

  os::Fd engine_;
  std::optional<Opener> opener_;
  std::uint32_t sequence_ = 0;
};

TEST_F(OpenerTest, AnEngineOfAnotherVersionIsToldApart) {
  make({});
  EXPECT_TRUE(os::send_message(engine_, ipc::write_opener({1, ipc::Hello{.version = 1}})));
  const auto answered = opener_->handle_readable();
  ASSERT_FALSE(answered);
  EXPECT_FALSE(answered.error().hint.empty());
  EXPECT_FALSE(opener_->greeted());
}

TEST_F(OpenerTest, HelloTellsWhatTheTunDoesAndHowManyWorkersThereMayBe) {
  make({.tun_offloads = {.vnet_header = true, .checksum = true, .tcp4 = true, .tcp6 = true},
        .max_workers = 3,
        .open_queue = stand_in});
  const Answer got = ask(ipc::Hello{});
  const auto& reply = std::get<ipc::HelloReply>(got.body);
  EXPECT_EQ(reply.tun_offloads, 0x0f);
  EXPECT_EQ(reply.max_workers, 3);
  EXPECT_EQ(got.descriptors.size(), 2U);
}

TEST_F(OpenerTest, WithOneWorkerThePortIsNotShared) {
  make({});
  const Answer opened = ask(ipc::OpenUdp{});
  const auto& port = std::get<ipc::OpenUdpReply>(opened.body);
  ASSERT_EQ(port.error, 0);
  EXPECT_FALSE(os::open_udp({.port = port.port, .reuse_port = true}));
  const Answer worker = ask(ipc::OpenWorker{.port = port.port});
  EXPECT_EQ(std::get<ipc::OpenWorkerReply>(worker.body).error, EINVAL);
  EXPECT_TRUE(worker.descriptors.empty());
}

TEST_F(OpenerTest, AWorkerGetsSocketsOfThePortThatIsOpenNow) {
  make({.max_workers = 2, .open_queue = stand_in});
  const Answer none = ask(ipc::OpenWorker{.port = 0});
  EXPECT_EQ(std::get<ipc::OpenWorkerReply>(none.body).error, EINVAL);

  const auto first = std::get<ipc::OpenUdpReply>(ask(ipc::OpenUdp{}).body);
  Answer worker = ask(ipc::OpenWorker{.port = first.port});
  const auto reply = std::get<ipc::OpenWorkerReply>(worker.body);
  ASSERT_EQ(reply.error, 0);
  EXPECT_EQ(reply.has_v4, first.has_v4);
  EXPECT_EQ(reply.has_v6, first.has_v6);
  ASSERT_EQ(worker.descriptors.size(), 1U + (first.has_v4 ? 1 : 0) + (first.has_v6 ? 1 : 0));
  EXPECT_EQ(os::local_port(worker.descriptors[1]).value(), first.port);

  const auto second = std::get<ipc::OpenUdpReply>(ask(ipc::OpenUdp{}).body);
  ASSERT_NE(second.port, first.port);
  const Answer late = ask(ipc::OpenWorker{.port = first.port});
  EXPECT_EQ(std::get<ipc::OpenWorkerReply>(late.body).error, EINVAL);
  worker = ask(ipc::OpenWorker{.port = second.port, .queue = false});
  EXPECT_EQ(std::get<ipc::OpenWorkerReply>(worker.body).error, 0);
  ASSERT_FALSE(worker.descriptors.empty());
  EXPECT_EQ(os::local_port(worker.descriptors[0]).value(), second.port);
}

TEST_F(OpenerTest, AWorkersQueueIsOneOfTheTun) {
  const std::string name = "wt" + std::to_string(getpid()) + "-opener";
  auto netns = os::create_named_netns(name);
  if (!netns) GTEST_SKIP() << "needs CAP_SYS_ADMIN: " << netns.error().message;
  const auto done = os::in_netns(*netns, [this]() -> base::Status {
    WARREN_TRY_ASSIGN(os::Tun tun, os::open_private_tun({.name = "wg0", .offloads = true}));
    make({.tun = std::move(tun.descriptor),
          .tun_offloads = tun.offloads,
          .max_workers = 2,
          .open_queue = []() -> base::Result<os::Fd> {
            WARREN_TRY_ASSIGN(os::Tun queue, os::open_tun_queue("wg0"));
            return std::move(queue.descriptor);
          }});
    const auto port = std::get<ipc::OpenUdpReply>(ask(ipc::OpenUdp{}).body).port;
    const Answer worker = ask(ipc::OpenWorker{.port = port});
    if (worker.descriptors.empty()) return base::os_error("open a worker", EBADMSG);
    WARREN_TRY_ASSIGN(const auto offloads, os::set_tun_offloads(worker.descriptors[0]));
    EXPECT_EQ(offloads, tun.offloads);
    return {};
  });
  EXPECT_TRUE(done) << done.error().message;
  static_cast<void>(os::delete_named_netns(name));
}

}  // namespace
}  // namespace warren::engine
