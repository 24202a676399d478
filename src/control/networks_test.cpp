#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/control_fakes.hpp"

namespace warren::control::testing {
namespace {

using base::ErrorKind;
using ::testing::HasSubstr;

api::NetworkCreate lab() { return {.name = "lab", .subnet = "10.20.0.0/24"}; }

TEST(CreateNetwork, MakesStateHostAndEngine) {
  Gateway gateway;
  const auto view = gateway.create("lab");
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_EQ(view->name, "lab");
  EXPECT_EQ(view->subnet, "10.20.0.0/24");
  EXPECT_EQ(view->gateway, "10.20.0.1");
  EXPECT_THAT(view->subnet6, ::testing::MatchesRegex("fd.*::/64"));
  EXPECT_EQ(view->port, 51820);
  EXPECT_EQ(view->endpoint, "gw.example.org:51820");
  EXPECT_EQ(view->netns, "warren-lab");
  EXPECT_EQ(view->interface_name, "wr" + view->id);
  EXPECT_EQ(view->engine, "running");
  EXPECT_EQ(view->created, gateway.clock.time.seconds());
  const store::State state = gateway.state();
  ASSERT_EQ(state.networks.size(), 1U);
  const auto& [id, stored] = *state.networks.begin();
  EXPECT_EQ(stored.network.gateway_key.base64(), view->public_key);
  EXPECT_TRUE(gateway.engines.running.contains(id));
  EXPECT_TRUE(gateway.host.facts.contains(plan::key_of(plan::Namespace{"warren-lab"})));
  EXPECT_TRUE(gateway.control->status().ready);
}

TEST(CreateNetwork, NetworksWithTheSameSubnetLiveSideBySide) {
  Gateway gateway;
  const auto one = gateway.create("one");
  const auto two = gateway.create("two");
  ASSERT_TRUE(one && two);
  EXPECT_NE(one->port, two->port);
  EXPECT_NE(one->id, two->id);
  EXPECT_NE(one->subnet6, two->subnet6);
  std::set<std::uint32_t> transits;
  for (const auto& [id, stored] : gateway.state().networks) transits.insert(stored.network.transit);
  EXPECT_EQ(transits, (std::set<std::uint32_t>{0, 1}));
}

TEST(CreateNetwork, TakesTheLowestFreeTransitAndPort) {
  Gateway gateway;
  for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(gateway.create(name));
  ASSERT_TRUE(gateway.control->delete_network("uid 0", "b"));
  const auto view = gateway.create("d");
  ASSERT_TRUE(view);
  EXPECT_EQ(view->port, 51821);
  gateway.engines.foreign_ports = {51823};
  EXPECT_EQ(gateway.create("e")->port, 51824);
}

struct Refusal {
  const char* what;
  api::NetworkCreate request;
  ErrorKind kind;
  const char* message;
};

TEST(CreateNetwork, RefusalsNameTheReasonAndChangeNothing) {
  Gateway gateway;
  ASSERT_TRUE(gateway.create("taken"));
  gateway.engines.foreign_ports = {7000};
  const auto with = [](auto change) {
    api::NetworkCreate request = lab();
    change(request);
    return request;
  };
  const Gateway::Snapshot before = gateway.snapshot();
  for (const Refusal& refusal : {
           Refusal{"name", with([](auto& r) { r.name = "Lab"; }), ErrorKind::Invalid,
                   "network name"},
           Refusal{"name taken", with([](auto& r) { r.name = "taken"; }), ErrorKind::Conflict,
                   "network taken exists already"},
           Refusal{"no subnet", with([](auto& r) {
                     r.subnet.reset();
                     r.subnet6 = "none";
                   }),
                   ErrorKind::Invalid, "at least one subnet"},
           Refusal{"subnet text", with([](auto& r) { r.subnet = "10.20.0.0"; }), ErrorKind::Invalid,
                   "is no IPv4 subnet"},
           Refusal{"family", with([](auto& r) { r.subnet = "fd00::/64"; }), ErrorKind::Invalid,
                   "is no IPv4 subnet"},
           Refusal{"family6", with([](auto& r) { r.subnet6 = "10.0.0.0/8"; }), ErrorKind::Invalid,
                   "is no IPv6 subnet"},
           Refusal{"host bits", with([](auto& r) { r.subnet = "10.20.0.1/24"; }),
                   ErrorKind::Invalid, "bits set"},
           Refusal{"transit", with([](auto& r) { r.subnet = "100.126.4.0/24"; }),
                   ErrorKind::Conflict, "transit pool 100.126.0.0/16"},
           Refusal{"transit6", with([](auto& r) { r.subnet6 = "fd77:6172:7265:6e00::/56"; }),
                   ErrorKind::Conflict, "transit pool"},
           Refusal{"port 0", with([](auto& r) { r.port = 0; }), ErrorKind::Invalid, "port 0"},
           Refusal{"port of ours", with([](auto& r) { r.port = 51820; }), ErrorKind::Conflict,
                   "used by network taken"},
           Refusal{"port of others", with([](auto& r) { r.port = 7000; }), ErrorKind::Conflict,
                   "port 7000 is taken"},
           Refusal{"endpoint", with([](auto& r) { r.endpoint = "gw:51820"; }), ErrorKind::Invalid,
                   "is no host"},
           Refusal{"no endpoint", with([](auto& r) { r.endpoint = ""; }), ErrorKind::Invalid,
                   "not known what members shall dial"},
           Refusal{"dns", with([](auto& r) { r.dns = {"one.one.one.one"}; }), ErrorKind::Invalid,
                   "is no address"},
           Refusal{"dns count", with([](auto& r) { r.dns.assign(9, "10.0.0.1"); }),
                   ErrorKind::Invalid, "too many"},
       }) {
    const auto refused = gateway.control->create_network("uid 0", refusal.request);
    ASSERT_FALSE(refused) << refusal.what;
    EXPECT_EQ(refused.error().kind, refusal.kind) << refusal.what;
    EXPECT_THAT(refused.error().message, HasSubstr(refusal.message)) << refusal.what;
    EXPECT_THAT(refused.error().message, ::testing::StartsWith("create network ")) << refusal.what;
    EXPECT_FALSE(refused.error().hint.empty()) << refusal.what;
    EXPECT_TRUE(gateway.snapshot() == before) << refusal.what;
    const auto audit = gateway.control->audit(1);
    ASSERT_TRUE(audit);
    EXPECT_EQ(audit->records.at(0).action, "network.create") << refusal.what;
    EXPECT_NE(audit->records.at(0).result, "ok") << refusal.what;
  }
}

TEST(CreateNetwork, TheTransitPoolMustNotBeTheHosts) {
  Gateway gateway;
  gateway.host.routes = {*base::Prefix::parse("100.64.0.0/10")};
  const auto refused = gateway.create("lab");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("100.64.0.0/10"));
}

TEST(CreateNetwork, ASmallTransitPoolIsUsedUp) {
  Settings small = settings();
  small.transit.v4 = *base::Prefix::parse("100.126.0.0/30");  // two pairs
  Gateway gateway(small);
  ASSERT_TRUE(gateway.create("a"));
  ASSERT_TRUE(gateway.create("b"));
  EXPECT_THAT(gateway.create("c").error().message, HasSubstr("used up"));
}

TEST(CreateNetwork, ARangeOfPortsIsUsedUp) {
  Settings small = settings();
  small.first_port = small.last_port = 65535;
  Gateway gateway(small);
  ASSERT_TRUE(gateway.create("a"));
  EXPECT_THAT(gateway.create("b").error().message, HasSubstr("no UDP port from 65535 to 65535"));
}

// Every call that can fail is made to fail, one after another.
TEST(CreateNetwork, AFailureAtAnyStepLeavesEverythingAsItWas) {
  std::size_t failures = 0;
  for (std::size_t call = 0;; ++call) {
    Gateway gateway;
    ASSERT_TRUE(gateway.create("other"));
    gateway.add_member("other", "ann");
    const Gateway::Snapshot before = gateway.snapshot();
    gateway.faults.failing = {gateway.faults.calls + call};
    const auto made = gateway.control->create_network("uid 0", {.name = "lab", .port = 7000});
    if (made) break;  // the failing call lies behind
    ++failures;
    EXPECT_THAT(made.error().message, HasSubstr("injected failure")) << call;
    EXPECT_TRUE(gateway.snapshot() == before) << "call " << call << ": " << made.error().message;
    EXPECT_TRUE(gateway.control->status().problems.empty()) << call;
    EXPECT_TRUE(gateway.create("lab")) << "the way is free again";
  }
  EXPECT_GT(failures, 8U);
}

TEST(CreateNetwork, WhatCannotBeUndoneIsToldAndRetried) {
  std::size_t failures = 0;
  for (std::size_t call = 0;; ++call, ++failures) {
    Gateway gateway;
    ASSERT_TRUE(gateway.create("other"));
    const Gateway::Snapshot before = gateway.snapshot();
    // From this call on everything fails, the undoing too.
    for (std::size_t at = 0; at < 200; ++at) {
      gateway.faults.failing.insert(gateway.faults.calls + call + at);
    }
    const auto made = gateway.control->create_network("uid 0", {.name = "lab", .port = 7000});
    if (made) break;
    const bool left = !(gateway.snapshot() == before);
    if (left) {
      EXPECT_FALSE(gateway.control->status().ready) << call;
      EXPECT_THAT(made.error().message, HasSubstr("could not be")) << call;
    }
    gateway.faults.failing.clear();
    EXPECT_TRUE(gateway.control->retry_pending());
    EXPECT_TRUE(gateway.snapshot() == before) << call;
    EXPECT_TRUE(gateway.control->status().ready) << call;
  }
  EXPECT_GT(failures, 8U);
}

TEST(DeleteNetwork, RemovesEveryTraceAndOnlyItsOwn) {
  Gateway gateway;
  const Gateway::Snapshot empty = gateway.snapshot();
  ASSERT_TRUE(gateway.create("other"));
  const Gateway::Snapshot before = gateway.snapshot();
  ASSERT_TRUE(gateway.create("lab"));
  gateway.add_member("lab", "ann");
  const auto deleted = gateway.control->delete_network("uid 0", "lab");
  ASSERT_TRUE(deleted) << deleted.error().message;
  Gateway::Snapshot after = gateway.snapshot();
  after.state.next_peer_id = before.state.next_peer_id;  // ids are never given twice
  EXPECT_TRUE(after == before);
  ASSERT_TRUE(gateway.control->delete_network("uid 0", "other"));
  EXPECT_TRUE(gateway.host.facts == empty.facts);
  EXPECT_TRUE(gateway.engines.running.empty());
}

TEST(DeleteNetwork, AnUnknownNameIsToldTheNearest) {
  Gateway gateway;
  ASSERT_TRUE(gateway.create("physics"));
  const auto refused = gateway.control->delete_network("uid 0", "phyiscs");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::NotFound);
  EXPECT_EQ(refused.error().message, "delete network phyiscs: there is no network \"phyiscs\"");
  EXPECT_EQ(refused.error().hint, "did you mean physics?");
}

