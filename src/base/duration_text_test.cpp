#include "base/duration_text.hpp"

#include <gtest/gtest.h>

namespace warren::base {
namespace {

TEST(DurationText, ReadsWhatPeopleWrite) {
  EXPECT_EQ(parse_duration_s("90s"), 90U);
  EXPECT_EQ(parse_duration_s("15m"), 900U);
  EXPECT_EQ(parse_duration_s("24h"), 86'400U);
  EXPECT_EQ(parse_duration_s("7d"), 604'800U);
  for (const char* text :
       {"", "s", "0s", "-1s", "5", "5y", "1.5h", " 5s", "4000d", "99999999999s"}) {
    EXPECT_FALSE(parse_duration_s(text)) << text;
  }
}

TEST(DurationText, WritesTheLargestUnitThatFits) {
  for (const char* text : {"1s", "90s", "15m", "25h", "30d"}) {
    EXPECT_EQ(duration_text(*parse_duration_s(text)), text);
  }
  EXPECT_EQ(duration_text(86'400), "1d");
  EXPECT_EQ(duration_text(0), "0s");
}

}  // namespace
}  // namespace warren::base
