#include "model/name_zone.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/environment.hpp"
#include "model/policy.hpp"

namespace warren::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Network lab() {
  Network network;
  network.id = {7};
  network.name = "lab";
  network.subnet4 = base::Prefix::parse("10.20.0.0/24");
  network.subnet6 = base::Prefix::parse("fd00::/64");
  network.names = true;
  return network;
}

Peer member(std::uint32_t id, const std::string& name) {
  Peer peer;
  peer.id = {id};
  peer.name = name;
  peer.address4 = base::IpAddress::v4(0x0a140000 + id);
  return peer;
}

std::vector<Service> services(std::string_view text) {
  const auto policy = Policy::parse(text, {});
  EXPECT_TRUE(policy) << policy.error().message;
  return policy ? policy->services : std::vector<Service>{};
}

constexpr std::string_view kServices =
    "services:\n"
    "  mqtt: {peer: broker, port: 1883, env: MQTT_BROKER}\n"
    "  broker: {peer: broker, port: 8000}\n"
    "  web: tcp 80\n";

TEST(NameZone, HoldsGatewayMembersAndServices) {
  const Peer broker = member(5, "broker");
  const Peer odd = member(6, "a..b");
  const NameZone zone = make_name_zone(lab(), {&broker, &odd}, services(kServices));
  EXPECT_EQ(zone.domain, "lab.internal");
  EXPECT_THAT(zone.listen, SizeIs(2));
  EXPECT_THAT(zone.subnets, SizeIs(2));
  ASSERT_THAT(zone.hosts, SizeIs(2));
  EXPECT_THAT(zone.hosts[0].names, ElementsAre("gateway"));
  EXPECT_EQ(zone.hosts[0].addresses, zone.listen);
  EXPECT_THAT(zone.hosts[1].names, ElementsAre("broker", "mqtt"));
  EXPECT_THAT(zone.services, ElementsAre(NamedService{"mqtt", "tcp", "broker", 1883},
                                         NamedService{"broker", "tcp", "broker", 8000}));
}

TEST(NameZone, AsksNobodyOutsideWithoutAWayOut) {
  Network network = lab();
  EXPECT_TRUE(make_name_zone(network, {}, {}).ask_the_host);
  network.nat = false;
  EXPECT_FALSE(make_name_zone(network, {}, {}).ask_the_host);
  network.nat = true;
  network.forwarders = {*base::IpAddress::parse("10.20.0.9")};
  const NameZone zone = make_name_zone(network, {}, {});
  EXPECT_FALSE(zone.ask_the_host);
  EXPECT_EQ(zone.forwarders, network.forwarders);
}

TEST(NameZone, ANameStandsForOne) {
  const auto all = services(kServices);
  EXPECT_TRUE(check_member_name("ann", all));
  EXPECT_TRUE(check_member_name("broker", all));
  EXPECT_TRUE(check_member_name("web", all));  // nobody in particular offers it: it has no name
  EXPECT_EQ(check_member_name("mqtt", all).error().kind, base::ErrorKind::Conflict);
  EXPECT_EQ(check_member_name("gateway", all).error().kind, base::ErrorKind::Conflict);
  const auto nobody = [](const std::string&) { return false; };
  const auto everybody = [](const std::string&) { return true; };
  EXPECT_TRUE(check_service_names(all, nobody));
  EXPECT_THAT(check_service_names(all, everybody).error().message, HasSubstr("mqtt"));
  EXPECT_FALSE(check_service_names(services("services: {gateway: {peer: a, port: 1}}"), nobody));
}

TEST(Environment, NamesWhoOffersAServiceAndItsPort) {
  const auto nobody = [](const std::string&) { return std::optional<base::IpAddress>(); };
  const auto all = services(kServices);
  EXPECT_THAT(environment_of(all, "lab.internal", nobody),
              ElementsAre(Variable{"MQTT_BROKER", "mqtt.lab.internal"},
                          Variable{"MQTT_BROKER_PORT", "1883"}));
  EXPECT_THAT(environment_of(all, "", nobody), IsEmpty());
  const auto there = [](const std::string&) { return base::IpAddress::parse("fd00::5"); };
  EXPECT_THAT(environment_of(all, "", there), ElementsAre(Variable{"MQTT_BROKER", "fd00::5"},
                                                          Variable{"MQTT_BROKER_PORT", "1883"}));
}

TEST(Environment, TakesNoVariableThatProgramsListenTo) {
  for (const char* good : {"MQTT_BROKER", "_X", "UPLOADS_URL2"}) {
    EXPECT_TRUE(check_variable_name(good)) << good;
  }
  for (const char* bad : {"", "1A", "mqtt", "A-B", "A=B", "PATH", "LD_PRELOAD", "HTTP_PROXY",
                          "BASH_ENV", "IFS", "WARREN_RUN", "PYTHONPATH"}) {
    EXPECT_FALSE(check_variable_name(bad)) << bad;
  }
  EXPECT_FALSE(check_variable_name(std::string(65, 'A')));
  EXPECT_TRUE(is_variable_value("fd00::5"));
  for (const char* bad : {"", "a b", "$(id)", "a;b", "/lib/x.so", "-x", "a\nb", "`id`", "a'b"}) {
    EXPECT_FALSE(is_variable_value(bad)) << bad;
  }
}

TEST(Services, AreReadWithTheirVariables) {
  const auto refused = [](std::string_view text) {
    const auto policy = Policy::parse(text, {});
    EXPECT_FALSE(policy) << text;
    return policy ? std::string() : policy.error().message;
  };
  const auto policy = Policy::parse(kServices, {});
  ASSERT_TRUE(policy) << policy.error().message;
  EXPECT_FALSE(policy->filters);
  EXPECT_EQ(policy->services[0].env, "MQTT_BROKER");
  EXPECT_TRUE(Policy::parse("services: {a: tcp 1}\nrules: []", {})->filters);
  EXPECT_THAT(refused("services: {a: {port: 1, env: A}}"), HasSubstr("line 1, column 30"));
  EXPECT_THAT(refused("services: {a: {peer: b, port: 1, env: PATH}}"), HasSubstr("PATH"));
  EXPECT_THAT(refused("services:\n"
                      "  a: {peer: x, port: 1, env: A}\n"
                      "  b: {peer: x, port: 2, env: A_PORT}\n"),
              HasSubstr("line 3, column 30: variable \"A_PORT\" again"));
}

}  // namespace
}  // namespace warren::model
