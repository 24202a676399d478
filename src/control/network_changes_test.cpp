#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/control_fakes.hpp"

namespace warren::control::testing {
namespace {

using base::ErrorKind;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

bool runs(Gateway& gateway) { return !gateway.engines.running.empty(); }

TEST(StopNetwork, EndsTheEngineAndKeepsTheRest) {
  Gateway gateway;
  ASSERT_TRUE(gateway.create("lab"));
  const base::PublicKey key = gateway.add_member("lab", "ann");
  const auto facts = gateway.host.facts;
  ASSERT_TRUE(gateway.control->stop_network("uid 0", "lab"));
  EXPECT_FALSE(runs(gateway));
  EXPECT_EQ(gateway.host.facts, facts);
  EXPECT_TRUE(gateway.control->status().ready);
  gateway.restart();
  EXPECT_FALSE(runs(gateway));
  EXPECT_TRUE(gateway.control->retry_pending());
  EXPECT_FALSE(runs(gateway));
  ASSERT_TRUE(gateway.control->start_network("uid 0", "lab"));
  ASSERT_TRUE(runs(gateway));
  EXPECT_TRUE(gateway.engines.running.begin()->second.contains(key));
}

TEST(StopNetwork, AFailureIsRetriedUntilTheEngineIsGone) {
  Gateway gateway;
  ASSERT_TRUE(gateway.create("lab"));
  gateway.faults.failing = {gateway.faults.calls + 1};  // after the commit
  const auto stopped = gateway.control->stop_network("uid 0", "lab");
  ASSERT_FALSE(stopped);
  EXPECT_THAT(stopped.error().message, HasSubstr("it is stopped, but"));
  EXPECT_TRUE(gateway.state().networks.begin()->second.network.stopped);
  EXPECT_TRUE(gateway.control->retry_pending());
  EXPECT_FALSE(runs(gateway));
  EXPECT_TRUE(gateway.control->status().ready);
}

TEST(StartNetwork, AFailureAtAnyStepLeavesItStopped) {
  for (std::size_t at = 0;; ++at) {
    Gateway gateway;
    ASSERT_TRUE(gateway.create("lab"));
    ASSERT_TRUE(gateway.control->stop_network("uid 0", "lab"));
    const auto before = gateway.state();
    gateway.faults.failing = {gateway.faults.calls + at};
    const auto started = gateway.control->start_network("uid 0", "lab");
    if (started) {
      EXPECT_GE(at, 2U);
      break;
    }
    EXPECT_TRUE(gateway.state() == before) << at;
    EXPECT_THAT(started.error().message, HasSubstr("injected failure"));
  }
}

TEST(RestartNetwork, IsANewEngineWithTheSameMembers) {
  Gateway gateway;
  ASSERT_TRUE(gateway.create("lab"));
  const base::PublicKey key = gateway.add_member("lab", "ann");
  ASSERT_TRUE(gateway.control->restart_network("uid 0", "lab"));
  ASSERT_TRUE(runs(gateway));
  EXPECT_TRUE(gateway.engines.running.begin()->second.contains(key));
}

TEST(SetNetwork, ChangesWhatIsGivenAndTouchesNoEngine) {
  Gateway gateway;
  ASSERT_TRUE(gateway.create("lab"));
  gateway.add_member("lab", "ann");
  const auto engines = gateway.engines.running;
  const auto view = gateway.control->set_network(
      "uid 0", "lab",
      {.endpoint = "vpn.example.org",
       .dns = std::vector<std::string>{"10.20.0.1"},
       .nat = false,
       .reserve = std::vector<std::string>{"10.20.0.9", "10.20.0.4-10.20.0.5", "10.20.0.9"}});
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_EQ(view->endpoint, "vpn.example.org:51820");
  EXPECT_FALSE(view->nat);
  EXPECT_THAT(view->dns, ElementsAre("10.20.0.1"));
  EXPECT_THAT(view->reserved, ElementsAre("10.20.0.4-10.20.0.5", "10.20.0.9"));
  EXPECT_EQ(gateway.engines.running, engines);
  const auto before = gateway.snapshot();
  ASSERT_TRUE(gateway.control->set_network("uid 0", "lab", {.nat = false}));
  EXPECT_TRUE(gateway.snapshot() == before);
}

TEST(SetNetwork, AFailureAtAnyStepLeavesEverythingAsItWas) {
  for (std::size_t at = 0;; ++at) {
    Gateway gateway;
    ASSERT_TRUE(gateway.create("lab"));
    const auto before = gateway.snapshot();
    gateway.faults.failing = {gateway.faults.calls + at};
    const auto changed = gateway.control->set_network("uid 0", "lab", {.nat = false});
    if (changed) {
      EXPECT_GT(at, 4U);
      break;
    }
    EXPECT_TRUE(gateway.snapshot() == before) << at;
  }
}

TEST(SetNetwork, WhatCannotChangeIsRefusedWithTheReason) {
  Gateway gateway;
  ASSERT_TRUE(gateway.create("lab"));
  gateway.add_member("lab", "ann");
  const auto before = gateway.snapshot();
  const std::vector<std::pair<api::NetworkSet, const char*>> refusals = {
      {{.subnet = "10.21.0.0/24"}, "members hold addresses"},
      {{.subnet6 = "none"}, "members hold addresses"},
      {{.port = 7}, "members dial it"},
      {{.gateway_addresses = std::vector<std::string>{"10.20.0.7"}}, "route and resolve"},
      {{.endpoint = "10.20.0.9"}, "lies inside the subnet"},
      {{.reserve = std::vector<std::string>{"10.20.0.0/29"}}, "10.20.0.2, the address of ann"},
      {{.reserve = std::vector<std::string>{"10.9.0.1"}}, "not inside"},
      {{.reserve = std::vector<std::string>(65, "10.20.0.9")}, "too many"},
  };
  for (const auto& [request, why] : refusals) {
    const auto refused = gateway.control->set_network("uid 0", "lab", request);
    ASSERT_FALSE(refused) << why;
    EXPECT_THAT(refused.error().message, HasSubstr(why));
    EXPECT_TRUE(gateway.snapshot() == before) << why;
  }
  EXPECT_TRUE(
      gateway.control->set_network("uid 0", "lab",
                                   {.subnet = "10.20.0.0/24",
                                    .port = 51820,
                                    .gateway_addresses = std::vector<std::string>{"10.20.0.1"}}));
}

TEST(CreateNetwork, WarnsOfASubnetThatTheHostHasToo) {
  Gateway gateway;
  gateway.host.routes = {*base::Prefix::parse("10.20.0.0/16")};
  const auto view = gateway.create("lab");
  ASSERT_TRUE(view);
  ASSERT_EQ(view->warnings.size(), 1U);
  EXPECT_THAT(view->warnings.front(), HasSubstr("10.20.0.0/16 dev eth0"));
}

// --- forwards ---

struct Forwarding : ::testing::Test {
  Forwarding() {
    EXPECT_TRUE(gateway.create("lab"));
    gateway.add_member("lab", "ann");
  }
  base::Result<api::ForwardView> add(const std::string& from, const std::string& peer = "ann") {
    return gateway.control->add_forward("uid 0", "lab",
                                        {.from = from, .peer = peer, .to_port = 80});
  }
  std::size_t forward_facts() {
    return static_cast<std::size_t>(std::ranges::count_if(gateway.host.facts, [](const auto& fact) {
      return std::holds_alternative<plan::PortForward>(fact.second);
    }));
  }
  Gateway gateway;
};

TEST_F(Forwarding, IsFourTranslationsAndComesBackAfterARestart) {
  const auto view = add("8080/tcp");
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_EQ(view->public_address, "gw.example.org:8080");
  EXPECT_TRUE(view->public_addresses.empty());
  EXPECT_EQ(view->address, "10.20.0.2");
  EXPECT_EQ(forward_facts(), 4U);  // two families, host and namespace
  const auto before = gateway.snapshot();
  std::erase_if(gateway.host.facts, [](const auto& fact) {
    return std::holds_alternative<plan::PortForward>(fact.second);
  });
  gateway.restart();
  EXPECT_TRUE(gateway.snapshot() == before);
}

TEST_F(Forwarding, ShowsEachAddressThatAnswers) {
  gateway.host.own_addresses = {*base::IpAddress::parse("192.0.2.1"),
                                *base::IpAddress::parse("2001:db8::1")};
  const std::vector<std::string> both{"192.0.2.1:8080", "[2001:db8::1]:8080"};
  const auto view = add("8080/tcp");
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_EQ(view->public_addresses, both);
  EXPECT_EQ(gateway.control->list_forwards().forwards.at(0).public_addresses, both);
  api::NetworkCreate only4{.name = "four", .subnet = "10.30.0.0/24", .subnet6 = "none"};
  only4.endpoint = "198.51.100.1";
  ASSERT_TRUE(gateway.control->create_network("uid 0", only4));
  gateway.add_member("four", "bob");
  const auto other =
      gateway.control->add_forward("uid 0", "four", {.from = "81/tcp", .peer = "bob"});
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_EQ(other->public_addresses, (std::vector<std::string>{"198.51.100.1:81", "192.0.2.1:81"}));
}

TEST_F(Forwarding, AFailureAtAnyStepLeavesEverythingAsItWas) {
  const auto before = gateway.snapshot();
  for (std::size_t at = 0;; ++at) {
    gateway.faults.failing = {gateway.faults.calls + at};
    if (add("8080/tcp")) {
      EXPECT_GT(at, 4U);
      break;
    }
    EXPECT_TRUE(gateway.snapshot() == before) << at;
  }
}

TEST_F(Forwarding, ATakenPortIsRefusedWithItsOwner) {
  ASSERT_TRUE(add("8080/tcp"));
  gateway.host.listening = {{model::Protocol::Tcp, 22}};
  const auto before = gateway.snapshot();
  for (const auto& [from, owner] :
       {std::pair("8080", "the forward to ann of network lab"),
        std::pair("51820/udp", "network lab"), std::pair("22/tcp", "fake (process 1)")}) {
    const auto refused = add(from);
    ASSERT_FALSE(refused) << from;
    EXPECT_EQ(refused.error().kind, ErrorKind::Conflict);
    EXPECT_THAT(refused.error().message, HasSubstr(owner));
  }
  EXPECT_EQ(add("81", "anne").error().kind, ErrorKind::NotFound);
  EXPECT_EQ(add("tcp/81").error().kind, ErrorKind::Invalid);
  EXPECT_TRUE(gateway.snapshot() == before);
}

TEST_F(Forwarding, ANewNetworkPassesOverForwardedPorts) {
  ASSERT_TRUE(add("51821/udp"));
  EXPECT_EQ(gateway.create("next")->port, 51822);
}

TEST_F(Forwarding, GoesWithItsPeerAndWithItsNetwork) {
  const auto before = gateway.snapshot();
  ASSERT_TRUE(add("8080/tcp"));
  ASSERT_TRUE(gateway.control->delete_forward("uid 0", "8080/tcp"));
  EXPECT_TRUE(gateway.snapshot() == before);
  EXPECT_EQ(gateway.control->delete_forward("uid 0", "8080/tcp").error().kind, ErrorKind::NotFound);
  ASSERT_TRUE(add("8080/tcp"));
  const auto report = gateway.control->revoke("uid 0", "lab", "ann");
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->pending.empty());
  EXPECT_TRUE(gateway.state().forwards.empty());
  EXPECT_EQ(gateway.host.facts, before.facts);
  EXPECT_EQ(gateway.host.closed_forwards.size(), 2U);
  gateway.add_member("lab", "bob");
  ASSERT_TRUE(add("8080/tcp", "bob"));
  ASSERT_TRUE(gateway.control->delete_network("uid 0", "lab"));
  EXPECT_TRUE(gateway.host.facts.empty());
  EXPECT_TRUE(gateway.state().forwards.empty());
}

TEST_F(Forwarding, ARevocationThatFailsIsPendingAndRetried) {
  const auto facts = gateway.host.facts;
  ASSERT_TRUE(add("8080/tcp"));
  gateway.faults.failing = {gateway.faults.calls + 3};  // closing the forward
  const auto report = gateway.control->revoke("uid 0", "lab", "ann");
  ASSERT_TRUE(report);
  ASSERT_EQ(report->pending.size(), 1U);
  EXPECT_THAT(report->pending.front(), HasSubstr("forwards: close forwards"));
  EXPECT_TRUE(gateway.control->retry_pending());
  EXPECT_EQ(gateway.host.facts, facts);
  EXPECT_TRUE(gateway.control->status().ready);
}

}  // namespace
}  // namespace warren::control::testing
