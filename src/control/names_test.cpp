#include "control/names.hpp"

#include <gtest/gtest.h>

#include <cstdint>

namespace warren::control {
namespace {

TEST(NearestName, FindsASlipOfTheHand) {
  const std::vector<std::string> names{"laptop", "desktop", "phone-of-ann", "x"};
  EXPECT_EQ(nearest_name("lpatop", names), "laptop");
  EXPECT_EQ(nearest_name("laptopp", names), "laptop");
  EXPECT_EQ(nearest_name("phone_of_ann", names), "phone-of-ann");
  EXPECT_EQ(nearest_name("server", names), "");
  EXPECT_EQ(nearest_name("", names), "");
  EXPECT_EQ(nearest_name(std::string(1 << 20, 'l'), names), "");
  EXPECT_EQ(nearest_name("laptop", {}), "");
}

TEST(OneLine, IsShortAndPrintable) {
  EXPECT_EQ(one_line("a\nb\x1b[0m", 80), "a?b?[0m");
  EXPECT_EQ(one_line("abcdef", 3), "abc");
}

TEST(HostPort, BracketsIpv6) {
  EXPECT_EQ(host_port("gw", 1), "gw:1");
  EXPECT_EQ(host_port("2001:db8::1", 51820), "[2001:db8::1]:51820");
}

TEST(RoughDuration, TakesTheLargestUnitThatFits) {
  EXPECT_EQ(rough_duration(0), "0 s");
  EXPECT_EQ(rough_duration(119), "119 s");
  EXPECT_EQ(rough_duration(120), "2 min");
  EXPECT_EQ(rough_duration(10'805), "3 h");
  EXPECT_EQ(rough_duration(864'000), "10 days");
}

TEST(UtcText, IsTheCalendars) {
  EXPECT_EQ(utc_text(0), "1970-01-01 00:00:00 UTC");
  EXPECT_EQ(utc_text(1'709'210'096), "2024-02-29 12:34:56 UTC");
  EXPECT_EQ(utc_text(-1), "1969-12-31 23:59:59 UTC");
  EXPECT_FALSE(utc_text(INT64_MAX).empty());
  EXPECT_FALSE(utc_text(INT64_MIN).empty());
}

}  // namespace
}  // namespace warren::control
