#include "apps/warren/text.hpp"

#include <gtest/gtest.h>

namespace warren::app {
namespace {

TEST(Table, LinesUpAndLeavesNoBlanksAtTheEnd) {
  Table table({"NAME", "STATE", "LAST"});
  EXPECT_TRUE(table.empty());
  table.add({"a-long-name", "", "x"});
  table.add({"b", "enrolled", ""});
  EXPECT_FALSE(table.empty());
  EXPECT_EQ(table.text(),
            "NAME         STATE     LAST\n"
            "a-long-name  -         x\n"
            "b            enrolled  -\n");
}

TEST(Describe, LeavesOutWhatIsNotThere) {
  EXPECT_EQ(describe({{"name", "lab"}, {"a long key", ""}, {"port", "1"}}), "name  lab\nport  1\n");
  EXPECT_EQ(describe({}), "");
}

TEST(Age, ChangesItsUnitWhereTheNextOneSaysEnough) {
  constexpr std::int64_t kNow = 1'000'000'000;
  const auto ago = [](std::int64_t seconds) { return age(kNow - seconds, kNow); };
  EXPECT_EQ(age(0, kNow), "never");
  EXPECT_EQ(ago(-5), "just now") << "clocks differ";
  EXPECT_EQ(ago(0), "just now");
  EXPECT_EQ(ago(1), "1 s ago");
  EXPECT_EQ(ago(119), "119 s ago");
  EXPECT_EQ(ago(120), "2 min ago");
  EXPECT_EQ(ago(7199), "119 min ago");
  EXPECT_EQ(ago(7200), "2 h ago");
  EXPECT_EQ(ago(172'799), "47 h ago");
  EXPECT_EQ(ago(172'800), "2 days ago");
}

TEST(Size, InTheLargestUnitThatLeavesAWholeNumber) {
  EXPECT_EQ(size(0), "0 B");
  EXPECT_EQ(size(1023), "1023 B");
  EXPECT_EQ(size(1024), "1.0 KiB");
  EXPECT_EQ(size(1'468'006), "1.4 MiB");
  EXPECT_EQ(size(UINT64_MAX), "16384.0 PiB");
}

TEST(Nearest, IsTheNearestOfThoseThatAreNear) {
  const std::vector<std::string> known = {"network", "peer", "revoke", "run"};
  EXPECT_EQ(nearest("netwrok", known), "network");
  EXPECT_EQ(nearest("pear", known), "peer");
  EXPECT_EQ(nearest("rum", known), "run");
  EXPECT_EQ(nearest("xyzzy", known), "");
  EXPECT_EQ(nearest("run", {}), "");
}

TEST(JoinWords, PutsCommasBetween) {
  EXPECT_EQ(join_words({}), "");
  EXPECT_EQ(join_words({"a"}), "a");
  EXPECT_EQ(join_words({"a", "b"}), "a, b");
}

}  // namespace
}  // namespace warren::app
