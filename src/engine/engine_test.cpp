#include "engine/engine.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "crypto/crypto.hpp"
#include "engine/engine_test_support.hpp"
#include "engine/limits.hpp"

namespace warren::engine {
namespace {

TEST(Engine, CarriesPacketsBothWays) {
  Pair pair({}, {});
  for (std::uint8_t mark = 1; mark < 100; ++mark) pair.expect_traffic(mark);
  const auto status = pair.one.status();
  ASSERT_EQ(status.peers.size(), 1U);
  EXPECT_GT(status.peers[0].last_handshake.ns, 0);
  EXPECT_EQ(status.peers[0].rx_bytes, pair.two.status().peers[0].tx_bytes);
}

/// What a packet of `size` bytes adds to the outer bytes that `pair.one` has sent.
std::uint64_t outer_bytes_of(Pair& pair, std::uint16_t size) {
  std::vector<std::uint8_t> bytes = packet(1, 2, 7);
  bytes.resize(size);
  base::ByteWriter(base::MutableBytes(bytes).subspan(2, 2)).u16_be(size);
  const std::uint64_t before = pair.one.status().peers[0].tx_bytes;
  pair.one.send_packet(bytes);
  EXPECT_EQ(pair.two.receive_packet().size(), size);
  return pair.one.status().peers[0].tx_bytes - before;
}

TEST(Engine, PaddingStaysWithinTheMtuOfItsInterface) {
  Pair pair({.mtu = 1412}, {});
  pair.expect_traffic(1);
  EXPECT_EQ(outer_bytes_of(pair, 1412), 1412U + 32);
  EXPECT_EQ(outer_bytes_of(pair, 1397), 1408U + 32);
  pair.one.notify(ipc::LinkChanged{.up = true, .mtu = 1284});
  std::uint64_t bytes = 0;  // the notice and the packet travel on ways of their own
  for (int i = 0; i < 1000 && bytes != 1284 + 32; ++i) bytes = outer_bytes_of(pair, 1284);
  EXPECT_EQ(bytes, 1284U + 32);
}

TEST(Engine, AnswersRequestsThatArriveInPieces) {
  Rig rig({});
  ApiClient client(rig.api_path());
  const std::string text = "set=1\nfwmark=9\n\nget=1\n\n";
  for (std::size_t i = 0; i + 1 < text.size(); ++i) client.send(text.substr(i, 1));
  client.send("\n");
  std::string answers = client.receive();
  while (answers.find("fwmark=9\nerrno=0\n\n") == std::string::npos &&
         answers.find("timeout") == std::string::npos) {
    answers += client.receive();
  }
  EXPECT_EQ(answers, "errno=0\n\nfwmark=9\nerrno=0\n\n");
}

TEST(Engine, OneConnectionTooManyEndsTheOldest) {
  Rig rig({});
  std::vector<std::unique_ptr<ApiClient>> clients;
  for (std::size_t i = 0; i <= kMaxApiConnections; ++i) {
    clients.push_back(std::make_unique<ApiClient>(rig.api_path()));
    // The first stays silent; asking makes sure that the others were accepted in this order.
    if (i > 0) {
      EXPECT_EQ(clients.back()->ask("get=1\n\n"), "errno=0\n\n");
    }
  }
  EXPECT_EQ(clients.front()->receive(), "") << "closed without an answer";
  EXPECT_EQ(clients[1]->ask("get=1\n\n"), "errno=0\n\n");
}

TEST(Engine, ARefusedPortLeavesEverythingAsItWas) {
  Rig rig({});
  Rig other({});
  const KeyPair keys;
  ASSERT_EQ(other.set("listen_port=0\n"), "errno=0\n\n");
  const std::string taken = std::to_string(other.status().listen_port);
  ASSERT_EQ(rig.set("fwmark=0\nlisten_port=0\n"), "errno=0\n\n");
  const std::uint16_t port = rig.status().listen_port;
  EXPECT_EQ(rig.set(keys.private_line() + "listen_port=" + taken + "\n" + KeyPair().peer_line()),
            "errno=-" + std::to_string(EADDRINUSE) + "\n\n");
  EXPECT_EQ(rig.status().listen_port, port);
  EXPECT_TRUE(rig.status().private_key.is_zero());
  EXPECT_TRUE(rig.status().peers.empty());
}

TEST(Engine, EndsWithItsOpenerWhereThatWasAgreed) {
  Rig rig({});
  rig.close_opener();
  EXPECT_TRUE(rig.wait());
}

TEST(Engine, EndsOnShutdown) {
  Rig rig({.extension = true, .exit_with_opener = false});
  EXPECT_TRUE(rig.stop());
}

TEST(Engine, LivesOnWithoutItsOpenerAndIsAdopted) {
  Pair pair({.extension = true, .exit_with_opener = false}, {});
  pair.expect_traffic(1);
  pair.one.close_opener();
  pair.expect_traffic(2);
  EXPECT_EQ(pair.one.set("listen_port=0\n"), "errno=-" + std::to_string(ENOTCONN) + "\n\n");
  const std::uint16_t port = pair.one.status().listen_port;

  auto successor = os::unix_connect(os::UnixType::SeqPacket, pair.one.extension_path()).value();
  ASSERT_TRUE(os::wait_readable(successor, kTestPatience).value());
  auto first = os::receive_message(successor, ipc::kMaxOpenerMessage).value();
  const auto message = ipc::parse_opener(first.bytes);
  ASSERT_TRUE(message);
  const auto& adopted = std::get<ipc::Adopted>(message->body);
  EXPECT_EQ(adopted.interface_name, "wg0");
  EXPECT_EQ(adopted.port, port);
  EXPECT_FALSE(adopted.hints);
  ASSERT_TRUE(adopted.has_v4);
  EXPECT_EQ(first.descriptors.size(), 4U + (adopted.has_v6 ? 1U : 0U));
  EXPECT_EQ(os::local_port(first.descriptors[3]).value(), port) << "after tun, API, extension";

  ASSERT_TRUE(os::wait_readable(successor, kTestPatience).value());
  const auto second = os::receive_message(successor, ipc::kMaxOpenerMessage).value();
  const auto told = ipc::parse_opener(second.bytes);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->sequence, 0U);
  const auto& report = std::get<ipc::Report>(told->body);
  EXPECT_NE(report.features.find("; workers 1 of 1"), std::string::npos) << report.features;
  const auto reads = std::ranges::find(report.counters, "tun-reads", &ipc::Report::Counter::name);
  ASSERT_NE(reads, report.counters.end());
  EXPECT_EQ(reads->value, 2U);

