// What a token for one network can find out about another, and do to it: nothing. Every route of
// the table is tried, also those that are added later, and a few thousand requests at random.
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/json.hpp"
#include "control/control_fakes.hpp"
#include "server/routes.hpp"

namespace warren::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// In the names of the other network and of what it has, all of which can be guessed, …
constexpr const char* kSecret = "zzsecret";
/// … and in names that no request has: whoever reads them was told them.
constexpr const char* kHidden = "hidden";

class Scoped : public ::testing::Test {
 protected:
  Scoped() : router_(api_routes(*gateway_.control, {})) {
    control::Control& control = *gateway_.control;
    const std::string other = kSecret;
    EXPECT_TRUE(gateway_.create("own"));
    EXPECT_TRUE(gateway_.create(other, "10.30.0.0/24"));
    gateway_.add_member("own", "laptop");
    gateway_.add_member(other, other + "-peer");
    EXPECT_TRUE(control.add_role("uid 0", other, {.name = other + "-role"}));
    EXPECT_TRUE(control.create_token("uid 0", {.name = other + "-token", .network = other}));
    EXPECT_TRUE(control.set_policy("uid 0", other, {.lines = {"rules:"}}));
    gateway_.add_member(other, "hidden-peer");
    EXPECT_TRUE(control.add_role("uid 0", other, {.name = "hidden-role"}));
    EXPECT_TRUE(control.add_forward("uid 0", other, {.from = "8443/tcp", .peer = "hidden-peer"}));
  }
  Response ask(const std::string& method, const std::string& target, const std::string& body = {},
               bool read_only = false) {
    return router_.handle({.method = method,
                           .target = target,
                           .body = body,
                           .actor = "token own",
                           .content_type = "application/json",
                           .scope = {.is_local = false, .network = "own", .read_only = read_only}});
  }
  /// The path of a route with these for what stands in braces.
  static std::string filled(const Router::Route& route, const std::string& network) {
    const std::string other = kSecret;
    const std::map<std::string, std::string> values = {
        {"{network}", network},       {"{peer}", other + "-peer"},
        {"{role}", other + "-role"},  {"{token}", other + "-token"},
        {"{person}", other + "-ann"}, {"{serial}", "00"},
        {"{protocol}", "tcp"},        {"{port}", "8443"}};
    std::string path;
    for (const std::string& segment : route.segments) {
      const auto value = values.find(segment);
      EXPECT_TRUE(!segment.starts_with('{') || value != values.end())
          << segment << ": say here what the other network has of it";
      path += "/" + (value == values.end() ? segment : value->second);
    }
    return path;
  }
  /// All that the gateway has of everything but "own".
  store::State others() {
    store::State state = gateway_.state();
    const auto own = std::ranges::find(state.networks, "own",
                                       [](const auto& entry) { return entry.second.network.name; });
    std::erase_if(state.peers,
                  [&](const auto& entry) { return entry.second.network == own->first; });
    std::erase_if(state.forwards,
                  [&](const auto& entry) { return entry.second.network == own->first; });
    state.networks.erase(own);
    return state;
  }

  control::testing::Gateway gateway_;
  Router router_;
};

TEST_F(Scoped, NoRouteTellsWhetherAnotherNetworkIsThere) {
  const auto before = gateway_.snapshot();
  int tried = 0;
  for (const Router::Route& route : router_.routes()) {
    const std::string method(route.facts.method);
    for (const char* body : {"", "{}", R"({"schema":1})", R"({"schema":1,"name":"x"})", "{"}) {
      const Response held = ask(method, filled(route, kSecret), body);
      if (route.facts.reach == Reach::Network) {
        const Response missing = ask(method, filled(route, "nowhere"), body);
        EXPECT_EQ(held.status, 404U) << route.facts.path;
        EXPECT_EQ(held.status, missing.status);
        EXPECT_EQ(held.body, missing.body) << route.facts.path;
      } else if (route.facts.reach != Reach::Filtered) {
        EXPECT_EQ(held.status, 403U) << route.facts.path;
      }
      EXPECT_THAT(held.body, Not(HasSubstr(kHidden))) << route.facts.path;
      ++tried;
    }
    for (const QueryParameter& query : route.facts.query) {
      if (query.most != 0 || route.facts.reach != Reach::Filtered) continue;
      const std::string path = filled(route, "own") + "?" + std::string(query.name) + "=";
      EXPECT_EQ(ask(method, path + kSecret).status, 404U);
      EXPECT_EQ(ask(method, path + kSecret).body, ask(method, path + "nowhere").body);
    }
  }
  EXPECT_GT(tried, 200);
  EXPECT_EQ(gateway_.snapshot(), before);
}

TEST_F(Scoped, AReadOnlyTokenReadsEverythingOfItsNetworkAndChangesNothing) {
  const auto before = gateway_.snapshot();
  const auto audited = gateway_.control->audit_span()->last;
  for (const Router::Route& route : router_.routes()) {
    const std::string method(route.facts.method);
    const Response answer = ask(method, filled(route, "own"), R"({"schema":1})", true);
    const bool whole = route.facts.reach == Reach::Gateway || route.facts.reach == Reach::Host;
    const bool refused = whole || route.facts.effect == Effect::Changes;
    EXPECT_EQ(answer.status == 403U, refused) << method << " " << route.facts.path;
  }
  EXPECT_EQ(gateway_.snapshot(), before);
  EXPECT_EQ(gateway_.control->audit_span()->last, audited) << "not even an attempt";
}

