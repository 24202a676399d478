// Networks on a segment of the host's, the host on a network, and what is said about ports and the
// way out: with a host in memory whose segment has hosts of its own.
#include <gmock/gmock.h>

#include "control/control_fakes.hpp"

namespace warren::control {
namespace {

using base::ErrorKind;
using base::IpAddress;
using ::testing::Contains;
using testing::Gateway;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

IpAddress address(const char* text) { return *IpAddress::parse(text); }

/// br100 is there, with a router at .1 and an instance at .3.
void add_segment(Gateway& gateway) {
  gateway.host.environment.segments["br100"] = plan::SegmentKind::Bridge;
  gateway.host.segments["br100"] = {.is_bridge = true, .up = true, .index = 7, .addresses = {}};
  gateway.host.occupants[address("10.20.0.1")] = "02:00:00:00:00:01";
  gateway.host.occupants[address("10.20.0.3")] = "02:00:00:00:00:03";
}

api::NetworkCreate attached() {
  api::NetworkCreate request{.name = "lab", .subnet = "10.20.0.0/24"};
  request.attach = "br100";
  request.gateway_addresses = {"10.20.0.2"};
  return request;
}

bool answers_for(Gateway& gateway, const char* text) {
  return std::ranges::any_of(gateway.host.facts, [&](const auto& entry) {
    const auto* proxy = std::get_if<plan::ProxyNeighbour>(&entry.second);
    return proxy != nullptr && proxy->address == address(text);
  });
}

TEST(Attach, TheGatewaysAddressMustBeFreeOnTheSegment) {
  Gateway gateway;
  add_segment(gateway);
  const auto before = gateway.snapshot();
  api::NetworkCreate request = attached();
  request.gateway_addresses.clear();
  const auto refused = gateway.control->create_network("uid 0", request);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::Conflict);
  EXPECT_THAT(refused.error().message,
              HasSubstr("10.20.0.1 belongs to 02:00:00:00:00:01 on br100"));
  EXPECT_THAT(refused.error().hint, HasSubstr("--gateway-address"));
  EXPECT_EQ(gateway.snapshot(), before);
  const auto made = gateway.control->create_network("uid 0", attached());
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->attach, "br100");
  EXPECT_EQ(made->subnet6, "");
  EXPECT_THAT(made->warnings, Contains(HasSubstr("nothing is reserved")));
}

TEST(Attach, WhatIsNotThereOrDoesNotFitIsRefused) {
  Gateway gateway;
  add_segment(gateway);
  api::NetworkCreate missing = attached();
  missing.attach = "br200";
  EXPECT_EQ(gateway.control->create_network("uid 0", missing).error().kind, ErrorKind::NotFound);
  api::NetworkCreate without = attached();
  without.subnet.reset();
  EXPECT_EQ(gateway.control->create_network("uid 0", without).error().kind, ErrorKind::Invalid);
  gateway.host.segments["br100"].addresses = {*base::Prefix::parse("10.20.0.9/16")};
  const auto other = gateway.control->create_network("uid 0", attached());
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("its segment's subnet is 10.20.0.0/16"));
}

TEST(Attach, MembersGetAddressesThatNobodyHasAndAreAnsweredForWhileTheyAreMembers) {
  Gateway gateway;
  add_segment(gateway);
  ASSERT_TRUE(gateway.control->create_network("uid 0", attached()));
  const auto invitation = gateway.invite("lab", "ann");
  ASSERT_TRUE(invitation) << invitation.error().message;
  EXPECT_EQ(gateway.control->show_peer("lab", "ann")->address, "10.20.0.4");
  EXPECT_FALSE(answers_for(gateway, "10.20.0.4"));
  const base::PublicKey key = gateway.new_key();
  ASSERT_TRUE(gateway.enrol(invitation->token, key));
  EXPECT_TRUE(answers_for(gateway, "10.20.0.4"));
  gateway.restart();
  ASSERT_TRUE(gateway.started);
  EXPECT_TRUE(answers_for(gateway, "10.20.0.4"));
  const auto revoked = gateway.control->revoke("uid 0", "lab", "ann");
  ASSERT_TRUE(revoked);
  EXPECT_THAT(revoked->steps,
              Contains(::testing::Field(&api::Revocation::StepTime::step, "segment")));
  EXPECT_THAT(revoked->pending, IsEmpty());
  EXPECT_FALSE(answers_for(gateway, "10.20.0.4"));
  EXPECT_THAT(gateway.control->verify("lab")->differences, IsEmpty());
}

