// Plans against a strict host in memory: idempotence, exact teardown, and a failure injected at
// every step of random changes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "plan/course.hpp"
#include "plan/fake_host.hpp"

namespace warren::plan {
namespace {

using base::ErrorKind;
using base::IpAddress;
using base::Prefix;
using testing::Contains;
using testing::HasSubstr;

const TransitPool kPool{.v4 = Prefix::parse("100.126.0.0/16").value(),
                        .v6 = Prefix::parse("fd77:6172:7265:6e00::/64").value()};

HostNetwork network(std::uint32_t id, const char* subnet4, const char* subnet6 = nullptr) {
  model::Network noun;
  noun.id = {id};
  noun.name = "n" + std::to_string(id);
  noun.transit = id;
  if (subnet4 != nullptr) noun.subnet4 = Prefix::parse(subnet4);
  if (subnet6 != nullptr) noun.subnet6 = Prefix::parse(subnet6);
  return host_network(noun, kPool);
}

#define OK(expr)                                     \
  do {                                               \
    const auto& status_ = (expr);                    \
    ASSERT_TRUE(status_) << status_.error().message; \
  } while (false)

TEST(HostNetwork, TransitPairsFollowTheIndex) {
  const HostNetwork third = network(3, "10.0.0.0/24", "fd00::/64");
  EXPECT_EQ(third.transit4_host.to_string(), "100.126.0.6");
  EXPECT_EQ(third.transit4_inside.to_string(), "100.126.0.7");
  EXPECT_EQ(third.transit6_host.to_string(), "fd77:6172:7265:6e00::6");
  EXPECT_EQ(third.transit6_inside.to_string(), "fd77:6172:7265:6e00::7");
  EXPECT_EQ(third.gateway4->to_string(), "10.0.0.1");
  EXPECT_EQ(third.netns_name(), "warren-n3");
}

TEST(Plan, PrintsWhatAnAdminWouldType) {
  FakeHost host;
  const auto lines = preview(host, {network(0x1a, "10.0.0.0/24", "fd00::/64")});
  ASSERT_TRUE(lines);
  for (const char* line : {
           "ip netns add warren-n26",
           "ip -n warren-n26 link set lo alias warren:fake",
           "ip -n warren-n26 tuntap add wr0000001a mode tun user 0 group 0 multi_queue",
           "ip -n warren-n26 link set wr0000001a mtu 1420",
           "ip -n warren-n26 link add br0 type bridge",
           "ip -n warren-n26 link set br0 up",
           "ip link add wh0000001a type veth peer name up0 netns warren-n26",
           "ip link set wh0000001a alias warren:fake",
           "ip addr add 100.126.0.52/31 dev wh0000001a",
           "ip -n warren-n26 -6 addr add fd00::1/128 dev wr0000001a nodad",
           "ip -n warren-n26 route add 10.0.0.0/24 dev wr0000001a proto 119",
           "ip -n warren-n26 -6 route add default via fd77:6172:7265:6e00::34 dev up0 proto 119",
           "sysctl -qw net.ipv4.conf.eth0.forwarding=1",
           "sysctl -qw net.ipv6.conf.eth0.force_forwarding=1",
           "nft add element inet warren_fake networks '{ \"wh0000001a\" }'",
           "nft add element inet warren_fake guarded4 '{ \"eth0\" }'",
       })
    EXPECT_THAT(*lines, Contains(line));
  EXPECT_TRUE(host.facts.empty());
}

TEST(Plan, AppliedTwiceChangesNothing) {
  FakeHost host;
  const std::vector<HostNetwork> desired = {network(1, "10.0.0.0/24"),
                                            network(2, "10.0.0.0/24", "fd00::/64")};
  EXPECT_GT(reconcile(host, desired).value(), 0U);
  EXPECT_EQ(reconcile(host, desired).value(), 0U);
}

TEST(Plan, DeletingTheLastNetworkRemovesEverything) {
  FakeHost host;
  OK(reconcile(host, {network(1, "10.0.0.0/24", "fd00::/64")}));
  OK(reconcile(host, {}));
  EXPECT_TRUE(host.facts.empty());
}

TEST(Plan, DeletingOneNetworkLeavesTheOtherAsItWas) {
  FakeHost alone;
  OK(reconcile(alone, {network(1, "10.0.0.0/24")}));
  FakeHost both;
  OK(reconcile(both, {network(1, "10.0.0.0/24"), network(2, "10.0.0.0/24", "fd00::/64")}));
  OK(reconcile(both, {network(1, "10.0.0.0/24")}));
  EXPECT_EQ(both.facts, alone.facts);
}

TEST(Plan, WithoutNatNothingOfTheHostChanges) {
  FakeHost host;
  HostNetwork quiet = network(1, "10.0.0.0/24");
  quiet.nat = false;
  OK(reconcile(host, {quiet}));
  for (const auto& [key, fact] : host.facts) {
    EXPECT_THAT(key, testing::Not(testing::StartsWith("gate")));
    EXPECT_TRUE(std::holds_alternative<Namespace>(fact) || key.find("warren-n1") != key.npos)
        << key;
  }
}

TEST(Plan, ForwardingThatIsOnAlreadyIsLeftAlone) {
  FakeHost host;
  host.environment.uplinks[0].forwards4 = true;
  const auto lines = preview(host, {network(1, "10.0.0.0/24")});
  ASSERT_TRUE(lines);
  for (const std::string& line : *lines) EXPECT_THAT(line, testing::Not(HasSubstr("eth0")));
}

TEST(Plan, AdvertisedLinksAcceptAdvertisementsBeforeForwardingEverywhere) {
  FakeHost host;
  host.environment.force_forwarding6 = false;
  host.environment.advertised = {"eth0", "eth1"};
  const auto lines = preview(host, {network(1, nullptr, "fd00::/64")}).value();
  const auto at = [&](const char* line) { return std::ranges::find(lines, line) - lines.begin(); };
  EXPECT_LT(at("sysctl -qw net.ipv6.conf.eth0.accept_ra=2"),
            at("sysctl -qw net.ipv6.conf.all.forwarding=1"));
  EXPECT_LT(at("sysctl -qw net.ipv6.conf.eth1.accept_ra=2"),
            at("sysctl -qw net.ipv6.conf.all.forwarding=1"));
  EXPECT_LT(at("sysctl -qw net.ipv6.conf.all.forwarding=1"), std::ssize(lines));
  OK(reconcile(host, {network(1, nullptr, "fd00::/64")}));
  // Back in the opposite order.
  const auto back = preview(host, {}).value();
  const auto find = [&](const char* part) {
    return std::ranges::find_if(back, [&](const auto& l) { return l.find(part) != l.npos; });
  };
  EXPECT_LT(find("net.ipv6.conf.all.forwarding"), find("eth0.accept_ra"));
}

HostNetwork attached(std::uint32_t id, const char* subnet4, const char* subnet6 = nullptr) {
  HostNetwork out = network(id, subnet4, subnet6);
  out.attach = "br100";
  out.attached_members = {IpAddress::parse("10.0.0.7").value()};
  if (subnet6 != nullptr) out.attached_members.push_back(IpAddress::parse("fd00::7").value());
  return out;
}

TEST(Plan, AnAttachedNetworkIsAPortOfTheBridgeAndAnswersForItsMembers) {
  FakeHost host;
  host.environment.segments["br100"] = SegmentKind::Bridge;
  const auto lines = preview(host, {attached(1, "10.0.0.0/24", "fd00::/64")}).value();
  for (const char* line : {
           "ip link add ws00000001 type veth peer name seg0 netns warren-n1",
           "ip link set ws00000001 alias warren:fake",
           "ip -n warren-n1 link set seg0 address 02:57:00:00:00:01",
           "ip link set ws00000001 master br100",
           "ip -n warren-n1 addr add 10.0.0.1/24 dev seg0",
           "ip -n warren-n1 route add 10.0.0.7/32 dev wr00000001 proto 119",
           "ip -n warren-n1 neigh add proxy 10.0.0.7 dev seg0",
           "ip -n warren-n1 -6 neigh add proxy fd00::7 dev seg0",
           "nsenter --net=/run/netns/warren-n1 sysctl -qw net.ipv4.neigh.seg0.proxy_delay=0",
           "nsenter --net=/run/netns/warren-n1 sysctl -qw net.ipv6.conf.seg0.proxy_ndp=1",
       })
    EXPECT_THAT(lines, Contains(line));
  EXPECT_THAT(lines, testing::Not(Contains(HasSubstr("10.0.0.0/24 dev wr"))));
  EXPECT_THAT(lines, testing::Not(Contains(HasSubstr("proxy_arp"))));
}

TEST(Plan, AnAttachedNetworkWaitsForItsSegmentAndFollowsIt) {
  FakeHost host;
  const std::vector<HostNetwork> desired = {attached(1, "10.0.0.0/24")};
  FakeHost never;
  OK(reconcile(never, desired));
  EXPECT_TRUE(never.facts.contains("route warren-n1 10.0.0.0/24 - wr00000001"));
  for (const auto& [key, fact] : never.facts) EXPECT_EQ(key.find("seg0"), key.npos) << key;
  for (const SegmentKind kind : {SegmentKind::Bridge, SegmentKind::Wire}) {
    host.environment.segments["br100"] = kind;
    OK(reconcile(host, desired));
    EXPECT_TRUE(host.facts.contains("proxy warren-n1 seg0 10.0.0.7"));
    EXPECT_EQ(reconcile(host, desired).value(), 0U);
  }
  host.environment.segments.clear();
  OK(reconcile(host, desired));
  EXPECT_EQ(host.facts, never.facts);
}

TEST(Plan, HostAccessIsARouteAndNoForwardingOfTheHosts) {
  FakeHost host;
  HostNetwork open = network(1, "10.0.0.0/24", "fd00::/64");
  open.nat = false;
  open.host_access = true;
  const auto lines = preview(host, {open}).value();
  EXPECT_THAT(lines, Contains("ip route add 10.0.0.0/24 via 100.126.0.3 dev wh00000001 proto 119"));
  EXPECT_THAT(lines, Contains("ip -6 route add fd00::/64 via fd77:6172:7265:6e00::3 dev wh00000001 "
                              "proto 119"));
  for (const std::string& line : lines) {
    EXPECT_THAT(line, testing::Not(HasSubstr("eth0")));
    EXPECT_THAT(line, testing::Not(HasSubstr("default via")));
  }
  OK(reconcile(host, {open}));
  open.host_access = false;
  OK(reconcile(host, {open}));
  FakeHost quiet;
  OK(reconcile(quiet, {open}));
  EXPECT_EQ(host.facts, quiet.facts);
}

TEST(Plan, ForeignNamespaceIsRefusedWithItsOwner) {
  FakeHost host;
  host.environment.foreign_namespaces["warren-n1"] = "belongs to warren instance beef";
  const auto done = reconcile(host, {network(1, "10.0.0.0/24")});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, ErrorKind::Conflict);
  EXPECT_THAT(done.error().message, HasSubstr("warren-n1 exists and belongs to warren instance"));
  EXPECT_EQ(host.applied, 0U);
}

TEST(Plan, ForeignLinkIsRefused) {
  FakeHost host;
  host.environment.foreign_links["wh00000001"] = "was not made by warren";
  EXPECT_EQ(reconcile(host, {network(1, "10.0.0.0/24")}).error().kind, ErrorKind::Conflict);
}

TEST(Plan, RepairsWhatIsMissingOrChanged) {
  FakeHost host;
  const std::vector<HostNetwork> desired = {network(1, "10.0.0.0/24")};
  OK(reconcile(host, desired));
  const auto right = host.facts;
  host.facts.erase("route warren-n1 10.0.0.0/24 - wr00000001");
  std::get<Link>(host.facts.at("link warren-n1 wr00000001 tun ")).up = false;
  std::get<Table>(host.facts.at("table warren-n1 warren")).text = "tampered";
  EXPECT_EQ(reconcile(host, desired).value(), 3U);
  EXPECT_EQ(host.facts, right);
}

TEST(Plan, ATableIsReplacedByOneCommandThatIsWhole) {
  const Table before{.netns = "", .name = "warren_x", .text = "table inet warren_x {\n}\n"};
  const Table after{.netns = "",
                    .name = "warren_x",
                    .text = "table inet warren_x {\n\tset s {\n\t\ttype ifname\n\t}\n}\n"};
  const Step step{.before = before, .after = after};
  EXPECT_THAT(step.to_commands("x"),
              testing::ElementsAre("nft -f - <<'END'\ntable inet warren_x\ndelete table inet "
                                   "warren_x\n" +
                                   after.text + "END"));
  const Step first{.before = std::nullopt, .after = after};
  EXPECT_THAT(first.to_commands("x"),
              testing::ElementsAre("nft -f - <<'END'\n" + after.text + "END"));
}

TEST(Plan, WhatCouldNotBeUndoneIsListed) {
  FakeHost host;
  host.failing = {5, 6};  // the step, and the first of its reverts
  const auto done = reconcile(host, {network(1, "10.0.0.0/24")});
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("could not be undone:\n  "));
  EXPECT_THAT(done.error().message, HasSubstr("injected failure"));
}

