#include <chrono>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/json.hpp"
#include "client/daemon.hpp"
#include "client/http.hpp"
#include "model/admin_token.hpp"
#include "server/routes.hpp"
#include "server/server_fixture.hpp"

namespace warren::server {
namespace {

using ::testing::HasSubstr;
using testing::TestServer;

/// What a token's holder has.
client::Remote remote_of(TestServer& server, const api::TokenCreate& wanted) {
  client::Remote remote{.name = wanted.name, .access = {}};
  server.on_io([&] {
    const auto made = server.gateway.control->create_token("uid 0", wanted);
    testing::require(made);
    remote.access = *model::parse_admin_token(made->bundle);
  });
  return remote;
}

client::HttpAnswer ask(TestServer& server, const std::string& authorization,
                       const std::string& target = "/v1/status") {
  bool sent = false;
  const auto answer = client::exchange_pinned(
      {.at = {.host = "127.0.0.1", .port = server.server->admin_port()},
       .pin = server.identity.pin,
       .administration = true},
      {.method = "GET", .target = target, .body = {}, .authorization = authorization}, sent);
  testing::require(answer);
  return *answer;
}

Limits quick() {
  Limits limits;
  limits.failure_delay = std::chrono::milliseconds(1);
  return limits;
}

TEST(Administration, AHolderOfATokenDoesWhatItsScopeSays) {
  TestServer server(quick());
  server.create_network("lab");
  server.on_io([&] { testing::require(server.gateway.create("other", "10.30.0.0/24")); });
  const client::Daemon all(remote_of(server, {.name = "all"}));
  const client::Daemon lab(remote_of(server, {.name = "lab", .network = "lab"}));
  const client::Daemon eye(remote_of(server, {.name = "eye", .read_only = true}));
  EXPECT_EQ(all.list_networks()->networks.size(), 2U);
  EXPECT_EQ(eye.list_networks()->networks.size(), 2U);
  ASSERT_EQ(lab.list_networks()->networks.size(), 1U);
  EXPECT_EQ(lab.list_networks()->networks[0].name, "lab");
  EXPECT_EQ(lab.show_network("other").error().kind, base::ErrorKind::NotFound);
  EXPECT_EQ(lab.delete_network("lab").error().kind, base::ErrorKind::NotPermitted);
  EXPECT_EQ(eye.delete_network("lab").error().kind, base::ErrorKind::NotPermitted);
  EXPECT_EQ(all.create_token({.name = "more"}).error().kind, base::ErrorKind::NotPermitted);
  EXPECT_TRUE(lab.add_peer("lab", {.name = "phone"}));
  EXPECT_TRUE(all.delete_network("other"));
  const auto audit = all.audit(2);
  EXPECT_EQ(audit->records[1].actor, "token lab from 127.0.0.1");
  EXPECT_EQ(audit->records[0].actor, "token all from 127.0.0.1");
}

TEST(Administration, WithoutAGoodSecretThereIsNothing) {
  TestServer server(quick());
  const client::Remote good = remote_of(server, {.name = "ci"});
  const std::string secret = base::to_base64url(good.access.secret);
  EXPECT_EQ(ask(server, "Bearer " + secret).status, 200U);
  EXPECT_EQ(ask(server, "bearer " + secret).status, 200U);
  for (const std::string& wrong :
       {std::string(), std::string("Bearer"), "Bearer " + secret + "x", "Basic " + secret,
        "Bearer  " + secret, std::string("Bearer \xff")}) {
    const client::HttpAnswer answer = ask(server, wrong);
    EXPECT_EQ(answer.status, 401U) << wrong;
    EXPECT_TRUE(api::decode_error(answer.body));
  }
  EXPECT_EQ(ask(server, "", "/v1/no-such-path").status, 401U) << "not even which paths there are";
}

TEST(Administration, WhoeverGuessesWaitsAndATokenHasItsRate) {
  Limits limits = quick();
  limits.failure_burst = 3;
  limits.failures_per_second = 0.01;
  TestServer guessed(limits);
  const client::Remote good = remote_of(guessed, {.name = "ci"});
  const std::string header = "Bearer " + base::to_base64url(good.access.secret);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(ask(guessed, header).status, 200U) << "no guesses";
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask(guessed, "Bearer AAAA").status, 401U);
  const client::HttpAnswer refused = ask(guessed, header);
  EXPECT_EQ(refused.status, 429U);
  EXPECT_GT(refused.retry_after_s, 0U);

