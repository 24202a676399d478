#include "engine/udp_port.hpp"

#include <gtest/gtest.h>

#include <array>
#include <memory>

#include "engine/engine_test_support.hpp"
#include "os/udp.hpp"

namespace warren::engine {
namespace {

class UdpPortTest : public testing::Test {
 protected:
  UdpPortTest() {
    os::Fd socket = os::open_udp({}).value();
    const std::uint16_t port = os::local_port(socket).value();
    EXPECT_TRUE(port_.replace(std::move(socket), {}, port));
    remote_ =
        *base::Endpoint::parse("127.0.0.1:" + std::to_string(os::local_port(receiver_).value()));
  }
  void enqueue(std::uint8_t mark, node::Owner owner) {
    const std::array<std::uint8_t, 1> content = {mark};
    port_.enqueue({.packet = pool_.copy_of(content), .remote = remote_, .owner = owner});
  }
  /// The marks of what arrived.
  std::vector<std::uint8_t> arrived() {
    std::vector<std::uint8_t> out;
    std::array<std::uint8_t, 64> room{};
    std::array<os::UdpReceived, 1> slot;
    slot[0].buffer = room;
    while (os::receive_batch(receiver_, slot).value() == 1) out.push_back(room[0]);
    return out;
  }

  wire::PacketPool pool_{kMaxPacketBytes, 64};
  std::unique_ptr<os::Loop> loop_ = os::Loop::create().value();
  UdpPort port_{*loop_, pool_, {.received = [](std::span<node::Datagram>) {}, .writable = [] {}}};
  os::Fd receiver_ = os::open_udp({}).value();
  base::Endpoint remote_;
};

/// A datagram waits from enqueue() on, whether or not a socket was full.
TEST_F(UdpPortTest, OfWhatWaitsOnlyThatOfARemovedPeerIsForgotten) {
  const node::Owner gone{.slot = 3, .serial = 7};
  const node::Owner successor{.slot = 3, .serial = 9};
  const node::Owner other{.slot = 4, .serial = 8};
  EXPECT_FALSE(port_.has_pending());
  enqueue(1, gone);
  enqueue(2, other);
  enqueue(3, {});  // a cookie
  enqueue(4, gone);
  enqueue(5, successor);
  EXPECT_TRUE(port_.has_pending());
  EXPECT_EQ(port_.drop_pending([&](const node::Owner& owner) { return owner == gone; }), 2U);
  port_.flush();
  EXPECT_FALSE(port_.has_pending());
  EXPECT_EQ(arrived(), (std::vector<std::uint8_t>{2, 3, 5}));
  EXPECT_EQ(pool_.in_use(), 0U);
}

TEST_F(UdpPortTest, WithEverybodyRemovedOnlyWhatIsNobodysIsSent) {
  for (std::uint8_t mark = 0; mark < 20; ++mark) {
    enqueue(mark, mark % 5 == 0 ? node::Owner{} : node::Owner{.slot = mark, .serial = 1U + mark});
  }
  EXPECT_EQ(port_.drop_pending([](const node::Owner&) { return true; }), 16U);
  port_.flush();
  EXPECT_EQ(arrived(), (std::vector<std::uint8_t>{0, 5, 10, 15}));
}

}  // namespace
}  // namespace warren::engine