std::vector<HostNetwork> random_networks(std::mt19937& random) {
  std::vector<HostNetwork> out;
  for (std::uint32_t id = 1; id <= 3; ++id) {
    if (random() % 3 == 0) continue;
    const bool v6 = random() % 2 == 0;
    HostNetwork made =
        network(id, random() % 2 == 0 ? "10.0.0.0/24" : "10.1.0.0/16", v6 ? "fd00::/64" : nullptr);
    if (v6 && random() % 3 == 0) {
      made.subnet4.reset();
      made.gateway4.reset();
    }
    made.nat = random() % 4 != 0;
    made.mtu = random() % 2 == 0 ? 1420 : 1380;
    made.host_access = random() % 3 == 0;
    if (made.subnet4 && random() % 3 == 0) {
      made.attach = random() % 2 == 0 ? "br100" : "eth9";
      made.attached_members = {IpAddress::parse("10.0.0.7").value()};
    }
    out.push_back(made);
  }
  return out;
}

// From any state to any other, with a failure at every step: the host is as before, but for whole
// networks that went; then without one: the host is exactly as if made so at once.
TEST(Plan, FailureAtAnyStepLeavesTheHostAsBefore) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(static_cast<std::mt19937::result_type>(seed));
  for (int round = 0; round < 40; ++round) {
    FakeHost host;
    host.environment.force_forwarding6 = random() % 2 == 0;
    host.environment.advertised = {"eth0"};
    if (random() % 3 != 0) host.environment.segments["br100"] = SegmentKind::Bridge;
    if (random() % 3 != 0) host.environment.segments["eth9"] = SegmentKind::Wire;
    OK(reconcile(host, random_networks(random)));
    const auto before = host.facts;
    const auto desired = random_networks(random);
    const auto plan = make_plan(desired, host.observe().value()).value();
    const Course course = Course::of(plan);
    auto without_gone = before;
    for (const Step& step : course.farewell) without_gone.erase(key_of(*step.before));
    const std::size_t made_from = course.host_first.size() + course.farewell.size();
    const std::size_t made_to = plan.size() - course.host_end.size();
    FakeHost fresh;
    fresh.environment = host.environment;
    OK(reconcile(fresh, desired));
    for (std::size_t failing = 0; failing < plan.size(); ++failing) {
      host.facts = before;
      host.applied = 0;
      host.failing = {failing};
      ASSERT_FALSE(reconcile(host, desired));
      if (failing < course.host_first.size()) {
        ASSERT_EQ(host.facts, before) << "failing step " << failing;
      } else if (failing >= made_from && failing < made_to) {
        ASSERT_EQ(host.facts, without_gone) << "failing step " << failing;
      }
      host.failing.clear();
      OK(reconcile(host, desired));
      ASSERT_EQ(host.facts, fresh.facts) << "after failing step " << failing;
    }
    host.facts = before;
    EXPECT_EQ(reconcile(host, desired).value(), plan.size());
    ASSERT_EQ(host.facts, fresh.facts);
  }
}

