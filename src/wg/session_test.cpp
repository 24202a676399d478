#include "wg/session.hpp"

#include <gtest/gtest.h>

#include <string>

#include "wg/keyring.hpp"
#include "wg/wg_test_support.hpp"

namespace warren::wg {
namespace {

SessionKeys keys(std::uint8_t send, std::uint8_t receive) {
  SessionKeys out;
  out.send.fill()[0] = send;
  out.receive.fill()[0] = receive;
  return out;
}

struct Ends {
  wire::PacketPool pool{2048, 64};
  Session left{keys(1, 2), 10, 20, Role::Initiator, {}};
  Session right{keys(2, 1), 20, 10, Role::Responder, {}};

  wire::Packet packet(std::string_view text) { return pool.copy_of(base::as_bytes(text)); }
};

TEST(Session, SealsAndOpensInPlaceWithZeroPadding) {
  Ends ends;
  wire::Packet packet = ends.packet("twenty bytes of text");
  ends.left.seal(packet, 12);
  EXPECT_EQ(packet.size(), 20U + 12U + kTransportOverhead);
  const auto header = parse_transport(packet.bytes());
  ASSERT_TRUE(header);
  EXPECT_EQ(header->receiver, 20U);
  EXPECT_EQ(header->counter, 0U);
  ASSERT_EQ(ends.right.open(packet, header->counter), OpenResult::Opened);
  EXPECT_EQ(std::string(packet.bytes().begin(), packet.bytes().end()),
            std::string("twenty bytes of text") + std::string(12, '\0'));
}

TEST(Session, CountsUpAndRefusesReplays) {
  Ends ends;
  std::vector<std::vector<std::uint8_t>> sent;
  for (std::uint64_t i = 0; i < 5; ++i) {
    wire::Packet packet = ends.packet("x");
    EXPECT_EQ(ends.left.next_counter(), i);
    ends.left.seal(packet, 0);
    sent.emplace_back(packet.bytes().begin(), packet.bytes().end());
  }
  for (const std::uint64_t i : {4U, 1U, 0U}) {
    wire::Packet packet = ends.pool.copy_of(sent[i]);
    EXPECT_EQ(ends.right.open(packet, i), OpenResult::Opened);
    packet = ends.pool.copy_of(sent[i]);
    EXPECT_EQ(ends.right.open(packet, i), OpenResult::Replayed);
  }
  // A forged counter does not close the window for the real one.
  wire::Packet forged = ends.pool.copy_of(sent[2]);
  forged.bytes().back() ^= 1;
  EXPECT_EQ(ends.right.open(forged, 2), OpenResult::BadTag);
  wire::Packet real = ends.pool.copy_of(sent[2]);
  EXPECT_EQ(ends.right.open(real, 2), OpenResult::Opened);
}

TEST(Session, ReservedCountersAreGivenOutOnce) {
  Ends ends;
  EXPECT_EQ(ends.left.reserve(3), 0U);
  EXPECT_EQ(ends.left.reserve(1), 3U);
  wire::Packet packet = ends.packet("x");
  ends.left.seal(packet, 0);
  EXPECT_EQ(parse_transport(packet.bytes())->counter, 4U);
  EXPECT_EQ(ends.left.next_counter(), 5U);
  EXPECT_DEATH(static_cast<void>(ends.left.reserve(~std::uint64_t{0})), "");
}

TEST(Session, ItsKeysDieWithTheLastThatHoldsThem) {
  auto ends = std::make_unique<Ends>();
  SharedKey held = ends->left.send_key();
  EXPECT_EQ(held, ends->left.send_key());
  EXPECT_NE(held, ends->left.receive_key());
  const SharedKey second = held;
  EXPECT_EQ(held.holders(), 3U);
  ends.reset();
  EXPECT_EQ(held.holders(), 2U);
  EXPECT_EQ(second.get()->key()[0], 1);
  const crypto::Aead* const place = held.get();
  SharedKey moved = std::move(held);
  EXPECT_EQ(moved.get(), place);
  EXPECT_EQ(moved.holders(), 2U);
  moved = SharedKey();
  EXPECT_EQ(second.holders(), 1U);  // the last, whose end wipes it (crypto::Secret)
  EXPECT_EQ(SharedKey().get(), nullptr);
}

TEST(Session, PaddingIsASixteenthButNeverBeyondTheMtu) {
  EXPECT_EQ(padding_of(0, 1420), 0U);
  EXPECT_EQ(padding_of(1, 1420), 15U);
  EXPECT_EQ(padding_of(16, 1420), 0U);
  EXPECT_EQ(padding_of(1409, 1420), 11U);  // 1420, not 1424
  EXPECT_EQ(padding_of(1420, 1420), 0U);
  EXPECT_EQ(padding_of(1421, 1420), 15U);
  for (std::size_t size = 0; size < 3000; ++size) ASSERT_LT(padding_of(size, 1280), 16U);
  EXPECT_EQ(padding_of(1, 0), 15U);  // an mtu that is not known limits nothing
  EXPECT_EQ(padding_of(0, 0), 0U);
}

std::unique_ptr<Keypair> keypair(IndexTable& table, SeededRandom& random, Role role) {
  IndexLease lease = table.lease({}, random);
  const Index local = lease.index();
  return std::make_unique<Keypair>(
      Keypair{std::move(lease), Session(keys(1, 2), local, 0, role, {})});
}

TEST(Keyring, AnInitiatorsSessionIsUsedAtOnceAndTheOldOneStillReceives) {
  SeededRandom random(1);
  IndexTable table;
  Keyring ring;
  ring.install(keypair(table, random, Role::Initiator));
  const Index first = ring.current()->local_index();
  ring.install(keypair(table, random, Role::Initiator));
  EXPECT_NE(ring.current()->local_index(), first);
  EXPECT_NE(ring.find(first), nullptr);
  ring.install(keypair(table, random, Role::Initiator));
  EXPECT_EQ(ring.find(first), nullptr);
  EXPECT_EQ(table.size(), 2U);
  EXPECT_FALSE(table.find(first));
  ring.clear();
  EXPECT_TRUE(ring.empty());
  EXPECT_EQ(table.size(), 0U);
}

TEST(Keyring, ARespondersSessionWaitsForItsFirstMessage) {
  SeededRandom random(1);
  IndexTable table;
  Keyring ring;
  auto fresh = keypair(table, random, Role::Responder);
  const Index local = fresh->session.local_index();
  ring.install(std::move(fresh));
  EXPECT_EQ(ring.current(), nullptr);
  Session* next = ring.find(local);
  ASSERT_NE(next, nullptr);
  EXPECT_TRUE(ring.confirm(*next));
  EXPECT_EQ(ring.current(), next);
  EXPECT_FALSE(ring.confirm(*next));
  // A second unconfirmed one replaces the first and leaves the current one in use.
  ring.install(keypair(table, random, Role::Responder));
  ring.install(keypair(table, random, Role::Responder));
  EXPECT_EQ(ring.current(), next);
  EXPECT_EQ(table.size(), 2U);
}

TEST(Keyring, CrossedInitiationsKeepBothSessionsAlive) {
  SeededRandom random(1);
  IndexTable table;
  Keyring ring;
  auto theirs = keypair(table, random, Role::Responder);
  const Index unconfirmed = theirs->session.local_index();
  ring.install(std::move(theirs));
  ring.install(keypair(table, random, Role::Initiator));
  ASSERT_NE(ring.current(), nullptr);
  EXPECT_NE(ring.find(unconfirmed), nullptr);
  EXPECT_FALSE(ring.confirm(*ring.find(unconfirmed)));
}

}  // namespace
}  // namespace warren::wg
