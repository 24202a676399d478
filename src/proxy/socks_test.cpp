#include "proxy/socks.hpp"

#include <gtest/gtest.h>

namespace warren::proxy::socks {
namespace {

using Octets = std::vector<std::uint8_t>;

template <typename Parse>
void expect_partial_at_every_cut(const Octets& whole, Parse parse) {
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(parse(base::Bytes(whole).first(size)).input, Input::Partial) << size;
  }
  Octets more = whole;
  more.push_back(0x77);
  const auto parsed = parse(base::Bytes(more));
  EXPECT_EQ(parsed.input, Input::Whole);
  EXPECT_EQ(parsed.used, whole.size());
}

TEST(Socks, Greeting) {
  expect_partial_at_every_cut({5, 2, 0, 2}, parse_greeting);
  EXPECT_TRUE(parse_greeting(Octets{5, 2, 0, 2}).offers_password);
  EXPECT_FALSE(parse_greeting(Octets{5, 1, 0}).offers_password);
  EXPECT_EQ(parse_greeting(Octets{4, 1}).input, Input::Malformed);
  EXPECT_EQ(parse_greeting(Octets{5, 0}).input, Input::Malformed);
}

TEST(Socks, Login) {
  const Octets whole = {1, 2, 'm', 'e', 3, 'p', 'w', 'd'};
  expect_partial_at_every_cut(whole, parse_login);
  EXPECT_EQ(parse_login(whole).name, "me");
  EXPECT_EQ(parse_login(whole).password, "pwd");
  EXPECT_EQ(parse_login(Octets{5, 0, 0}).input, Input::Malformed);
}

TEST(Socks, RequestsOfAllAddressTypes) {
  const Octets v4 = {5, 1, 0, 1, 10, 0, 0, 1, 0, 80};
  expect_partial_at_every_cut(v4, parse_request);
  EXPECT_EQ(parse_request(v4).target.address, base::IpAddress::parse("10.0.0.1"));
  EXPECT_EQ(parse_request(v4).target.port, 80);
  Octets v6 = {5, 1, 0, 4, 0xfd};
  v6.resize(4 + 16 + 2, 0);
  v6[19] = 1;
  expect_partial_at_every_cut(v6, parse_request);
  EXPECT_EQ(parse_request(v6).target.address, base::IpAddress::parse("fd00::1"));
  const Octets name = {5, 3, 0, 3, 3, 'a', '.', 'b', 1, 0xbb};
  expect_partial_at_every_cut(name, parse_request);
  EXPECT_EQ(parse_request(name).target, (Target{"a.b", std::nullopt, 443}));
}

TEST(Socks, MalformedRequestsSayWhy) {
  EXPECT_EQ(parse_request(Octets{5, 1, 0, 2}).reply, Reply::AddressTypeNotSupported);
  EXPECT_EQ(parse_request(Octets{5, 1, 0, 3, 2, '.', '.', 0, 1}).input, Input::Malformed);
  EXPECT_EQ(parse_request(Octets{4, 1}).input, Input::Malformed);
}

TEST(Socks, DatagramsRoundTripAndFragmentsAreRefused) {
  const base::Endpoint from{.address = *base::IpAddress::parse("fd00::9"), .port = 53};
  Octets datagram = write_datagram_header(from);
  datagram.push_back('x');
  const auto parsed = parse_datagram(datagram);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->target.address, from.address);
  EXPECT_EQ(parsed->target.port, 53);
  EXPECT_EQ(Octets(parsed->payload.begin(), parsed->payload.end()), Octets{'x'});
  for (std::size_t size = 0; size + 1 < datagram.size(); ++size) {
    EXPECT_FALSE(parse_datagram(base::Bytes(datagram).first(size))) << size;
  }
  datagram[2] = 1;
  EXPECT_FALSE(parse_datagram(datagram));
}

TEST(Socks, RepliesCarryTheBoundAddress) {
  const base::Endpoint at{.address = *base::IpAddress::parse("127.0.0.1"), .port = 258};
  EXPECT_EQ(write_reply(Reply::Done, at), (Octets{5, 0, 0, 1, 127, 0, 0, 1, 1, 2}));
  EXPECT_EQ(reply_for(Failure::Refused), Reply::Refused);
  EXPECT_EQ(reply_for(Failure::NotSupported), Reply::CommandNotSupported);
}

}  // namespace
}  // namespace warren::proxy::socks
