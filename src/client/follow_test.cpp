#include "client/follow.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/json.hpp"
#include "client/join.hpp"
#include "client/limits.hpp"
#include "os/file.hpp"
#include "os/process.hpp"
#include "pki/authority.hpp"
#include "server/server_fixture.hpp"

namespace warren::client {
namespace {

using server::testing::TestServer;
using ::testing::HasSubstr;
using ::testing::Not;

/// A member of a network, and a thread that follows for it.
class FollowTest : public ::testing::Test {
 protected:
  FollowTest() { server_.create_network("lab"); }
  ~FollowTest() override {
    listener_.reset();
    // A request that waits is answered when the server goes.
    if (thread_.joinable()) {
      server_.on_io([&] { server_.server->stop(); });
      thread_.join();
    }
  }

  void join_and_follow(const std::string& edited = {}) {
    os::SystemRandom random;
    const std::string directory = server_.scratch.path() + "/profiles";
    const auto joined = client::join(
        {.token = server_.token("lab", "ann"), .directory = directory, .profile = std::nullopt},
        random, os::wall_now());
    server::testing::require(joined);
    conf_ = joined->conf_path;
    if (!edited.empty()) {
      server::testing::require(
          os::write_file_atomically(conf_, *os::read_file(conf_) + edited, 0600));
    }
    const auto conf = model::WgConf::parse(*os::read_file(conf_), conf_);
    const auto note = read_note(directory, "lab");
    auto membership = make_membership(*conf, **note);
    server::testing::require(membership);
    FollowOptions options{.member = std::move(*membership),
                          .revision = (*note)->revision,
                          .lease_s = std::nullopt,
                          .endpoint = (*note)->endpoint,
                          .endpoint_address = {},
                          .directory = directory,
                          .profile = "lab"};
    auto pair = os::unix_pair(os::UnixType::SeqPacket);
    listener_ = std::move(pair->first);
    thread_ = std::thread([options = std::move(options), end = std::move(pair->second)]() mutable {
      follow(std::move(options), end);
    });
  }
  [[nodiscard]] Heard hear() {
    if (!os::wait_readable(listener_, std::chrono::seconds(5)).value_or(false)) {
      ADD_FAILURE() << "nothing was heard";
      return {};
    }
    const auto message = os::receive_message(listener_, std::size_t{128} << 10);
    auto heard = read_heard(message->bytes);
    EXPECT_TRUE(heard) << heard.error().message;
    return heard ? std::move(*heard) : Heard{};
  }
  [[nodiscard]] std::string conf_endpoint() const {
    const auto conf = model::WgConf::parse(os::read_file(conf_).value_or(""), conf_);
    return conf && conf->peers.size() == 1 ? conf->peers[0].endpoint->host : std::string();
  }
  void set_endpoint(const std::string& host) {
    server_.on_io([&] {
      server::testing::require(
          server_.gateway.control->set_network("uid 0", "lab", {.endpoint = host}));
    });
  }

  TestServer server_;
  std::string conf_;
  os::Fd listener_;
  std::thread thread_;
};

TEST_F(FollowTest, TellsAChangeAndKeepsTheProfile) {
  join_and_follow();
  EXPECT_FALSE(*os::wait_readable(listener_, std::chrono::milliseconds(300)));
  set_endpoint("127.0.0.9");
  const Heard heard = hear();
  ASSERT_TRUE(heard.state && heard.endpoint);
  EXPECT_EQ(heard.endpoint->address.to_string(), "127.0.0.9");
  EXPECT_THAT(*os::read_file(conf_), HasSubstr("Endpoint = 127.0.0.9:"));
  const auto note = read_note(conf_.substr(0, conf_.rfind('/')), "lab");
  EXPECT_EQ((*note)->revision, heard.state->revision);
}

TEST_F(FollowTest, AGatewayThatAlwaysSaysSomethingNewIsHeardNowAndThen) {
  join_and_follow();
  const base::Instant began = os::now();
  unsigned heard = 0;
  for (int i = 1; i <= 100; ++i) {
    set_endpoint("127.0.1." + std::to_string(i));
    while (os::wait_readable(listener_, std::chrono::milliseconds(5)).value_or(false)) {
      if (hear().state) ++heard;
    }
  }
  const auto fits = static_cast<unsigned>((os::now() - began) / kChangePause);
  EXPECT_LE(heard, fits + 2);
  // The last word is heard all the same.
  while (conf_endpoint() != "127.0.1.100" && os::now() - began < std::chrono::seconds(30)) {
    if (os::wait_readable(listener_, std::chrono::milliseconds(20)).value_or(false)) (void)hear();
  }
  EXPECT_EQ(conf_endpoint(), "127.0.1.100");
}

TEST_F(FollowTest, EditsStayUntilTheGatewaysWordChanges) {
  join_and_follow("AllowedIPs = 198.51.100.0/24\n");
  EXPECT_FALSE(*os::wait_readable(listener_, std::chrono::milliseconds(500)));
  EXPECT_THAT(*os::read_file(conf_), HasSubstr("198.51.100.0/24"));
  set_endpoint("127.0.0.9");
  ASSERT_TRUE(hear().state);
  EXPECT_THAT(*os::read_file(conf_), Not(HasSubstr("198.51.100.0/24")));
}

TEST_F(FollowTest, TheCertificateIsRenewedAfterARollOverAndARename) {
  join_and_follow();
  const std::string path = conf_.substr(0, conf_.rfind('/')) + "/lab.crt";
  const auto facts = [&] {
    const auto read = pki::certificate_facts(os::read_file(path).value_or(""));
    return read ? read->issuer + " " + read->subject : std::string();
  };
  const auto comes = [&](const std::string& text) {
    const base::Instant began = os::now();
    while (facts().find(text) == std::string::npos) {
      if (os::now() - began > std::chrono::seconds(10)) return false;
      if (os::wait_readable(listener_, std::chrono::milliseconds(20)).value_or(false)) (void)hear();
    }
    return true;
  };
  ASSERT_TRUE(comes("CN=lab authority,O=lab CN=ann"));
  server_.on_io(
      [&] { server::testing::require(server_.gateway.control->rotate_authority("x", "lab", {})); });
  EXPECT_TRUE(comes("CN=lab authority 2,O=lab CN=ann")) << facts();
  server_.on_io([&] {
    server_.gateway.control->retry_pending();
    server::testing::require(
        server_.gateway.control->rename_peer("x", "lab", "ann", {.name = "anna"}));
  });
  EXPECT_TRUE(comes("CN=anna")) << facts();
}

TEST_F(FollowTest, TheGatewaysLastWordEndsIt) {
  join_and_follow();
  server_.on_io(
      [&] { server::testing::require(server_.gateway.control->revoke("uid 0", "lab", "ann")); });
  const Heard heard = hear();
  ASSERT_TRUE(heard.over);
  EXPECT_EQ(heard.over->kind, base::ErrorKind::NotPermitted);
  thread_.join();
}

TEST(Heard, WhatCannotBeReadIsRefused) {
  for (const std::string text :
       {"", "X", "S", "S127.0.0.1:1", "S127.0.0.1:1\n{}", "Snowhere\n{}", "M", "Mnowhere", "E{}"}) {
    EXPECT_FALSE(read_heard(base::as_bytes(text))) << text;
  }
  EXPECT_EQ(read_heard(base::as_bytes("M192.0.2.1:51820"))->endpoint->port, 51820);
}

}  // namespace
}  // namespace warren::client
