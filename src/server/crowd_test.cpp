// Crowds of connections, over real sockets: whoever only connects keeps nobody out, and whoever is
// known has its share.
#include <array>
#include <chrono>
#include <future>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "api/json.hpp"
#include "client/daemon.hpp"
#include "client/http.hpp"
#include "client/member.hpp"
#include "model/admin_token.hpp"
#include "pki/wg_keys.hpp"
#include "server/server_fixture.hpp"

namespace warren::server {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::TestServer;

constexpr auto kLong = std::chrono::seconds(60);

/// A connection of 127.0.0.2 that says nothing.
os::Fd silent_connection(std::uint16_t port) {
  os::Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) return {};
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) return {};
  return socket;
}

Limits crowded() {
  Limits limits;
  limits.handshake_timeout = kLong;
  limits.enrol_connections = 4;
  limits.admin_connections = 4;
  limits.connection_burst = limits.admin_connection_burst = 1000;
  return limits;
}

client::Remote remote_of(TestServer& server, const std::string& name) {
  client::Remote remote{.name = name, .access = {}};
  server.on_io([&] {
    const auto made = server.gateway.control->create_token("uid 0", {.name = name});
    testing::require(made);
    remote.access = *model::parse_admin_token(made->bundle);
  });
  return remote;
}

TEST(Crowd, OneAddressKeepsNoOtherOut) {
  TestServer server(crowded());
  const client::Daemon daemon(remote_of(server, "ann"));
  for (const std::uint16_t port : {server.server->enrol_port(), server.server->admin_port()}) {
    std::vector<os::Fd> crowd;
    for (int i = 0; i < 8; ++i) {
      crowd.push_back(silent_connection(port));
      ASSERT_TRUE(crowd.back());
    }
    if (port == server.server->admin_port()) {
      EXPECT_TRUE(daemon.status());
    } else {
      bool sent = false;
      const auto answer = client::exchange_pinned(
          {.at = {.host = "127.0.0.1", .port = port}, .pin = server.identity.pin},
          {.method = "GET", .target = "/v1/nothing", .body = {}}, sent);
      ASSERT_TRUE(answer) << answer.error().message;
      EXPECT_EQ(answer->status, 404U);
    }
    // The oldest of the crowd had to go; those that came when all was full never got in.
    EXPECT_EQ(testing::read_to_end(crowd[0].get()), "");
  }
}

TEST(Crowd, WhatAMemberOpensBeyondItsShareDoesNotWait) {
  Limits limits;
  limits.connections_per_member = 1;
  TestServer server(limits);
  server.create_network("lab");
  os::SystemRandom random;
  const pki::WgKeys keys = pki::create_wg_keys(random);
  const model::TokenText text = server.token("lab", "ann");
  base::Result<api::EnrolAnswer> enrolled = base::make_error(base::ErrorKind::Internal, "");
  server.on_io([&] { enrolled = server.gateway.enrol(text.write(), keys.public_key); });
  testing::require(enrolled);
  const client::Membership ann{
      .network = "lab",
      .gateway = {.at = {.host = "127.0.0.1", .port = server.server->enrol_port()},
                  .pin = server.identity.pin},
      .key = crypto::PrivateKey(keys.private_key),
      .gateway_key = *base::PublicKey::parse_base64(enrolled->gateway_key)};
  ASSERT_TRUE(enrolled->revision);
  // Of two that would wait for as long as it takes, one may; the other is told at once.
  const auto wait = [&] { return client::sync(ann, *enrolled->revision, kLong); };
  std::array both = {std::async(std::launch::async, wait), std::async(std::launch::async, wait)};
  std::size_t told = 0;
  while (both[told].wait_for(std::chrono::milliseconds(20)) != std::future_status::ready) {
    told = 1 - told;
  }
  const auto answer = both[told].get();
  ASSERT_TRUE(answer) << answer.error().error.message;
  EXPECT_TRUE(answer->come_back);
  EXPECT_EQ(both[1 - told].wait_for(std::chrono::milliseconds(200)), std::future_status::timeout);
  server.on_io([&] { server.server->stop(); });
  EXPECT_FALSE(both[1 - told].get());
}

TEST(Crowd, OneTokenDoesNotTakeAllStreams) {
  Limits limits;
  limits.event_streams_of_one = 1;
  limits.event_streams = 2;
  TestServer server(limits);
  server.create_network("lab");
  const client::Remote ann = remote_of(server, "ann");
  std::atomic<bool> heard = false;
  std::thread listener([&] {
    client::Daemon::EventRequest request{.network = {}, .after = 0};
    const auto first = [&](const api::Event&) { return heard = true; };
    std::ignore = client::Daemon(ann).listen(request, first, nullptr);
  });
  while (!heard) std::this_thread::yield();
  const auto listen = [](const client::Daemon& daemon) {
    client::Daemon::EventRequest request{.network = {}, .after = 0};
    return daemon.listen(request, [](const api::Event&) { return false; }, nullptr);
  };
  const base::Status second = listen(client::Daemon(ann));
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("too many listen"));
  EXPECT_TRUE(listen(client::Daemon(remote_of(server, "bob"))));
  EXPECT_TRUE(listen(client::Daemon(server.socket_path())));
  server.on_io([&] { server.server->stop(); });
  listener.join();
}

TEST(Crowd, AFollowerOfOneNetworkIsNotHeldUpByThePastOfAnother) {
  Limits limits;
  limits.events_at_once = 2;
  TestServer server(limits);
  server.create_network("lab");
  server.on_io([&] {
    testing::require(server.gateway.create("other", "10.30.0.0/24"));
    for (int i = 0; i < 1000; ++i) {
      EXPECT_FALSE(server.gateway.control->revoke("uid 0", "other", "nobody"));
    }
    testing::require(server.gateway.invite("lab", "laptop"));
  });
  client::Remote remote{.name = "ci", .access = {}};
  server.on_io([&] {
    const auto made =
        server.gateway.control->create_token("uid 0", {.name = "ci", .network = "lab"});
    testing::require(made);
    remote.access = *model::parse_admin_token(made->bundle);
  });
  std::vector<std::string> heard;
  client::Daemon::EventRequest request{.network = {}, .after = 0};
  const base::Status ended = client::Daemon(remote).listen(
      request,
      [&](const api::Event& event) {
        heard.push_back(event.action);
        EXPECT_EQ(event.network, "lab");
        return heard.size() < 2;
      },
      nullptr);
  EXPECT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(heard, (std::vector<std::string>{"network.create", "peer.invite"}));
}

TEST(Crowd, ALongAnswerHasTimeForASlowReader) {
  Limits limits;
  limits.write_timeout = std::chrono::milliseconds(100);
  limits.slowest_reader = 32UL * 1024;
  TestServer server(limits);
  server.create_network("lab");
  server.on_io([&] {
    for (int i = 0; i < 6000; ++i) {
      EXPECT_FALSE(server.gateway.control->revoke("uid 0", "lab", std::string(200, 'x')));
    }
  });
  const auto socket = os::unix_connect(os::UnixType::Stream, server.socket_path());
  ASSERT_TRUE(socket);
  testing::send_all(socket->get(),
                    "GET /v1/audit?limit=6000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(500));  // five times what a short one has
  const std::string answer = testing::read_to_end(socket->get());
  EXPECT_GT(answer.size(), 2'000'000U);
  EXPECT_THAT(answer, EndsWith("}\n"));
}

}  // namespace
}  // namespace warren::server
