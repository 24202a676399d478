#include "proxy/target.hpp"

#include <gtest/gtest.h>

namespace warren::proxy {
namespace {

TEST(Target, AddressesAreRecognised) {
  EXPECT_EQ(parse_target("10.0.0.1", 80)->address, base::IpAddress::parse("10.0.0.1"));
  EXPECT_EQ(parse_target("fd00::1", 80)->address, base::IpAddress::parse("fd00::1"));
  EXPECT_EQ(parse_target("[fd00::1]", 80)->address, base::IpAddress::parse("fd00::1"));
  EXPECT_FALSE(parse_target("[10.0.0.1]", 80));
}

TEST(Target, NamesAreCheckedAndNeverMistypedAddresses) {
  EXPECT_EQ(parse_target("host_a.lab.example.", 1)->name, "host_a.lab.example.");
  for (const std::string bad :
       {"", ".", "a..b", ".a", "a b", "a/b", "10.0.0", "10.0.0.256", "a\n", "1"}) {
    EXPECT_FALSE(parse_target(bad, 80)) << bad;
  }
  EXPECT_FALSE(parse_target(std::string(64, 'a'), 80));
  EXPECT_TRUE(parse_target(std::string(63, 'a'), 80));
  std::string longest;
  for (int i = 0; i < 64; ++i) longest += "abc.";
  EXPECT_FALSE(parse_target(longest + "d", 80));
}

TEST(Target, Authorities) {
  EXPECT_EQ(parse_authority("a.b:81", 80)->port, 81);
  EXPECT_EQ(parse_authority("a.b", 80)->port, 80);
  EXPECT_FALSE(parse_authority("a.b", 0));
  EXPECT_EQ(parse_authority("[fd00::1]", 80)->port, 80);
  EXPECT_EQ(parse_authority("[fd00::1]:8", 80)->port, 8);
  for (const char* bad : {"fd00::1:80", "a:0", "a:65536", "a:", ":80", "a:b", "[fd00::1:80"}) {
    EXPECT_FALSE(parse_authority(bad, 80)) << bad;
  }
}

}  // namespace
}  // namespace warren::proxy
