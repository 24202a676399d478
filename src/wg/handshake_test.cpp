#include "wg/handshake.hpp"

#include <gtest/gtest.h>

#include "wg/tai64n.hpp"
#include "wg/wg_test_support.hpp"

namespace warren::wg {
namespace {

/// Two sides with their keys; `psk` false leaves the pre-shared key zero.
struct Pair {
  explicit Pair(bool with_psk = false, std::uint64_t seed = 1)
      : random(seed),
        alice(crypto::generate_private_key(random)),
        bob(crypto::generate_private_key(random)) {
    EXPECT_TRUE(crypto::x25519(alice.private_key, bob.public_key, shared));
    if (with_psk) random.fill(psk.fill());
    bob_psk = psk.clone();
  }
  Remote bob_for_alice() { return {bob.public_key, shared, psk}; }
  Remote alice_for_bob() { return {alice.public_key, shared, bob_psk}; }

  bool initiate() {
    return create_initiation(alice, bob_for_alice(), stamp, 11, random, waiting, initiation);
  }
  /// Bob's half; nullopt when he refuses.
  std::optional<SessionKeys> respond() {
    ResponderState state;
    const auto who = read_initiator(bob, initiation, state);
    if (!who || *who != alice.public_key) return std::nullopt;
    const auto when = read_timestamp(alice_for_bob(), initiation, state);
    if (!when || *when != stamp) return std::nullopt;
    return create_response(alice_for_bob(), 22, random, state, response);
  }
  std::optional<SessionKeys> finish() {
    return consume_response(alice, bob_for_alice(), response, waiting);
  }

