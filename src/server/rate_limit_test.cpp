#include "server/rate_limit.hpp"

#include <gtest/gtest.h>

namespace warren::server {
namespace {

using base::Instant;
using base::IpAddress;
using std::chrono::milliseconds;
using std::chrono::seconds;

const IpAddress kAnn = *IpAddress::parse("192.0.2.1");
const IpAddress kBob = *IpAddress::parse("192.0.2.2");

TEST(RateLimit, GrantsABurstThenTheRate) {
  RateLimit limit(2.0, 3.0, 10);
  Instant now{1'000'000'000};
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limit.allow(kAnn, now));
  EXPECT_FALSE(limit.allow(kAnn, now));
  now += milliseconds(500);
  EXPECT_TRUE(limit.allow(kAnn, now));
  EXPECT_FALSE(limit.allow(kAnn, now));
}

TEST(RateLimit, WhatIsGivenBackIsNotCounted) {
  RateLimit limit(0.001, 2.0, 10);
  const Instant now{1'000'000'000};
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(limit.allow(kAnn, now)) << i;
    limit.give_back(kAnn);
  }
  for (int i = 0; i < 10; ++i) limit.give_back(kAnn);  // never more than the burst
  EXPECT_TRUE(limit.allow(kAnn, now));
  EXPECT_TRUE(limit.allow(kAnn, now));
  EXPECT_FALSE(limit.allow(kAnn, now));
  limit.give_back(kBob);  // nobody knows of him
  EXPECT_EQ(limit.tracked(), 1U);
}

TEST(RateLimit, OneSourceDoesNotHoldBackAnother) {
  RateLimit limit(1.0, 1.0, 10);
  const Instant now{1'000'000'000};
  EXPECT_TRUE(limit.allow(kAnn, now));
  EXPECT_FALSE(limit.allow(kAnn, now));
  EXPECT_TRUE(limit.allow(kBob, now));
}

TEST(RateLimit, NeverHoldsMoreThanItsTable) {
  RateLimit limit(1.0, 2.0, 8);
  Instant now{1'000'000'000};
  for (std::uint32_t i = 0; i < 1000; ++i) {
    const bool allowed = limit.allow(IpAddress::v4(0x0a000000 + i), now);
    EXPECT_EQ(allowed, i < 8) << i;
    EXPECT_LE(limit.tracked(), 8U);
  }
  now += seconds(5);  // those have their burst again and are forgotten
  EXPECT_TRUE(limit.allow(kAnn, now));
}

TEST(RateLimit, AClockThatStandsStillGrantsNothing) {
  RateLimit limit(1000.0, 1.0, 8);
  const Instant now{5'000'000'000};
  EXPECT_TRUE(limit.allow(kAnn, now));
  EXPECT_FALSE(limit.allow(kAnn, now));
  EXPECT_FALSE(limit.allow(kAnn, Instant{4'000'000'000}));
}

TEST(SourceOf, AnIpv6NetworkAndAMappedAddressAreOneSource) {
  EXPECT_EQ(source_of(*IpAddress::parse("2001:db8:1:2::1")),
            source_of(*IpAddress::parse("2001:db8:1:2:ffff::9")));
  EXPECT_NE(source_of(*IpAddress::parse("2001:db8:1:2::1")),
            source_of(*IpAddress::parse("2001:db8:1:3::1")));
  EXPECT_EQ(source_of(*IpAddress::parse("::ffff:192.0.2.1")), kAnn);
  EXPECT_NE(source_of(kAnn), source_of(kBob));
}

}  // namespace
}  // namespace warren::server