TEST(DeleteNetwork, AFailureAfterTheCommitIsToldAndRetriedUntilDone) {
  std::size_t failures = 0;
  for (std::size_t call = 0;; ++call) {
    Gateway gateway;
    ASSERT_TRUE(gateway.create("lab"));
    const Gateway::Snapshot before = gateway.snapshot();
    gateway.faults.failing = {gateway.faults.calls + call};
    const auto deleted = gateway.control->delete_network("uid 0", "lab");
    if (deleted) break;
    ++failures;
    if (call == 0) {  // the commit: nothing happened
      EXPECT_TRUE(gateway.snapshot() == before);
      continue;
    }
    EXPECT_TRUE(gateway.state().networks.empty()) << "a denial is never undone";
    EXPECT_THAT(deleted.error().message, HasSubstr("it is deleted, but")) << call;
    EXPECT_THAT(deleted.error().message, HasSubstr("injected failure")) << call;
    EXPECT_FALSE(gateway.control->status().problems.empty()) << call;
    EXPECT_TRUE(gateway.control->retry_pending()) << call;
    EXPECT_TRUE(gateway.host.facts.empty()) << call;
    EXPECT_TRUE(gateway.engines.running.empty()) << call;
    EXPECT_TRUE(gateway.control->status().ready) << call;
  }
  EXPECT_GT(failures, 5U);
}