TEST(Attach, AnAddressThatSomebodyTookMeanwhileIsNotAdmitted) {
  Gateway gateway;
  add_segment(gateway);
  ASSERT_TRUE(gateway.control->create_network("uid 0", attached()));
  const auto fixed = gateway.control->add_peer(
      "uid 0", "lab", {.name = "bob", .role = "", .addresses = {"10.20.0.3"}});
  ASSERT_FALSE(fixed);
  EXPECT_THAT(fixed.error().message, HasSubstr("belongs to 02:00:00:00:00:03 on br100"));
  const auto invitation = gateway.invite("lab", "ann");
  ASSERT_TRUE(invitation);
  gateway.host.occupants[address("10.20.0.4")] = "02:00:00:00:00:04";
  // What was seen a moment ago is believed; later it is asked again.
  for (int n = 0; n < 11'000; ++n) static_cast<void>(gateway.clock.now());
  const auto before = gateway.snapshot();
  const auto late = gateway.enrol(invitation->token, gateway.new_key());
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, ErrorKind::Conflict);
  EXPECT_EQ(gateway.snapshot(), before);
}

TEST(Attach, NetworksOnOneLinkGiveNoAddressTwice) {
  Gateway gateway;
  add_segment(gateway);
  ASSERT_TRUE(gateway.control->create_network("uid 0", attached()));
  ASSERT_TRUE(gateway.invite("lab", "ann"));  // nobody answers for one who is invited
  gateway.add_member("lab", "bob");
  EXPECT_EQ(gateway.control->show_peer("lab", "ann")->address, "10.20.0.4");
  EXPECT_EQ(gateway.control->show_peer("lab", "bob")->address, "10.20.0.5");
  const auto before = gateway.snapshot();
  for (const auto& [taken, owner] : {std::pair("10.20.0.2", "the gateway of network lab"),
                                     std::pair("10.20.0.4", "ann of network lab"),
                                     std::pair("10.20.0.5", "bob of network lab")}) {
    api::NetworkCreate second = attached();
    second.name = "two";
    second.gateway_addresses = {taken};
    const auto refused = gateway.control->create_network("uid 0", second);
    ASSERT_FALSE(refused) << taken;
    EXPECT_THAT(refused.error().message,
                HasSubstr(std::string(taken) + " belongs to " + owner + " on br100 already"));
  }
  EXPECT_EQ(gateway.snapshot(), before);
  api::NetworkCreate second = attached();
  second.name = "two";
  second.gateway_addresses = {"10.20.0.7"};
  ASSERT_TRUE(gateway.control->create_network("uid 0", second));
  for (const auto& [name, free] : {std::pair("eve", "10.20.0.6"), std::pair("fay", "10.20.0.8")}) {
    ASSERT_TRUE(gateway.invite("two", name));
    EXPECT_EQ(gateway.control->show_peer("two", name)->address, free);
  }
  for (const char* taken : {"10.20.0.2", "10.20.0.4", "10.20.0.5"}) {
    const auto fixed = gateway.control->add_peer("uid 0", "two",
                                                 {.name = "gus", .role = "", .addresses = {taken}});
    ASSERT_FALSE(fixed) << taken;
    EXPECT_THAT(fixed.error().message, HasSubstr("of network lab on br100 already"));
  }
  // The first one goes around the second's as well, and what is given back is free for both.
  ASSERT_TRUE(gateway.invite("lab", "hal"));
  EXPECT_EQ(gateway.control->show_peer("lab", "hal")->address, "10.20.0.9");
  ASSERT_TRUE(gateway.control->revoke("uid 0", "lab", "bob"));
  ASSERT_TRUE(gateway.invite("two", "ivy"));
  EXPECT_EQ(gateway.control->show_peer("two", "ivy")->address, "10.20.0.5");
}

