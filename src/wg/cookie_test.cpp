#include "wg/cookie.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "wg/limits.hpp"
#include "wg/rate_limit.hpp"
#include "wg/wg_test_support.hpp"

namespace warren::wg {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kLifetime = 120s;
constexpr base::Instant kStart{1'000'000'000'000};
const base::Endpoint kFrom = *base::Endpoint::parse("192.0.2.1:4000");

struct Sides {
  Sides()
      : random(3),
        key(crypto::public_key(crypto::generate_private_key(random))),
        checker(key, kLifetime),
        generator(key, kLifetime),
        message(kInitiationSize, 0x5a) {}

  SeededRandom random;
  base::PublicKey key;
  CookieChecker checker;
  CookieGenerator generator;
  std::vector<std::uint8_t> message;
};

TEST(Cookie, Mac1CoversEveryByteBeforeIt) {
  Sides sides;
  sides.generator.add_macs(sides.message, kStart);
  EXPECT_TRUE(sides.checker.mac1_ok(sides.message));
  for (std::size_t i = 0; i < kInitiationSize - kMacSize; ++i) {
    auto damaged = sides.message;
    damaged[i] ^= 1;
    EXPECT_FALSE(sides.checker.mac1_ok(damaged)) << i;
  }
  EXPECT_FALSE(sides.checker.mac1_ok({}));
  const CookieChecker other(base::PublicKey{}, kLifetime);
  EXPECT_FALSE(other.mac1_ok(sides.message));
}

TEST(Cookie, AReplyMakesMac2WorkFromThatAddressOnly) {
  Sides sides;
  sides.generator.add_macs(sides.message, kStart);
  EXPECT_EQ(sides.message.back(), 0);
  EXPECT_FALSE(sides.checker.mac2_ok(sides.message, kFrom, kStart));
  const CookieReply reply = sides.checker.reply(sides.message, 77, kFrom, kStart, sides.random);
  EXPECT_EQ(reply.receiver, 77U);
  ASSERT_TRUE(sides.generator.consume(reply, kStart));
  sides.generator.add_macs(sides.message, kStart + 5s);
  EXPECT_TRUE(sides.checker.mac1_ok(sides.message));
  EXPECT_TRUE(sides.checker.mac2_ok(sides.message, kFrom, kStart + 5s));
  for (const char* other : {"192.0.2.1:4001", "192.0.2.2:4000", "[2001:db8::1]:4000"}) {
    EXPECT_FALSE(sides.checker.mac2_ok(sides.message, *base::Endpoint::parse(other), kStart + 5s));
  }
}

TEST(Cookie, ExpiresWithItsSecret) {
  Sides sides;
  sides.generator.add_macs(sides.message, kStart);
  ASSERT_TRUE(sides.generator.consume(
      sides.checker.reply(sides.message, 1, kFrom, kStart, sides.random), kStart));
  sides.generator.add_macs(sides.message, kStart + 100s);
  EXPECT_TRUE(sides.checker.mac2_ok(sides.message, kFrom, kStart + 119s));
  EXPECT_FALSE(sides.checker.mac2_ok(sides.message, kFrom, kStart + 120s));
  // A new secret makes cookies of the old one useless, and the sender stops using it in time.
  static_cast<void>(sides.checker.reply(sides.message, 1, kFrom, kStart + 120s, sides.random));
  EXPECT_FALSE(sides.checker.mac2_ok(sides.message, kFrom, kStart + 121s));
  sides.generator.add_macs(sides.message, kStart + 116s);
  EXPECT_EQ(std::vector<std::uint8_t>(sides.message.end() - kMacSize, sides.message.end()),
            std::vector<std::uint8_t>(kMacSize, 0));
}

TEST(Cookie, AForeignOrRepeatedReplyIsRefused) {
  Sides sides;
  CookieReply unasked;
  EXPECT_FALSE(sides.generator.consume(unasked, kStart));
  sides.generator.add_macs(sides.message, kStart);
  CookieReply reply = sides.checker.reply(sides.message, 1, kFrom, kStart, sides.random);
  CookieReply damaged = reply;
  damaged.encrypted_cookie[0] ^= 1;
  EXPECT_FALSE(sides.generator.consume(damaged, kStart));
  EXPECT_TRUE(sides.generator.consume(reply, kStart));
  EXPECT_FALSE(sides.generator.consume(reply, kStart));
}

TEST(RateLimit, GivesEachSourceABurstAndThenItsRate) {
  RateLimit limit;
  const base::IpAddress one = *base::IpAddress::parse("192.0.2.1");
  const base::IpAddress two = *base::IpAddress::parse("192.0.2.2");
  for (std::size_t i = 0; i < kSourceHandshakeBurst; ++i) EXPECT_TRUE(limit.allow(one, kStart));
  EXPECT_FALSE(limit.allow(one, kStart));
  EXPECT_TRUE(limit.allow(two, kStart));
  EXPECT_FALSE(limit.allow(one, kStart + 49ms));
  EXPECT_TRUE(limit.allow(one, kStart + 50ms));
  EXPECT_FALSE(limit.allow(one, kStart + 50ms));
  std::size_t allowed = 0;
  for (int i = 0; i < 10'000; ++i) {
    allowed += limit.allow(one, kStart + 1s + base::Duration(i * 1ms)) ? 1U : 0U;
  }
  EXPECT_NEAR(static_cast<double>(allowed), 10.0 * kSourceHandshakesPerSecond, 6);
}

TEST(RateLimit, AnIpv6SourceIsItsSlash64) {
  RateLimit limit;
  std::size_t allowed = 0;
  for (std::uint64_t i = 0; i < 100; ++i) {
    allowed += limit.allow(base::IpAddress::parse("2001:db8::")->plus(i), kStart) ? 1U : 0U;
  }
  EXPECT_EQ(allowed, kSourceHandshakeBurst);
  EXPECT_TRUE(limit.allow(*base::IpAddress::parse("2001:db8:0:1::"), kStart));
}

TEST(RateLimit, ItsTableIsBoundedAndForgetsTheIdle) {
  RateLimit limit;
  const base::IpAddress first = base::IpAddress::v4(0x0a000000);
  for (std::uint64_t i = 0; i < kMaxSources; ++i) {
    ASSERT_TRUE(limit.allow(first.plus(i), kStart));
  }
  EXPECT_FALSE(limit.allow(first.plus(kMaxSources), kStart));
  EXPECT_EQ(limit.size(), kMaxSources);
  EXPECT_TRUE(limit.allow(first.plus(kMaxSources), kStart + 2s));
  EXPECT_EQ(limit.size(), 1U);
}

}  // namespace
}  // namespace warren::wg
