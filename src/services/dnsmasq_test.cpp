#include "services/dnsmasq.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace warren::services {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

base::IpAddress address(std::string_view text) { return *base::IpAddress::parse(text); }

model::NameZone zone() {
  model::NameZone out;
  out.network_name = "lab";
  out.domain = "lab.internal";
  out.listen = {address("10.20.0.1"), address("fd00::1")};
  out.subnets = {*base::Prefix::parse("10.20.0.0/24"), *base::Prefix::parse("fd00::/64")};
  out.hosts = {{{"gateway"}, out.listen},
               {{"broker", "mqtt"}, {address("10.20.0.5"), address("fd00::5")}}};
  out.services = {{"mqtt", "tcp", "broker", 1883}};
  return out;
}

TEST(Dnsmasq, AnswersOnTheGatewaysAddressesAndForNobodyElsesNames) {
  const std::string text = dnsmasq_configuration(
      zone(), {.hosts = "/h", .servers = "/s", .user = "dnsmasq", .group = "nogroup"});
  for (const char* line :
       {"\nuser=dnsmasq\ngroup=nogroup\n", "\nlisten-address=10.20.0.1\n",
        "\nlisten-address=fd00::1\n", "\nbind-interfaces\n", "\nno-resolv\n", "\nno-hosts\n",
        "\nlocal=/lab.internal/\n", "\nrev-server=10.20.0.0/24\n", "\nrev-server=fd00::/64\n",
        "\ndomain-needed\n", "\naddn-hosts=/h\n", "\nservers-file=/s\n",
        "\nsrv-host=_mqtt._tcp.lab.internal,broker.lab.internal,1883\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_THAT(text, Not(HasSubstr("dhcp")));
}

TEST(Dnsmasq, AnAddressIsCalledAsItsMemberAndNotAsAService) {
  EXPECT_EQ(dnsmasq_hosts(zone()),
            "10.20.0.1 gateway.lab.internal gateway\n"
            "fd00::1 gateway.lab.internal gateway\n"
            "10.20.0.5 broker.lab.internal broker mqtt.lab.internal mqtt\n"
            "fd00::5 broker.lab.internal broker mqtt.lab.internal mqtt\n");
}

TEST(Dnsmasq, AsksTheForwardersAlone) {
  EXPECT_EQ(dnsmasq_servers({.servers = {address("192.0.2.53"), address("2001:db8::53")},
                             .withheld = {"other.internal"}}),
            "server=192.0.2.53\nserver=2001:db8::53\nserver=/other.internal/\n");
  EXPECT_EQ(dnsmasq_servers({}), "");
}

TEST(Resolvers, AreThoseThatTheHostAsks) {
  EXPECT_THAT(resolvers_in("# a comment\n"
                           "search example.org\n"
                           "nameserver 127.0.0.53\n"
                           " nameserver\t192.0.2.53 # main\r\n"
                           "nameserver fe80::1%eth0\n"
                           "nameserver fe80::1\n"
                           "nameserver ::1\n"
                           "nameserver 0.0.0.0\n"
                           "nameserver 2001:db8::53\n"
                           "nameserver 192.0.2.53\n"
                           "nameservers 192.0.2.54\n"
                           "nameserver"),
              ElementsAre(address("127.0.0.53"), address("192.0.2.53"), address("::1"),
                          address("2001:db8::53")));
  EXPECT_THAT(resolvers_in(""), IsEmpty());
}

}  // namespace
}  // namespace warren::services
