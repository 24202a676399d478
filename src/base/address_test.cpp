#include "base/address.hpp"

#include <gtest/gtest.h>

namespace warren::base {
namespace {

TEST(IpAddress, RoundTripsTheCanonicalForm) {
  for (const char* text : {"0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "::1", "2001:db8::1",
                           "fe80::1:2:3:4", "2001:db8:0:1:1:1:1:1"}) {
    const auto address = IpAddress::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->to_string(), text);
  }
}

TEST(IpAddress, RefusesEverythingElse) {
  for (const char* text : {"", "1.2.3", "1.2.3.4.5", "256.1.1.1", " 1.2.3.4", "1.2.3.4 ",
                           ":::", "2001:db8::g", "fe80::1%eth0", "1.2.3.4/24"}) {
    EXPECT_FALSE(IpAddress::parse(text)) << text;
  }
}

TEST(IpAddress, PlusCarries) {
  EXPECT_EQ(IpAddress::parse("10.0.0.255")->plus(2).to_string(), "10.0.1.1");
  EXPECT_EQ(IpAddress::parse("2001:db8::ffff:ffff")->plus(1).to_string(), "2001:db8::1:0:0");
}

TEST(Prefix, ContainsAndOverlaps) {
  const Prefix lan = *Prefix::parse("10.20.0.0/24");
  EXPECT_TRUE(lan.contains(*IpAddress::parse("10.20.0.255")));
  EXPECT_FALSE(lan.contains(*IpAddress::parse("10.20.1.0")));
  EXPECT_FALSE(lan.contains(*IpAddress::parse("::1")));
  EXPECT_TRUE(lan.overlaps(*Prefix::parse("10.0.0.0/8")));
  EXPECT_TRUE(lan.overlaps(*Prefix::parse("10.20.0.128/25")));
  EXPECT_FALSE(lan.overlaps(*Prefix::parse("10.20.1.0/24")));
  EXPECT_TRUE(Prefix::parse("0.0.0.0/0")->contains(*IpAddress::parse("8.8.8.8")));
  EXPECT_TRUE(Prefix::parse("::/0")->contains(*IpAddress::parse("2001:db8::1")));
}

TEST(Prefix, KnowsItsNetworkAndLastAddress) {
  const Prefix interface_address = *Prefix::parse("10.20.0.77/20");
  EXPECT_FALSE(interface_address.is_network());
  EXPECT_EQ(interface_address.network().to_string(), "10.20.0.0/20");
  EXPECT_EQ(interface_address.last().to_string(), "10.20.15.255");
  EXPECT_EQ(Prefix::parse("10.0.0.1")->to_string(), "10.0.0.1/32");
  EXPECT_FALSE(Prefix::parse("10.0.0.0/33"));
  EXPECT_FALSE(Prefix::parse("10.0.0.0/"));
  EXPECT_FALSE(Prefix::parse("10.0.0.0/8 "));
}

TEST(Endpoint, BracketsAndZones) {
  EXPECT_EQ(Endpoint::parse("192.0.2.1:51820")->to_string(), "192.0.2.1:51820");
  EXPECT_EQ(Endpoint::parse("[2001:db8::1]:1")->to_string(), "[2001:db8::1]:1");
  EXPECT_EQ(Endpoint::parse("[fe80::1%3]:7")->scope, 3U);
  for (const char* bad : {"192.0.2.1", "2001:db8::1:80", "[192.0.2.1]:80", "name:80", ":80",
                          "192.0.2.1:65536", "[::1]", "192.0.2.1%3:80"}) {
    EXPECT_FALSE(Endpoint::parse(bad)) << bad;
  }
}

TEST(HostPort, TakesNames) {
  EXPECT_EQ(HostPort::parse("gw.example.org:51820")->host, "gw.example.org");
  EXPECT_EQ(HostPort::parse("[::1]:5")->host, "::1");
  EXPECT_FALSE(HostPort::parse("gw.example.org"));
}

}  // namespace
}  // namespace warren::base