// With a failure at every step: the networks that it does not concern are made all the same.
TEST(ReconcileEach, OneNetworkThatFailsDoesNotKeepOthersAway) {
  const std::vector<HostNetwork> desired = {
      network(1, "10.0.0.0/24"), network(2, "10.0.0.0/24", "fd00::/64"), network(3, "10.1.0.0/16")};
  FakeHost whole;
  OK(reconcile(whole, desired));
  const std::size_t steps = whole.applied;
  std::set<std::string> failed;
  for (std::size_t failing = 0; failing < steps; ++failing) {
    FakeHost host;
    host.failing = {failing};
    const auto done = reconcile_each(host, desired);
    if (!done) {
      EXPECT_THAT(host.facts, testing::IsEmpty()) << "it concerned all of them";
      failed.insert("");
      continue;
    }
    ASSERT_EQ(done->size(), 1U) << failing;
    EXPECT_THAT(done->front().error.message, HasSubstr("injected failure"));
    failed.insert(done->front().netns);
    std::vector<HostNetwork> others = desired;
    std::erase_if(others,
                  [&](const HostNetwork& one) { return one.netns_name() == done->front().netns; });
    OK(reconcile(host, others));
    FakeHost expected;
    OK(reconcile(expected, others));
    ASSERT_EQ(host.facts, expected.facts) << failing;
  }
  EXPECT_EQ(failed, (std::set<std::string>{"", "warren-n1", "warren-n2", "warren-n3"}));
}