  SeededRandom random;
  Identity alice;
  Identity bob;
  crypto::SharedSecret shared;
  crypto::PresharedKey psk;
  crypto::PresharedKey bob_psk;
  Timestamp stamp = timestamp_of({1'700'000'000'000'000'000});
  InitiatorState waiting;
  Initiation initiation;
  Response response;
};

TEST(Handshake, BothSidesGetTheSameKeysCrossed) {
  for (const bool with_psk : {false, true}) {
    Pair pair(with_psk);
    ASSERT_TRUE(pair.initiate());
    EXPECT_EQ(pair.initiation.sender, 11U);
    const auto bob = pair.respond();
    ASSERT_TRUE(bob);
    EXPECT_EQ(pair.response.sender, 22U);
    EXPECT_EQ(pair.response.receiver, 11U);
    const auto alice = pair.finish();
    ASSERT_TRUE(alice);
    EXPECT_TRUE(alice->send.equals(bob->receive));
    EXPECT_TRUE(alice->receive.equals(bob->send));
    EXPECT_FALSE(alice->send.equals(alice->receive));
  }
}

TEST(Handshake, ADifferentPresharedKeyFailsAtTheResponse) {
  Pair pair(true);
  pair.bob_psk.fill()[5] ^= 1;
  ASSERT_TRUE(pair.initiate());
  ASSERT_TRUE(pair.respond());
  EXPECT_FALSE(pair.finish());
}

TEST(Handshake, AForgedResponseLeavesTheHandshakeUsable) {
  Pair pair;
  ASSERT_TRUE(pair.initiate());
  ASSERT_TRUE(pair.respond());
  const Response good = pair.response;
  pair.response.encrypted_nothing[3] ^= 1;
  EXPECT_FALSE(pair.finish());
  pair.response = good;
  pair.response.ephemeral.bytes = {};
  EXPECT_FALSE(pair.finish());
  pair.response = good;
  EXPECT_TRUE(pair.finish());
}

TEST(Handshake, AnInitiationForAnotherKeyIsNotRead) {
  Pair pair;
  ASSERT_TRUE(pair.initiate());
  const Identity carol(crypto::generate_private_key(pair.random));
  ResponderState state;
  EXPECT_FALSE(read_initiator(carol, pair.initiation, state));
}

TEST(Handshake, EveryDamagedFieldIsNoticed) {
  Pair pair;
  ASSERT_TRUE(pair.initiate());
  const Initiation good = pair.initiation;
  for (std::size_t i = 0; i < good.encrypted_static.size(); ++i) {
    pair.initiation = good;
    pair.initiation.encrypted_static[i] ^= 0x40;
    EXPECT_FALSE(pair.respond());
  }
  for (std::size_t i = 0; i < good.encrypted_timestamp.size(); ++i) {
    pair.initiation = good;
    pair.initiation.encrypted_timestamp[i] ^= 0x40;
    EXPECT_FALSE(pair.respond());
  }
  for (std::size_t i = 0; i < 32; ++i) {
    pair.initiation = good;
    pair.initiation.ephemeral.bytes[i] ^= 0x40;
    EXPECT_FALSE(pair.respond());
  }
}

TEST(Handshake, AnImpostorWithTheRightNameIsNotBelieved) {
  // Mallory knows both public keys and claims to be Alice: the static key opens, the timestamp not.
  Pair pair;
  const Identity mallory(crypto::generate_private_key(pair.random));
  crypto::SharedSecret wrong;
  ASSERT_TRUE(crypto::x25519(mallory.private_key, pair.bob.public_key, wrong));
  Identity claimed(mallory.private_key.clone());
  claimed.public_key = pair.alice.public_key;
  ASSERT_TRUE(create_initiation(claimed, {pair.bob.public_key, wrong, pair.psk}, pair.stamp, 1,
                                pair.random, pair.waiting, pair.initiation));
  ResponderState state;
  EXPECT_EQ(read_initiator(pair.bob, pair.initiation, state), pair.alice.public_key);
  EXPECT_FALSE(read_timestamp(pair.alice_for_bob(), pair.initiation, state));
}

TEST(Handshake, ALowOrderKeyIsRefused) {
  Pair pair;
  pair.bob.public_key = {};
  EXPECT_FALSE(pair.initiate());
  Initiation zero;
  ResponderState state;
  EXPECT_FALSE(read_initiator(pair.alice, zero, state));
}

TEST(Handshake, WithoutASharedSecretNothingIsMadeOrRead) {
  Pair pair;
  ASSERT_TRUE(pair.initiate());
  pair.shared.clear();
  EXPECT_FALSE(pair.respond());
  EXPECT_FALSE(pair.initiate());
}

TEST(Tai64n, IsCoarseAndMonotonic) {
  const base::WallTime wall{1'700'000'000'123'456'789};
  const Timestamp stamp = timestamp_of(wall);
  base::ByteReader reader(stamp);
  EXPECT_EQ(reader.u64_be(), 0x400000000000000aU + 1'700'000'000U);
  EXPECT_EQ(reader.u32_be(), 123'456'789U / kTimestampStep_ns * kTimestampStep_ns);

  Timestamp last{};
  for (int i = 0; i < 1000; ++i) {  // a clock that stands still, then jumps back a day
    const base::WallTime at = i < 500 ? wall : wall + base::Duration(std::chrono::hours(-24));
    const Timestamp next = next_timestamp(at, last);
    ASSERT_GT(next, last);
    ASSERT_LT(base::ByteReader(base::Bytes(next).last(4)).u32_be(), 1'000'000'000U);
    last = next;
  }
  const base::WallTime later = wall + base::Duration(std::chrono::hours(1));
  EXPECT_EQ(next_timestamp(later, last), timestamp_of(later));
  EXPECT_EQ(timestamp_of({-5}), timestamp_of({0}));
  Timestamp foreign = timestamp_of(later);  // a hint that is no multiple of our step
  foreign.back() = 0x77;
  const Timestamp next = next_timestamp(wall, foreign);
  EXPECT_GT(next, foreign);
  EXPECT_EQ(base::ByteReader(base::Bytes(next).last(4)).u32_be() % kTimestampStep_ns, 0U);
}

}  // namespace
}  // namespace warren::wg
