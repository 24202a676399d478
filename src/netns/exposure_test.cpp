#include "netns/exposure.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "netns/socket_address.hpp"

namespace warren::netns {
namespace {

using ::testing::HasSubstr;

TEST(Exposure, IsReadAndWritten) {
  for (const auto& [text, written] : std::initializer_list<std::pair<const char*, const char*>>{
           {"8080:80", "127.0.0.1:8080:80/tcp"},
           {"8080:80/udp", "127.0.0.1:8080:80/udp"},
           {"0.0.0.0:1:65535/tcp", "0.0.0.0:1:65535/tcp"},
           {"[::1]:8080:80", "[::1]:8080:80/tcp"},
           {"192.0.2.1:53:53/udp", "192.0.2.1:53:53/udp"}}) {
    const auto read = Exposure::parse(text);
    ASSERT_TRUE(read) << text << ": " << read.error().message;
    EXPECT_EQ(read->to_string(), written);
    const auto again = Exposure::parse(written);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->listen, read->listen);
    EXPECT_EQ(again->port, read->port);
    EXPECT_EQ(again->tcp, read->tcp);
  }
}

TEST(Exposure, SaysWhatIsWrong) {
  for (const auto& [text, why] : std::initializer_list<std::pair<const char*, const char*>>{
           {"", "it names one port"},
           {"8080", "it names one port"},
           {"8080:", "`` is not a port"},
           {":80", "`` is not [ADDRESS:]PORT"},
           {"8080:0", "`0` is not a port"},
           {"8080:65536", "`65536` is not a port"},
           {"8080:+1", "`+1` is not a port"},
           {"8080: 80", "` 80` is not a port"},
           {"0:80", "`0` is not [ADDRESS:]PORT"},
           {"99999999999999999999:80", "is not [ADDRESS:]PORT"},
           {"localhost:8080:80", "`localhost:8080` is not [ADDRESS:]PORT"},
           {"::1:8080:80", "is not [ADDRESS:]PORT"},
           {"8080:80/", "`` is not tcp or udp"},
           {"8080:80/TCP", "`TCP` is not tcp or udp"},
           {"8080:80/tcp/udp", "`tcp/udp` is not tcp or udp"}}) {
    const auto read = Exposure::parse(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().kind, base::ErrorKind::Invalid);
    EXPECT_THAT(read.error().message, HasSubstr(why));
    EXPECT_THAT(read.error().hint, HasSubstr("8080:80/tcp"));
  }
}

TEST(Exposure, AdmitsWhomItIsToldTo) {
  Exposure one;
  const auto near = *base::IpAddress::parse("10.1.2.3");
  const auto far = *base::IpAddress::parse("2001:db8::1");
  EXPECT_TRUE(one.admits(near) && one.admits(far)) << "without a list: everybody";
  one.allowed = {*base::Prefix::parse("192.0.2.0/24"), *base::Prefix::parse("10.1.0.0/16")};
  EXPECT_TRUE(one.admits(near));
  EXPECT_FALSE(one.admits(*base::IpAddress::parse("10.2.0.1")));
  EXPECT_FALSE(one.admits(far));
}

TEST(Exposure, ATakenPortIsSaid) {
  Exposure one{.listen = *base::Endpoint::parse("127.0.0.1:0"), .port = 80, .allowed = {}};
  const auto first = open_listener(one);
  ASSERT_TRUE(first) << first.error().message;
  SocketAddress bound;
  ASSERT_EQ(getsockname(first->get(), bound.get(), &bound.size), 0);
  one.listen = *from_socket_address(bound);
  const auto second = open_listener(one);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().hint, "another program has this port");
}

TEST(SocketAddress, KeepsAnEndpoint) {
  for (const char* text : {"192.0.2.1:51820", "[2001:db8::1]:1", "[fe80::1%3]:65535"}) {
    const auto endpoint = base::Endpoint::parse(text);
    ASSERT_TRUE(endpoint) << text;
    EXPECT_EQ(from_socket_address(to_socket_address(*endpoint)), endpoint) << text;
  }
  const auto mapped = from_socket_address(to_mapped_address(*base::Endpoint::parse("192.0.2.1:9")));
  ASSERT_TRUE(mapped);
  EXPECT_EQ(mapped->to_string(), base::Endpoint::parse("[::ffff:192.0.2.1]:9")->to_string());
  SocketAddress local;
  local.storage.ss_family = AF_UNIX;
  EXPECT_FALSE(from_socket_address(local));
}

}  // namespace
}  // namespace warren::netns