TEST(Attach, NetworksOfAnotherLinkHaveAddressesOfTheirOwn) {
  Gateway gateway;
  add_segment(gateway);
  gateway.host.environment.segments["br200"] = plan::SegmentKind::Bridge;
  gateway.host.segments["br200"] = {.is_bridge = true, .up = true, .index = 8, .addresses = {}};
  ASSERT_TRUE(gateway.control->create_network("uid 0", attached()));
  api::NetworkCreate other = attached();
  other.name = "two";
  other.attach = "br200";
  ASSERT_TRUE(gateway.control->create_network("uid 0", other));
  ASSERT_TRUE(gateway.invite("lab", "ann"));
  ASSERT_TRUE(gateway.invite("two", "ann"));
  EXPECT_EQ(gateway.control->show_peer("two", "ann")->address,
            gateway.control->show_peer("lab", "ann")->address);
}

TEST(Attach, ThousandsOfPeersAreAFewQuestions) {
  Gateway gateway;
  add_segment(gateway);
  api::NetworkCreate request = attached();
  request.subnet = "10.20.0.0/20";
  ASSERT_TRUE(gateway.control->create_network("uid 0", request));
  api::PeerBatch batch;
  for (int n = 0; n < 300; ++n) {
    api::PeerAdd peer{.name = "p" + std::to_string(n)};
    if (n % 3 == 0) peer.addresses = {"10.20.8." + std::to_string(n / 3 + 1)};
    batch.peers.push_back(peer);
  }
  const std::size_t before = gateway.host.probes;
  const auto added = gateway.control->add_peers("uid 0", "lab", batch);
  ASSERT_TRUE(added) << added.error().message;
  EXPECT_LE(gateway.host.probes - before, 12U);
}

TEST(Attach, ASegmentThatGoesAndComesIsSaidAndFollowed) {
  Gateway gateway;
  add_segment(gateway);
  ASSERT_TRUE(gateway.control->create_network("uid 0", attached()));
  gateway.add_member("lab", "ann");
  const auto served = gateway.host.facts;
  const auto segments = gateway.host.segments;
  const auto environment = gateway.host.environment.segments;
  gateway.host.segments.clear();
  gateway.host.environment.segments.clear();
  EXPECT_THAT(gateway.control->status().problems, Contains(HasSubstr("the segment of br100")));
  EXPECT_THAT(gateway.control->verify("lab")->differences,
              Contains(::testing::Field(&api::VerifyReport::Difference::part, "segment")));
  gateway.control->retry_pending();
  EXPECT_FALSE(answers_for(gateway, "10.20.0.4"));
  // The other networks of the gateway are none the worse.
  EXPECT_TRUE(gateway.create("other", "10.30.0.0/24"));
  ASSERT_TRUE(gateway.control->delete_network("uid 0", "other"));
  gateway.host.segments = segments;
  gateway.host.environment.segments = environment;
  gateway.control->retry_pending();
  EXPECT_EQ(gateway.host.facts, served);
  EXPECT_THAT(gateway.control->status().problems, IsEmpty());
}

TEST(Attach, APolicyMayNameItsSegment) {
  Gateway gateway;
  add_segment(gateway);
  ASSERT_TRUE(gateway.control->create_network("uid 0", attached()));
  ASSERT_TRUE(gateway.create("plain", "10.30.0.0/24"));
  const api::PolicySet policy{{"rules:", "  - segment -> any: tcp 22"}};
  const auto refused = gateway.control->set_policy("uid 0", "plain", policy);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("line 2, column 5: network plain is attached"));
  ASSERT_TRUE(gateway.control->set_policy("uid 0", "lab", policy));
  const auto asked = [&](const char* from, const char* to, const char* port) {
    return gateway.control->test_policy("lab", {.from = from, .to = to, .port = port})->allowed;
  };
  EXPECT_TRUE(asked("segment", "member", "tcp/22"));
  EXPECT_FALSE(asked("segment", "member", "tcp/23"));
  EXPECT_FALSE(asked("member", "segment", "tcp/22"));
  EXPECT_TRUE(asked("segment", "gateway", "icmp"));
}