  // The successor is asked from now on.
  std::thread asking([&] { EXPECT_EQ(pair.one.set("fwmark=1\n"), "errno=-1\n\n"); });
  ASSERT_TRUE(os::wait_readable(successor, kTestPatience).value());
  const auto asked = os::receive_message(successor, ipc::kMaxOpenerMessage).value();
  const auto question = ipc::parse_opener(asked.bytes);
  ASSERT_TRUE(question);
  EXPECT_EQ(std::get<ipc::SetMark>(question->body).mark, 1U);
  std::ignore = os::send_message(
      successor, ipc::write_opener({question->sequence, ipc::Done{.error = EPERM}}));
  asking.join();
  pair.expect_traffic(3);

  auto third = os::unix_connect(os::UnixType::SeqPacket, pair.one.extension_path()).value();
  ASSERT_TRUE(os::wait_readable(third, kTestPatience).value());
  EXPECT_TRUE(os::receive_message(third, ipc::kMaxOpenerMessage).value().closed)
      << "an opener that lives is not replaced";
  std::ignore = os::send_message(successor, ipc::write_opener({0, ipc::Shutdown{}}));
  EXPECT_TRUE(pair.one.wait());
}

class EngineHints : public testing::Test {
 protected:
  os::Fd memfd_ = os::memory_file("hints", ipc::HintsTable::size_for(16)).value();
  std::optional<ipc::Hint> hint_of(const base::PublicKey& peer) {
    const auto mapping = os::Mapping::create(memfd_).value();
    const auto table = ipc::HintsTable::open(mapping.bytes());
    return table ? table->get(peer) : std::nullopt;
  }
};

TEST_F(EngineHints, ARestartedEngineFindsItsPeerByItself) {
  auto pair = std::make_unique<Pair>(Rig::Options{}, Rig::Options{.hints = &memfd_});
  pair->expect_traffic(1);
  const std::uint16_t port = pair->two.status().listen_port;
  ASSERT_TRUE(hint_of(pair->keys_one.public_key));
  ASSERT_TRUE(pair->two.stop());
  pair->two.close_opener();

  // The successor gets configuration only, and no endpoint with it.
  Rig successor({.hints = &memfd_});
  ASSERT_EQ(successor.set(pair->keys_two.private_line() + "listen_port=" + std::to_string(port) +
                          "\n" + pair->keys_one.peer_line() + "allowed_ip=10.0.0.1/32\n"),
            "errno=0\n\n");
  const base::Instant deadline = os::now() + kTestPatience;
  while (successor.status().peers.at(0).last_handshake.ns == 0 && os::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_GT(successor.status().peers.at(0).last_handshake.ns, 0) << "it started the handshake";
  successor.send_packet(packet(2, 1, 7));
  EXPECT_EQ(pair->one.receive_packet(), packet(2, 1, 7));
  pair->one.send_packet(packet(1, 2, 8));
  EXPECT_EQ(successor.receive_packet(), packet(1, 2, 8));
}

TEST_F(EngineHints, ARemovedPeerLeavesNoHint) {
  Pair pair({.hints = &memfd_}, {});
  pair.expect_traffic(1);
  ASSERT_TRUE(hint_of(pair.keys_two.public_key));
  ASSERT_EQ(pair.one.set(pair.keys_two.peer_line() + "remove=true\n"), "errno=0\n\n");
  EXPECT_FALSE(hint_of(pair.keys_two.public_key));
  // Neither does one that went with all others. (The initiation leaves a hint; its answer is none
  // of this test's business: timestamps this close together count as replayed.)
  ASSERT_EQ(pair.one.set(pair.peer_two_lines()), "errno=0\n\n");
  pair.one.send_packet(packet(1, 2, 2));
  const base::Instant deadline = os::now() + kTestPatience;
  while (!hint_of(pair.keys_two.public_key) && os::now() < deadline) std::this_thread::yield();
  ASSERT_TRUE(hint_of(pair.keys_two.public_key));
  ASSERT_EQ(pair.one.set("replace_peers=true\n"), "errno=0\n\n");
  EXPECT_FALSE(hint_of(pair.keys_two.public_key));
}

}  // namespace
}  // namespace warren::engine