  limits = quick();
  limits.token_request_burst = 2;
  limits.token_requests_per_second = 0.01;
  TestServer busy(limits);
  const client::Remote often = remote_of(busy, {.name = "often"});
  const client::Remote other = remote_of(busy, {.name = "other"});
  const auto status = [&](const client::Remote& remote) {
    return ask(busy, "Bearer " + base::to_base64url(remote.access.secret)).status;
  };
  EXPECT_EQ(status(often), 200U);
  EXPECT_EQ(status(often), 200U);
  EXPECT_EQ(status(often), 429U);
  EXPECT_EQ(status(other), 200U);
}

TEST(Administration, AStreamEndsWithItsToken) {
  TestServer server(quick());
  server.create_network("lab");
  const client::Daemon daemon(remote_of(server, {.name = "ci", .network = "lab"}));
  std::vector<std::string> heard;
  client::Daemon::EventRequest request{.network = {}, .after = 0};
  const base::Status ended = daemon.listen(
      request,
      [&](const api::Event& event) {
        heard.push_back(event.action);
        // The first is of the past; each makes another happen.
        if (heard.size() == 1) {
          server.on_io([&] { testing::require(server.gateway.invite("lab", "laptop")); });
        } else {
          server.on_io([&] {
            EXPECT_TRUE(server.gateway.control->delete_token("uid 0", "ci"));
            EXPECT_TRUE(server.gateway.invite("lab", "unheard"));
          });
        }
        return true;
      },
      nullptr);
  EXPECT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(heard, (std::vector<std::string>{"network.create", "peer.invite"}));
  EXPECT_EQ(daemon.status().error().kind, base::ErrorKind::NotPermitted);
}

TEST(Administration, TheSocketHasEventsTooAndEndsThemWithTheServer) {
  TestServer server;
  server.create_network("lab");
  const client::Daemon daemon(server.socket_path());
  client::Daemon::EventRequest request;
  int ticks = 0;
  std::vector<std::string> heard;
  const base::Status ended = daemon.listen(
      request,
      [&](const api::Event& event) {
        heard.push_back(event.kind);
        return heard.size() < 2;
      },
      [&]() -> base::Duration {
        if (++ticks > 5) {
          server.on_io([&] { EXPECT_FALSE(server.gateway.create("lab")); });
        }
        return std::chrono::milliseconds(10);
      });
  EXPECT_TRUE(ended);
  EXPECT_EQ(heard, (std::vector<std::string>{"refused", "refused"}));
  EXPECT_GT(request.after.value_or(0), 1U);
  std::thread stopper([&] { server.on_io([&] { server.server->stop(); }); });
  const base::Status over = daemon.listen(request, [](const api::Event&) { return true; }, nullptr);
  stopper.join();
  EXPECT_TRUE(over || over.error().kind == base::ErrorKind::Unavailable);
}

TEST(OpenApi, HasEveryRouteAndNoOther) {
  control::testing::Gateway gateway;
  const Router router = api_routes(*gateway.control, {});
  const Response answer = router.handle({.method = "GET", .target = "/v1/openapi.json"});
  ASSERT_EQ(answer.status, 200U);
  for (const Router::Route& route : router.routes()) {
    EXPECT_THAT(answer.body, HasSubstr("\"" + std::string(route.facts.path) + "\":"));
    EXPECT_FALSE(route.facts.summary.empty()) << route.facts.path;
    if (route.request.empty()) continue;
    EXPECT_THAT(answer.body, HasSubstr("\"" + route.request + "\":"));
  }
}

}  // namespace
}  // namespace warren::server
