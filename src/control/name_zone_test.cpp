// Names inside a network, and what its services tell programs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/control_fakes.hpp"

namespace warren::control {
namespace {

using base::ErrorKind;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::Gateway;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

struct World : Gateway {
  explicit World(bool answers = true) {
    const auto made = control->create_network(
        "uid 0", {.name = "lab", .subnet = "10.20.0.0/24", .names = answers});
    EXPECT_TRUE(made) << made.error().message;
  }
  model::NetworkId id() { return state().networks.begin()->first; }
  base::Result<api::NetworkView> set(const api::NetworkSet& request) {
    return control->set_network("uid 0", "lab", request);
  }
  base::Status policy(const std::string& text) {
    const auto done = control->set_policy("uid 0", "lab", {.lines = {text}});
    return done ? base::Status() : base::Status(done.error());
  }
  std::vector<std::string> hosts() {
    std::vector<std::string> out;
    const auto zone = control->name_zone(id());
    if (!zone) return out;
    for (const model::NamedHost& named : zone->hosts) out.push_back(named.names[0]);
    return out;
  }
  std::vector<std::string> variables() {
    std::vector<std::string> out;
    const auto environment = control->environment("lab");
    if (!environment) return out;
    for (const auto& variable : environment->variables) {
      out.push_back(variable.name + "=" + variable.value);
    }
    return out;
  }
};

constexpr const char* kMqtt = "services: {mqtt: {peer: broker, port: 1883, env: MQTT_BROKER}}";

TEST(Names, MembersHaveThemFromTheirEnrolmentToTheirEnd) {
  World world;
  EXPECT_TRUE(world.names.served.contains(world.id()));
  EXPECT_THAT(world.hosts(), ElementsAre("gateway"));
  const auto invitation = world.invite("lab", "ann");
  EXPECT_THAT(world.hosts(), ElementsAre("gateway"));
  world.names.told.clear();
  ASSERT_TRUE(world.enrol(invitation->token, world.new_key()));
  EXPECT_TRUE(world.names.told.contains(world.id()));
  EXPECT_THAT(world.hosts(), ElementsAre("gateway", "ann"));
  ASSERT_TRUE(world.control->rename_peer("uid 0", "lab", "ann", {"anna"}));
  EXPECT_THAT(world.hosts(), ElementsAre("gateway", "anna"));
  world.names.told.clear();
  ASSERT_TRUE(world.control->revoke("uid 0", "lab", "anna"));
  EXPECT_TRUE(world.names.told.contains(world.id()));
  EXPECT_THAT(world.hosts(), ElementsAre("gateway"));
  ASSERT_TRUE(world.control->stop_network("uid 0", "lab"));
  EXPECT_FALSE(world.control->name_zone(world.id()));
  EXPECT_THAT(world.names.served, IsEmpty());
}

TEST(Names, AreTurnedOnWholeOrNotAtAll) {
  World world(false);
  EXPECT_FALSE(world.control->name_zone(world.id()));
  const auto before = world.snapshot();
  world.names.installed = false;
  EXPECT_THAT(world.set({.names = true}).error().message, HasSubstr("dnsmasq"));
  EXPECT_EQ(world.snapshot(), before);
  EXPECT_FALSE(world.control->create_network(
      "uid 0", {.name = "other", .subnet = "10.21.0.0/24", .names = true}));
  EXPECT_EQ(world.snapshot(), before);
  world.names.installed = true;
  for (std::size_t i = 0; i < 5; ++i) {
    world.faults.failing = {world.faults.calls + i};
    const auto set = world.set({.names = true});
    if (set) break;
    EXPECT_EQ(world.snapshot(), before) << i;
    EXPECT_THAT(world.names.served, IsEmpty());
  }
  world.faults.failing.clear();
  EXPECT_TRUE(world.set({.names = true})->names);
  EXPECT_TRUE(world.names.served.contains(world.id()));
  EXPECT_FALSE(world.set({.names = false})->names);
  EXPECT_THAT(world.names.served, IsEmpty());
}

TEST(Names, MembersAskTheGatewayUnlessOthersAreNamed) {
  World world;
  const auto invitation = world.invite("lab", "ann");
  const auto answer = world.enrol(invitation->token, world.new_key());
  ASSERT_TRUE(answer);
  EXPECT_THAT(answer->dns, ElementsAre("10.20.0.1", answer->gateway6, "lab.internal"));
  const auto revision = answer->revision;
  ASSERT_TRUE(world.set({.dns = std::vector<std::string>{"9.9.9.9"}}));
  EXPECT_THAT(world.control->peer_profile("lab", "ann")->dns, ElementsAre("9.9.9.9"));
  ASSERT_TRUE(world.set({.dns = std::vector<std::string>{}, .names = false}));
  EXPECT_THAT(world.control->peer_profile("lab", "ann")->dns, IsEmpty());
}

TEST(Names, ForwardersAreThoseThatCanBeAsked) {
  World world;
  const auto set = [&](const char* address) {
    return world.set({.forwarders = std::vector<std::string>{address}});
  };
  EXPECT_THAT(set("192.0.2.53")->forwarders, ElementsAre("192.0.2.53"));
  for (const char* bad : {"fe80::1", "10.20.0.1", "0.0.0.0", "dns.example"}) {
    EXPECT_EQ(set(bad).error().kind, ErrorKind::Invalid) << bad;
  }
  EXPECT_EQ(world.control->name_zone(world.id())->forwarders.size(), 1U);
  // Which of them the network reaches itself; the gateway asks the others for it.
  const auto reaches = [&](const char* address) {
    return world.control->name_zone(world.id())->reaches(*base::IpAddress::parse(address));
  };
  EXPECT_TRUE(reaches("192.0.2.53"));
  EXPECT_FALSE(reaches("127.0.0.53"));
  EXPECT_THAT(set("127.0.0.53")->forwarders, ElementsAre("127.0.0.53"));
  EXPECT_THAT(world.set({.nat = false})->warnings, IsEmpty());
  EXPECT_FALSE(reaches("192.0.2.53"));
  EXPECT_TRUE(reaches("10.20.0.9"));
  EXPECT_FALSE(reaches("::1"));
}

TEST(Names, TheHostAsksWhereItHasAccess) {
  World world;
  EXPECT_EQ(world.control->name_zone(world.id())->host_link, "");
  ASSERT_TRUE(world.set({.host_access = true}));
  EXPECT_EQ(world.control->name_zone(world.id())->host_link, world.id().uplink_name());
  ASSERT_TRUE(world.set({.host_access = false}));
  EXPECT_EQ(world.control->name_zone(world.id())->host_link, "");
}

TEST(Names, AreExaminedWhereThereAreSome) {
  World world;
  ASSERT_TRUE(world.control->create_network("uid 0", {.name = "mute", .subnet = "10.21.0.0/24"}));
  const auto found = world.control->check_names();
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_THAT(found->findings, SizeIs(1));
  EXPECT_EQ(found->findings[0].network, "lab");
  EXPECT_EQ(found->findings[0].state, "good");
}

TEST(Names, NoneStandsForTwo) {
  World world;
  EXPECT_EQ(world.invite("lab", "gateway").error().kind, ErrorKind::Conflict);
  world.add_member("lab", "mqtt");
  EXPECT_THAT(world.policy(kMqtt).error().message, HasSubstr("has the name of a member"));
  ASSERT_TRUE(world.control->rename_peer("uid 0", "lab", "mqtt", {"broker"}));
  ASSERT_TRUE(world.policy(kMqtt));
  EXPECT_EQ(world.invite("lab", "mqtt").error().kind, ErrorKind::Conflict);
  EXPECT_EQ(world.control->add_peer("uid 0", "lab", {.name = "mqtt", .role = ""}).error().kind,
            ErrorKind::Conflict);
  EXPECT_EQ(world.control->rename_peer("uid 0", "lab", "broker", {"mqtt"}).error().kind,
            ErrorKind::Conflict);
  // Where no names are answered, there is nothing to mistake.
  ASSERT_TRUE(world.set({.names = false}));
  ASSERT_TRUE(world.invite("lab", "mqtt"));
  EXPECT_THAT(world.set({.names = true}).error().message, HasSubstr("mqtt"));
}

TEST(Services, WithoutRulesNothingIsFiltered) {
  World world(false);
  ASSERT_TRUE(world.policy(kMqtt));
  EXPECT_FALSE(world.control->show_network("lab")->policy);
  EXPECT_THAT(world.control->show_policy("lab")->warnings,
              Contains(HasSubstr("members reach each other")));
  world.add_member("lab", "ann");
  world.add_member("lab", "broker");
  const auto answer =
      world.control->test_policy("lab", {.from = "ann", .to = "broker", .port = "tcp/22"});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_TRUE(answer->allowed);
  for (const auto& [key, fact] : world.host.facts) {
    EXPECT_FALSE(std::holds_alternative<plan::PolicyFilter>(fact)) << key;
  }
  ASSERT_TRUE(world.policy(std::string(kMqtt) + "\nrules: []"));
  EXPECT_TRUE(world.control->show_network("lab")->policy);
}

TEST(Services, TellMembersWhereTheyAre) {
  World world(false);
  ASSERT_TRUE(world.policy(kMqtt));
  EXPECT_THAT(world.variables(), IsEmpty());  // nobody is called broker
  world.add_member("lab", "ann");
  std::set<std::optional<model::PeerId>> told;
  world.control->on_change(
      [&](model::NetworkId, std::optional<model::PeerId> peer) { told.insert(peer); });
  world.add_member("lab", "broker");
  EXPECT_TRUE(told.contains(std::nullopt)) << "ann must hear of the broker's address";
  EXPECT_THAT(world.variables(), ElementsAre("MQTT_BROKER=10.20.0.3", "MQTT_BROKER_PORT=1883"));
  EXPECT_THAT(*world.control->peer_profile("lab", "ann")->environment, SizeIs(2));
  ASSERT_TRUE(world.set({.names = true}));
  EXPECT_THAT(world.variables(),
              ElementsAre("MQTT_BROKER=mqtt.lab.internal", "MQTT_BROKER_PORT=1883"));
  EXPECT_THAT(world.control->name_zone(world.id())->services, SizeIs(1));
  EXPECT_EQ(world.control->rename_peer("uid 0", "lab", "broker", {"b2"}).error().kind,
            ErrorKind::Conflict);
}

TEST(Names, ThatAreNotAnsweredAreAProblem) {
  World world;
  EXPECT_THAT(world.control->verify("lab")->differences, IsEmpty());
  world.names.served.clear();
  EXPECT_THAT(world.control->status().problems, Contains(HasSubstr("its names: nobody answers")));
  const auto found = world.control->verify("lab");
  ASSERT_THAT(found->differences, SizeIs(1));
  EXPECT_EQ(found->differences[0].part, "names");
  ASSERT_TRUE(world.control->repair("uid 0", "lab"));
  EXPECT_THAT(world.control->status().problems, IsEmpty());
  ASSERT_TRUE(world.control->delete_network("uid 0", "lab"));
  EXPECT_THAT(world.names.served, IsEmpty());
}

}  // namespace
}  // namespace warren::control