TEST(HostAccess, IsRefusedWithTheOwnerOfThePrefix) {
  Gateway gateway;
  ASSERT_TRUE(gateway.create("one"));
  ASSERT_TRUE(gateway.create("two"));
  api::NetworkSet wanted;
  wanted.host_access = true;
  const auto first = gateway.control->set_network("uid 0", "one", wanted);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_TRUE(first->host_access);
  const auto before = gateway.snapshot();
  const auto second = gateway.control->set_network("uid 0", "two", wanted);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("reaches 10.20.0.0/24 in network one already"));
  EXPECT_EQ(gateway.snapshot(), before);
  wanted.host_access = false;
  ASSERT_TRUE(gateway.control->set_network("uid 0", "one", wanted));
  gateway.host.routes = {*base::Prefix::parse("10.20.0.0/16")};
  wanted.host_access = true;
  const auto third = gateway.control->set_network("uid 0", "two", wanted);
  ASSERT_FALSE(third);
  EXPECT_THAT(third.error().message, HasSubstr("taken by this host's route 10.20.0.0/16 dev eth0"));
}

TEST(HostAccess, ComesAndGoesWithoutATrace) {
  Gateway gateway;
  ASSERT_TRUE(gateway.create("one"));
  const auto before = gateway.host.facts;
  api::NetworkSet wanted;
  wanted.host_access = true;
  ASSERT_TRUE(gateway.control->set_network("uid 0", "one", wanted));
  EXPECT_NE(gateway.host.facts, before);
  wanted.host_access = false;
  ASSERT_TRUE(gateway.control->set_network("uid 0", "one", wanted));
  EXPECT_EQ(gateway.host.facts, before);
}

TEST(WayOut, ANetworkWhoseMembersWouldNotReachTheWorldIsNotMade) {
  Gateway gateway;
  const auto before = gateway.snapshot();
  gateway.host.obstacle = plan::Obstacle{"Docker", "iptables -I DOCKER-USER -i wh+ -j ACCEPT"};
  const auto refused = gateway.create("lab");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("dropped by Docker"));
  EXPECT_THAT(refused.error().hint, HasSubstr("iptables -I DOCKER-USER -i wh+ -j ACCEPT"));
  EXPECT_EQ(gateway.snapshot(), before);
  api::NetworkCreate inner{.name = "lab", .subnet = "10.20.0.0/24"};
  inner.nat = false;
  ASSERT_TRUE(gateway.control->create_network("uid 0", inner));
  api::NetworkSet out;
  out.nat = true;
  EXPECT_FALSE(gateway.control->set_network("uid 0", "lab", out));
  EXPECT_FALSE(gateway.control->show_network("lab")->nat);
  // Where no rule can be named it is only said.
  gateway.host.obstacle->remedy.clear();
  const auto warned = gateway.control->set_network("uid 0", "lab", out);
  ASSERT_TRUE(warned) << warned.error().message;
  EXPECT_THAT(warned->warnings, Contains(HasSubstr("do not reach the world")));
}

TEST(Doctor, SaysOfEachPublicPortWhatIsWrongWithIt) {
  Settings settings = testing::settings();
  settings.enrol_port = 51800;
  Gateway gateway(settings);
  const auto made = gateway.create("lab");
  ASSERT_TRUE(made);
  gateway.add_member("lab", "web");
  ASSERT_TRUE(gateway.control->add_forward("uid 0", "lab", {.from = "8080/tcp", .peer = "web"}));
  const model::PublicPort engine{model::Protocol::Udp, made->port};
  gateway.host.listening = {engine};
  gateway.host.closed_ports[engine] = {"ufw", "ufw allow 51820/udp"};
  const auto report = gateway.control->check_ports();
  ASSERT_TRUE(report);
  ASSERT_EQ(report->findings.size(), 3U);
  EXPECT_EQ(report->findings[0].state, "bad");
  EXPECT_THAT(report->findings[0].text, HasSubstr("dropped by ufw"));
  EXPECT_EQ(report->findings[0].remedy, "ufw allow 51820/udp");
  EXPECT_EQ(report->findings[1].state, "bad");
  EXPECT_EQ(report->findings[1].text, "nothing listens on it");
  EXPECT_EQ(report->findings[2].state, "good");
  EXPECT_EQ(report->findings[2].what, "port 8080/tcp to web of network lab");
}

}  // namespace
}  // namespace warren::control