TEST(Start, BringsBackWhatTheStateSays) {
  Gateway gateway;
  ASSERT_TRUE(gateway.create("a"));
  ASSERT_TRUE(gateway.create("b", "10.30.0.0/24"));
  gateway.add_member("a", "ann");
  ASSERT_TRUE(gateway.invite("a", "not-yet"));
  const Gateway::Snapshot before = gateway.snapshot();
  gateway.host.facts.clear();  // the host was switched off
  gateway.engines.running.clear();
  gateway.restart();
  ASSERT_TRUE(gateway.started);
  EXPECT_TRUE(gateway.snapshot() == before);
  EXPECT_TRUE(gateway.control->status().ready);
}

TEST(Start, RemovesWhatTheStateDoesNotKnow) {
  Gateway gateway;
  ASSERT_TRUE(gateway.create("lab"));
  const store::State state = gateway.state();
  ASSERT_TRUE(gateway.memory.commit({store::DeleteNetwork{state.networks.begin()->first}}, {}));
  gateway.restart();
  EXPECT_TRUE(gateway.host.facts.empty());
}

TEST(Start, ABrokenNetworkDoesNotStopTheOthers) {
  Gateway gateway;
  for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(gateway.create(name));
  const Gateway::Snapshot before = gateway.snapshot();
  gateway.host.facts.clear();
  gateway.engines.running.clear();
  gateway.host.environment.foreign_namespaces = {{"warren-b", "another program"}};
  gateway.restart();
  ASSERT_TRUE(gateway.started);
  EXPECT_EQ(gateway.engines.running.size(), 2U);
  EXPECT_EQ(gateway.control->show_network("a")->engine, "running");
  EXPECT_EQ(gateway.control->show_network("b")->engine, "stopped");
  const api::Status status = gateway.control->status();
  EXPECT_FALSE(status.ready);
  ASSERT_EQ(status.problems.size(), 1U);
  EXPECT_THAT(status.problems[0], HasSubstr("network b: "));
  // It is deleted and made like any other; or the cause goes away and it comes up.
  EXPECT_FALSE(gateway.control->retry_pending());
  gateway.host.environment.foreign_namespaces.clear();
  EXPECT_TRUE(gateway.control->retry_pending());
  EXPECT_TRUE(gateway.snapshot() == before);
  EXPECT_TRUE(gateway.control->status().ready);
}

