#include "proxy/inner_filter.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace warren::proxy {
namespace {

using Octets = std::vector<std::uint8_t>;
const std::vector<base::IpAddress> kOwn = {*base::IpAddress::parse("10.0.0.2"),
                                           *base::IpAddress::parse("fd00::2")};

Octets packet(const char* from, const char* to, std::uint8_t protocol, const Octets& rest) {
  const auto source = *base::IpAddress::parse(from);
  const auto target = *base::IpAddress::parse(to);
  const bool v4 = source.is_v4();
  Octets out(v4 ? 12 : 8, 0);
  if (v4) {
    out[0] = 0x45;
    out[3] = static_cast<std::uint8_t>(20 + rest.size());
    out[9] = protocol;
  } else {
    out[0] = 0x60;
    out[5] = static_cast<std::uint8_t>(rest.size());
    out[6] = protocol;
  }
  for (const auto& address : {source, target}) {
    out.insert(out.end(), address.bytes().begin(), address.bytes().end());
  }
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

bool passes(const Octets& bytes) { return is_for_us(bytes, kOwn); }

TEST(InnerFilter, TcpUdpAndEchoPass) {
  for (const std::uint8_t protocol : Octets{6, 17, 1}) {
    EXPECT_TRUE(passes(packet("10.0.0.1", "10.0.0.2", protocol, Octets(20)))) << int{protocol};
  }
  for (const std::uint8_t protocol : Octets{6, 17}) {
    EXPECT_TRUE(passes(packet("fd00::1", "fd00::2", protocol, Octets(20)))) << int{protocol};
  }
  for (const std::uint8_t type : Octets{1, 2, 3, 4, 128, 129}) {
    EXPECT_TRUE(passes(packet("fd00::1", "fd00::2", 58, {type, 0, 0, 0}))) << int{type};
  }
}

TEST(InnerFilter, WhatOnlyALinkNeedsDoesNot) {
  for (const std::uint8_t type : Octets{130, 131, 133, 134, 135, 136, 137, 143}) {
    EXPECT_FALSE(passes(packet("fe80::1", "fd00::2", 58, {type, 0, 0, 0}))) << int{type};
  }
  for (const std::uint8_t header : Octets{0, 43, 60, 59, 2, 50, 255}) {
    EXPECT_FALSE(passes(packet("fd00::1", "fd00::2", header, Octets(16)))) << int{header};
  }
  EXPECT_TRUE(passes(packet("fd00::1", "fd00::2", 44, {17, 0, 0, 1, 0, 0, 0, 1})));
  EXPECT_FALSE(passes(packet("fd00::1", "fd00::2", 44, {58, 0, 0, 1, 0, 0, 0, 1})));
  EXPECT_FALSE(passes(packet("fd00::1", "fd00::2", 44, {17, 0, 0})));
  EXPECT_FALSE(passes(packet("10.0.0.1", "10.0.0.2", 2, Octets(8))));
}

TEST(InnerFilter, OnlyToUsAndFromSomebodyElse) {
  EXPECT_FALSE(passes(packet("10.0.0.1", "10.0.0.3", 6, Octets(20))));
  EXPECT_FALSE(passes(packet("10.0.0.1", "224.0.0.1", 17, Octets(20))));
  EXPECT_FALSE(passes(packet("fd00::1", "ff02::1", 17, Octets(20))));
  EXPECT_FALSE(passes(packet("10.0.0.2", "10.0.0.2", 6, Octets(20))));
  EXPECT_FALSE(passes(packet("127.0.0.1", "10.0.0.2", 6, Octets(20))));
  EXPECT_FALSE(passes(packet("0.0.0.0", "10.0.0.2", 6, Octets(20))));
  EXPECT_FALSE(passes(packet("ff02::1", "fd00::2", 6, Octets(20))));
}

TEST(InnerFilter, SizesMustBeTrue) {
  for (const Octets& whole : {packet("10.0.0.1", "10.0.0.2", 6, Octets(20)),
                              packet("fd00::1", "fd00::2", 6, Octets(20))}) {
    for (std::size_t size = 0; size < whole.size(); ++size) {
      EXPECT_FALSE(is_for_us(base::Bytes(whole).first(size), kOwn)) << size;
    }
  }
  Octets options = packet("10.0.0.1", "10.0.0.2", 6, Octets(24));
  options[0] = 0x46;
  EXPECT_FALSE(passes(options));
}

}  // namespace
}  // namespace warren::proxy
