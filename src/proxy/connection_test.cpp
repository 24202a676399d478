#include "proxy/connection.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/proxy_test_support.hpp"

namespace warren::proxy {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const std::string kLogin =
    "Proxy-Authorization: Basic " + base::to_base64(base::as_bytes("warren:secret")) + "\r\n\r\n";
constexpr std::string_view kHello = "\x05\x01\x02";
constexpr std::string_view kSocksLogin = "\x01\x06warren\x06secret";

std::string connect_to(const std::string& where) {
  return "CONNECT " + where + " HTTP/1.1\r\n" + kLogin;
}

TEST(Connection, ATargetThatIsSilentTimesOut) {
  World world;
  Client client(world);
  client.say(connect_to("10.0.0.9:80"));
  ASSERT_EQ(world.sent.size(), 1U);  // a SYN
  const base::Instant begin = os::now();
  client.connection->handle_tick(begin + kConnectTime - std::chrono::seconds(1));
  EXPECT_EQ(client.heard(), "");
  client.connection->handle_tick(begin + kConnectTime + std::chrono::seconds(1));
  EXPECT_THAT(client.heard(), StartsWith("HTTP/1.1 504 "));
  client.connection->handle_tick(os::now() + kFarewellTime + std::chrono::seconds(1));
  EXPECT_TRUE(client.connection->is_over());
}

TEST(Connection, AClientThatAsksForNothingIsLeft) {
  World world;
  Client client(world);
  client.say("GET ht");
  client.connection->handle_tick(os::now() + kRequestTime / 2);
  EXPECT_FALSE(client.connection->is_over());
  client.connection->handle_tick(os::now() + kRequestTime + std::chrono::seconds(1));
  EXPECT_TRUE(client.connection->is_over());
}

TEST(Connection, WithoutThePasswordNothingLeaves) {
  World world;
  Client client(world);
  client.say("CONNECT 10.0.0.9:80 HTTP/1.1\r\n\r\n");
  EXPECT_THAT(client.heard(), StartsWith("HTTP/1.1 407 "));
  Client socks(world);
  socks.say(kHello);
  EXPECT_EQ(socks.heard(), "\x05\x02");
  socks.say("\x01\x06warren\x06secreT");
  EXPECT_EQ(socks.heard(), "\x01\x01");
  EXPECT_TRUE(world.sent.empty());
}

TEST(Connection, RequestsMayComeInAnyPieces) {
  World world;
  Client client(world);
  std::string all(kHello);
  all.append(kSocksLogin).append("\x05\x01\x00\x01\x0a\x00\x00\x09\x00\x50", 10);
  for (const char one : all) client.say({&one, 1});
  EXPECT_EQ(client.heard(), std::string("\x05\x02\x01\x00", 4));
  EXPECT_EQ(world.sent.size(), 1U);
}

TEST(Connection, RefusalsNameTheReason) {
  World world;
  for (const auto& [where, reason] : {std::pair{"192.0.2.1:80", "AllowedIPs"},
                                      {"10.0.0.2:80", "our own"},
                                      {"127.0.0.1:80", "loopback"},
                                      {"a.lab:80", "no DNS server"},
                                      {"localhost:80", "loopback"}}) {
    Client client(world);
    client.say(connect_to(where));
    EXPECT_THAT(client.heard(), HasSubstr(reason)) << where;
  }
  EXPECT_TRUE(world.sent.empty());
}

TEST(Connection, NamesAreAskedOfTheProfilesServerAndTimeOut) {
  World world({*base::IpAddress::parse("10.0.0.53")});
  Client client(world);
  client.say(connect_to("a.lab:80"));
  ASSERT_EQ(world.sent.size(), 2U);  // AAAA and A
  for (const auto& packet : world.sent) {
    EXPECT_EQ(std::vector(packet.begin() + 16, packet.begin() + 20),
              (std::vector<std::uint8_t>{10, 0, 0, 53}));
  }
}

TEST(Connection, AFullTunnelLosesNothing) {
  World world;
  world.tunnel_full = true;
  Client client(world);
  client.say(connect_to("10.0.0.9:80"));
  EXPECT_TRUE(world.sent.empty());
  world.tunnel_full = false;
  client.connection->handle_tunnel_writable();
  EXPECT_EQ(world.sent.size(), 1U);
}

TEST(Connection, Socks4AndBindAreRefused) {
  World world;
  Client four(world);
  four.say("\x04\x01");
  EXPECT_TRUE(four.connection->is_over());
  Client bind(world);
  bind.say(std::string(kHello)
               .append(kSocksLogin)
               .append("\x05\x02\x00\x01\x0a\x00\x00\x09\x00\x50", 10));
  EXPECT_EQ(bind.heard().substr(4, 2), "\x05\x07");
}

}  // namespace
}  // namespace warren::proxy