TEST(Start, LookingForTheBrokenNetworkLeavesTheOthersAlone) {
  Gateway gateway;
  for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(gateway.create(name));
  const Gateway::Snapshot before = gateway.snapshot();
  // Only b lost something while the daemon was away.
  std::erase_if(gateway.host.facts, [](const auto& entry) {
    const auto* route = std::get_if<plan::Address>(&entry.second);
    return route != nullptr && route->netns == "warren-b";
  });
  gateway.faults.failing.clear();
  gateway.restart();
  EXPECT_TRUE(gateway.snapshot() == before);
}

TEST(Start, AnEngineThatDoesNotStartIsToldAndRetried) {
  Gateway gateway;
  ASSERT_TRUE(gateway.create("a"));
  ASSERT_TRUE(gateway.create("b"));
  const Gateway::Snapshot before = gateway.snapshot();
  gateway.engines.running.clear();
  // After a restart over a right host: observe, then the two starts.
  gateway.faults.failing = {gateway.faults.calls + 1};
  gateway.restart();
  ASSERT_TRUE(gateway.started);
  EXPECT_THAT(gateway.control->status().problems.at(0), HasSubstr("start its engine"));
  EXPECT_TRUE(gateway.control->retry_pending());
  EXPECT_TRUE(gateway.snapshot() == before);
}

TEST(Start, FailsWhenTheStateCannotBeRead) {
  Gateway gateway;
  gateway.memory.fail_with(base::make_error(ErrorKind::Failed, "disk on fire"));
  gateway.restart();
  ASSERT_FALSE(gateway.started);
  EXPECT_EQ(gateway.started.error().message, "read the state: disk on fire");
}

TEST(Settings, TheTransitPoolStaysWhileThereAreNetworks) {
  Gateway gateway;
  ASSERT_TRUE(gateway.create("a"));
  const auto facts = gateway.host.facts;
  Settings next = settings();
  next.transit.v4 = *base::Prefix::parse("100.125.0.0/16");
  next.endpoint_host = "new.example.org";
  gateway.control->set_settings(next);
  ASSERT_TRUE(gateway.create("b"));
  for (const auto& [key, fact] : facts) {
    // The table of the host is shared; what belongs to a's namespace is untouched.
    if (key.find("warren-a") == std::string::npos) continue;
    EXPECT_TRUE(gateway.host.facts.contains(key) && gateway.host.facts.at(key) == fact) << key;
  }
  EXPECT_EQ(gateway.control->show_network("b")->endpoint, "new.example.org:51821");
  EXPECT_EQ(gateway.control->show_network("a")->endpoint, "gw.example.org:51820");
}

TEST(Views, CountWhoIsConnected) {
  Gateway gateway;
  ASSERT_TRUE(gateway.create("lab"));
  const auto ann = gateway.add_member("lab", "ann");
  const auto bob = gateway.add_member("lab", "bob");
  gateway.add_member("lab", "eve");
  gateway.engines.seen_peers[ann] = {.public_key = ann,
                                     .endpoint = base::Endpoint::parse("192.0.2.1:99"),
                                     .last_handshake = gateway.clock.time,
                                     .rx_bytes = 5,
                                     .tx_bytes = 6};
  gateway.engines.seen_peers[bob] = {.public_key = bob, .last_handshake = gateway.clock.time};
  gateway.clock.time = gateway.clock.time + std::chrono::seconds(179);
  EXPECT_EQ(gateway.control->show_network("lab")->peers, 3U);
  EXPECT_EQ(gateway.control->show_network("lab")->connected, 2U);
  gateway.clock.time = gateway.clock.time + std::chrono::seconds(1);
  EXPECT_EQ(gateway.control->show_network("lab")->connected, 0U);
  const auto view = gateway.control->show_peer("lab", "ann");
  ASSERT_TRUE(view);
  EXPECT_EQ(view->endpoint, "192.0.2.1:99");
  EXPECT_EQ(view->rx_bytes, 5U);
  EXPECT_EQ(view->public_key, ann.base64());
  EXPECT_EQ(gateway.control->list_networks().networks.size(), 1U);
  EXPECT_EQ(gateway.control->status().peers, 3U);
}

}  // namespace
}  // namespace warren::control::testing