TEST_F(Scoped, WhatIsReadOfTheGatewayHasNothingOfOthers) {
  for (const Router::Route& route : router_.routes()) {
    if (route.facts.method != "GET" || route.facts.reach == Reach::Gateway ||
        route.facts.reach == Reach::Host) {
      continue;
    }
    EXPECT_THAT(ask("GET", filled(route, "own")).body, Not(HasSubstr(kHidden))) << route.facts.path;
  }
  const auto audit = api::decode<api::AuditList>(ask("GET", "/v1/audit?after=0&limit=1000").body);
  ASSERT_TRUE(audit);
  EXPECT_EQ(audit->records.size(), 3U) << "made, invited, enrolled";
  EXPECT_EQ(audit->through, gateway_.control->audit_span()->last);
  const Response events = ask("GET", "/v1/events?after=0");
  ASSERT_TRUE(events.events);
  EXPECT_EQ(events.events->network, "own");
}

TEST_F(Scoped, APortWrittenInAnotherWayIsStillAnothers) {
  const store::State before = others();
  for (const char* port : {"8443", "08443", "%38443", "+8443", " 8443", "8443%2ftcp", "8443%20"}) {
    std::string free_port = port;
    free_port.replace(free_port.find("443"), 3, "444");
    const Response held = ask("DELETE", "/v1/forwards/tcp/" + std::string(port));
    const Response none = ask("DELETE", "/v1/forwards/tcp/" + free_port);
    EXPECT_EQ(held.status, none.status) << port;
    EXPECT_NE(held.status, 200U) << port;
    EXPECT_THAT(held.body, Not(HasSubstr(kHidden)));
  }
  EXPECT_EQ(others(), before);
}

TEST_F(Scoped, TheGatewaysHostIsNotOneNetworksToOpen) {
  EXPECT_EQ(ask("PATCH", "/v1/networks/own", R"({"schema":1,"host_access":true})").status, 403U);
  EXPECT_EQ(ask("PATCH", "/v1/networks/own", R"({"schema":1,"host_access":false})").status, 200U);
  ASSERT_TRUE(gateway_.control->set_network("uid 0", "own", {.host_access = true}));
  EXPECT_EQ(ask("PATCH", "/v1/networks/own", R"({"schema":1,"host_access":false})").status, 403U);
}

TEST_F(Scoped, RequestsAtRandomLeakAndTouchNothing) {
  const std::uint32_t seed = 20'250'613;
  std::mt19937 random(seed);
  const auto one_of = [&](const std::vector<std::string>& choices) {
    return choices[random() % choices.size()];
  };
  const std::vector<std::string> networks = {"own",
                                             kSecret,
                                             "ZZsecret",
                                             "%7Azsecret",
                                             "zzsecre%74",
                                             "zzsecret%20",
                                             "zzsecret/",
                                             "own%2F..%2Fzzsecret",
                                             "own/../zzsecret",
                                             "own%0Azzsecret",
                                             "own%zz",
                                             "*"};
  const std::vector<std::string> bodies = {
      "",
      "{}",
      R"({"schema":1})",
      R"({"schema":1,"name":"new","role":"zzsecret-role"})",
      R"({"schema":1,"from":"1/tcp to zzsecret/x","peer":"zzsecret-peer"})",
      R"({"schema":1,"from":"9000/tcp","peer":"zzsecret/zzsecret-peer"})",
      R"({"schema":1,"name":"x","network":"zzsecret"})",
      R"({"schema":1,"lines":["rules:"]})",
      R"({"schema":1,"from":"peer:zzsecret-peer","to":"gateway","port":"tcp/22"})"};
  const store::State before = others();
  for (int i = 0; i < 4000; ++i) {
    const Router::Route& route = router_.routes()[random() % router_.routes().size()];
    const bool same = random() % 4 != 0;
    const std::string method =
        same ? std::string(route.facts.method) : one_of({"GET", "POST", "PUT", "PATCH", "DELETE"});
    const std::string target =
        filled(route, one_of(networks)) +
        one_of({"", "", "", "?network=zzsecret", "?after=0", "?limit=5&network=own", "?x=1"});
    const std::string body = one_of(bodies);
    const Response answer = ask(method, target, body);
    EXPECT_NE(answer.status / 100, 5U) << method << " " << target << " " << answer.body;
    EXPECT_THAT(answer.body, Not(HasSubstr(kHidden))) << "seed " << seed << ": " << target;
    if (answer.events) {
      EXPECT_EQ(answer.events->network, "own");
    }
  }
  EXPECT_EQ(others(), before) << "seed " << seed;
  const auto audit = gateway_.control->audit_of(kSecret, 10'000);
  for (const api::AuditEntry& record : audit->records) {
    EXPECT_EQ(record.actor.find("token own"), std::string::npos)
        << record.action << " of " << record.target << ", seed " << seed;
  }
}

}  // namespace
}  // namespace warren::server