TEST(ReconcileEach, ANameThatIsTakenConcernsItsNetworkAlone) {
  FakeHost host;
  host.environment.foreign_namespaces["warren-n2"] = "belongs to warren instance beef";
  const auto done = reconcile_each(host, {network(1, "10.0.0.0/24"), network(2, "10.0.0.0/24")});
  OK(done);
  ASSERT_EQ(done->size(), 1U);
  EXPECT_EQ(done->front().netns, "warren-n2");
  EXPECT_EQ(done->front().error.kind, ErrorKind::Conflict);
  FakeHost expected;
  OK(reconcile(expected, {network(1, "10.0.0.0/24")}));
  EXPECT_EQ(host.facts, expected.facts);
}

// A network may get what another had until now: its transit addresses are in the same sets.
TEST(Plan, WhatGoesMakesRoomForWhatComes) {
  FakeHost host;
  const HostNetwork old = network(1, "10.0.0.0/24");
  HostNetwork next = network(2, "10.1.0.0/24");
  next.transit4_host = old.transit4_host;
  next.transit4_inside = old.transit4_inside;
  OK(reconcile(host, {old}));
  const auto plan = make_plan({next}, host.observe().value()).value();
  const Course course = Course::of(plan);
  EXPECT_THAT(course.farewell, testing::Not(testing::IsEmpty()));
  EXPECT_THAT(course.host_end, testing::IsEmpty());
  for (const Step& step : course.host_last) EXPECT_TRUE(step.after);
  OK(reconcile(host, {next}));
  FakeHost fresh;
  OK(reconcile(fresh, {next}));
  EXPECT_EQ(host.facts, fresh.facts);
}

}  // namespace
}  // namespace warren::plan
