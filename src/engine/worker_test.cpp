// Two workers, each with a node of its own, on one thread and real UDP sockets of the loopback.
#include "engine/worker.hpp"

#include <gtest/gtest.h>

#include <array>
#include <memory>

#include "base/counting_allocator.hpp"
#include "engine/engine_test_support.hpp"
#include "os/udp.hpp"

namespace warren::engine {
namespace {

/// One end: 10.0.0.`number`.
struct End {
  End() {
    auto queue = os::unix_pair(os::UnixType::SeqPacket).value();
    ours = std::move(queue.first);
    EXPECT_TRUE(ours.set_nonblocking());
    EXPECT_TRUE(worker.set_tun(std::move(queue.second), {}));
    os::Fd socket = os::open_udp({}).value();
    const std::uint16_t port = os::local_port(socket).value();
    EXPECT_TRUE(worker.set_sockets(std::move(socket), {}, port));
    shared.lock()->set_private_key(keys.private_key.clone(), os::now());
  }
  void know(const End& other, std::uint8_t number, const std::string& address = "127.0.0.1") {
    node::PeerUpdate update{.public_key = other.keys.public_key};
    update.endpoint = other.at(address);
    update.allowed_ips.push_back(
        {.prefix = *base::Prefix::parse("10.0.0." + std::to_string(number) + "/32")});
    ASSERT_TRUE(shared.lock()->update_peer(update, os::now()));
  }
  [[nodiscard]] base::Endpoint at(const std::string& address) const {
    return *base::Endpoint::parse(address + ":" + std::to_string(worker.udp().port()));
  }
  /// Where the last authentic message of the peer came from.
  std::optional<base::Endpoint> where(const End& peer) {
    return shared.lock()->hints(peer.keys.public_key)->endpoint;
  }
  /// What came out of the tun; 0: nothing.
  std::size_t receive() {
    const auto size = os::read_packet(ours, room);
    return size ? *size : 0;
  }

  base::NullLog log;
  KeyPair keys;
  std::unique_ptr<os::Loop> loop = os::Loop::create().value();
  SharedNode shared{{}, log};
  Worker worker{
      *loop, shared, {.tun_gone = [](const base::Error&) {}, .idle = [] {}, .busy = [] {}}};
  os::Fd ours;
  std::array<std::uint8_t, 2048> room{};
};

class Workers : public testing::Test {
 protected:
  Workers() {
    one_.know(two_, 2);
    two_.know(one_, 1);
  }
  /// Sends `count` packets as one batch and runs both loops until they have arrived.
  std::size_t carry(std::size_t count) { return carry(one_, two_, packet_, count); }
  /// One packet of the second end's to the first.
  std::size_t answer() { return carry(two_, one_, packet(2, 1, 9), 1); }
  std::size_t carry(End& from, End& to, base::Bytes packet, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) EXPECT_TRUE(*os::write_packet(from.ours, packet));
    std::size_t arrived = 0;
    const base::Instant deadline = os::now() + kTestPatience;
    while (arrived < count && os::now() < deadline) {
      const base::Instant soon = os::now() + std::chrono::milliseconds(1);
      EXPECT_TRUE(one_.loop->run_once(soon));
      EXPECT_TRUE(two_.loop->run_once(soon));
      while (to.receive() > 0) ++arrived;
    }
    return arrived;
  }
  End one_;
  End two_;
  std::vector<std::uint8_t> packet_ = packet(1, 2, 9);
};

TEST_F(Workers, APacketCostsNoAllocation) {
  EXPECT_EQ(carry(1), 1U);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(carry(32), 32U);
  const std::size_t before = base::allocations;
  for (int i = 0; i < 100; ++i) EXPECT_EQ(carry(32), 32U);
  const std::size_t during = base::allocations - before;
  EXPECT_LE(during, 4U) << "timers that were set, but nothing per packet";
  EXPECT_GT(before, 0U);  // the count counts
}

TEST_F(Workers, PacketsOfOneBatchTravelAsATrain) {
  EXPECT_EQ(carry(1), 1U);
  if (!one_.worker.udp().offloads().segment) GTEST_SKIP() << "no UDP_SEGMENT in this kernel";
  const std::uint64_t before = one_.worker.udp().counters().sent.get();
  EXPECT_EQ(carry(32), 32U);
  EXPECT_EQ(one_.worker.udp().counters().sent.get() - before, 1U);
  EXPECT_GT(one_.worker.udp().counters().trains_sent.get(), 0U);
  EXPECT_GT(two_.worker.udp().counters().received.get(), 0U);
}

TEST_F(Workers, ASocketThatReportsAnErrorGoesOn) {
  EXPECT_EQ(carry(1), 1U);
  {
    const End gone;
    one_.know(gone, 2);  // 10.0.0.2 moves to a peer whose socket is closed by and by
  }
  EXPECT_TRUE(*os::write_packet(one_.ours, packet_));
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(one_.loop->run_once(os::now() + std::chrono::milliseconds(1)));
  }
  one_.know(two_, 2);
  EXPECT_EQ(carry(4), 4U);
}

TEST_F(Workers, AnAnswerLeavesFromTheAddressThatThePeerReached) {
  one_.know(two_, 2, "127.0.0.5");
  EXPECT_EQ(carry(1), 1U);
  EXPECT_EQ(answer(), 1U);
  EXPECT_EQ(one_.where(two_), two_.at("127.0.0.5")) << "the handshake's answer and the packet";

  // Anybody may say that they are the peer, of some other address; nobody believes it.
  std::array<std::uint8_t, 128> forged{};
  forged[0] = 4;
  const std::array<os::UdpToSend, 1> item = {
      os::UdpToSend{.bytes = forged, .remote = two_.at("127.0.0.6")}};
  const std::uint64_t before = two_.worker.udp().counters().received.get();
  ASSERT_EQ(os::send_batch(one_.worker.udp().v4(), item)->sent, 1U);
  const base::Instant deadline = os::now() + kTestPatience;
  while (two_.worker.udp().counters().received.get() == before && os::now() < deadline) {
    EXPECT_TRUE(two_.loop->run_once(os::now() + std::chrono::milliseconds(1)));
  }
  ASSERT_GT(two_.worker.udp().counters().received.get(), before);
  EXPECT_EQ(answer(), 1U);
  EXPECT_EQ(one_.where(two_), two_.at("127.0.0.5"));

  one_.know(two_, 2, "127.0.0.6");  // the peer itself is believed
  EXPECT_EQ(carry(1), 1U);
  EXPECT_EQ(answer(), 1U);
  EXPECT_EQ(one_.where(two_), two_.at("127.0.0.6"));
}

}  // namespace
}  // namespace warren::engine
