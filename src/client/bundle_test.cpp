#include "client/bundle.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/qr_code.hpp"

namespace warren::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Bundle lab_bundle(KeyPlace place) {
  Bundle bundle;
  bundle.network = "lab";
  bundle.peer = "phone";
  bundle.key = place;
  std::array<std::uint8_t, 32> secret{};
  secret.fill(7);
  bundle.conf.interface.private_key = model::ConfKey(secret);
  bundle.conf.interface.addresses = {*base::Prefix::parse("10.20.0.2/24"),
                                     *base::Prefix::parse("fd00::2/64")};
  bundle.conf.interface.mtu = 1420;
  model::ConfPeer gateway;
  gateway.public_key.bytes.fill(9);
  gateway.endpoint = base::HostPort{"2001:db8::1", 51820};
  gateway.allowed_ips = {*base::Prefix::parse("10.20.0.0/24"), *base::Prefix::parse("fd00::/64")};
  gateway.persistent_keepalive_s = std::uint16_t{25};
  bundle.conf.peers.push_back(std::move(gateway));
  bundle.now = {1'750'000'000'000'000'000};
  return bundle;
}

const std::string kSecret = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

TEST(Bundle, TheConfIsReadBackByItsOwnReader) {
  const auto text = write_bundle(lab_bundle(KeyPlace::Included), BundleFormat::Wg);
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, HasSubstr("PrivateKey = " + kSecret + "\n"));
  const auto conf = model::WgConf::parse(*text, "lab.conf");
  ASSERT_TRUE(conf) << conf.error().message;
  EXPECT_EQ(conf->interface.addresses.size(), 2U);
  EXPECT_EQ(conf->peers[0].endpoint->host, "2001:db8::1");
}

TEST(Bundle, NoFormatHoldsTheKeyOfAMemberThatHasIt) {
  Bundle bundle = lab_bundle(KeyPlace::Member);
  bundle.token = "warren1token";
  for (const BundleFormat format : {BundleFormat::Wg, BundleFormat::Env, BundleFormat::CloudInit}) {
    const auto text = write_bundle(bundle, format);
    ASSERT_TRUE(text);
    EXPECT_THAT(*text, Not(HasSubstr(kSecret)));
    EXPECT_THAT(*text, Not(HasSubstr("\nPrivateKey")));
  }
  bundle.public_key = bundle.conf.peers[0].public_key;
  EXPECT_THAT(*write_bundle(bundle, BundleFormat::Wg),
              HasSubstr("put it here (its public half is " + bundle.public_key->base64() + ")\n"));
  for (const BundleFormat format : {BundleFormat::Qr, BundleFormat::QrPng}) {
    EXPECT_EQ(write_bundle(bundle, format).error().kind, base::ErrorKind::Invalid);
  }
  bundle.token.clear();
  EXPECT_FALSE(write_bundle(bundle, BundleFormat::CloudInit));
}

TEST(Bundle, TheEnvironmentNeedsNoQuotes) {
  const auto text = write_bundle(lab_bundle(KeyPlace::Included), BundleFormat::Env);
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, HasSubstr("WG_PRIVATE_KEY=" + kSecret + "\n"));
  EXPECT_THAT(*text, HasSubstr("WG_ADDRESS=10.20.0.2/24,fd00::2/64\n"));
  EXPECT_THAT(*text, HasSubstr("WG_ENDPOINT=[2001:db8::1]:51820\n"));
  EXPECT_THAT(*text, Not(HasSubstr(" ")));
  EXPECT_THAT(*text, Not(HasSubstr("WG_DNS")));
}

TEST(Bundle, ProgramsAreToldOfServices) {
  Bundle bundle = lab_bundle(KeyPlace::Included);
  bundle.environment = {{"MQTT_BROKER", "mqtt.lab.internal"}, {"MQTT_BROKER_PORT", "1883"}};
  bundle.conf.interface.dns_search = {"lab.internal"};
  const std::string lines = "MQTT_BROKER=mqtt.lab.internal\nMQTT_BROKER_PORT=1883\n";
  const auto env = write_bundle(bundle, BundleFormat::Env);
  ASSERT_TRUE(env);
  EXPECT_TRUE(env->ends_with(lines)) << *env;
  EXPECT_THAT(*env, HasSubstr("WG_DNS_SEARCH=lab.internal\n"));
  const auto machine = write_bundle(bundle, BundleFormat::CloudInit);
  ASSERT_TRUE(machine);
  EXPECT_THAT(*machine, HasSubstr("  - path: /etc/warren/lab.env\n"));
  EXPECT_THAT(*machine, HasSubstr("      MQTT_BROKER=mqtt.lab.internal\n"));
  EXPECT_EQ(machine->find("write_files:"), machine->rfind("write_files:"));
}

TEST(Bundle, FormatsAreNamed) {
  for (const std::string name : {"wg", "qr", "env", "zip", "cloud-init"}) {
    EXPECT_TRUE(parse_bundle_format(name)) << name;
  }
  EXPECT_FALSE(parse_bundle_format("png"));
  EXPECT_FALSE(parse_bundle_format(""));
}

TEST(QrCode, IsASquareWithAQuietZone) {
  const auto code = QrCode::create("hello");
  ASSERT_TRUE(code) << code.error().message;
  const std::string text = code->text();
  EXPECT_EQ(std::ranges::count(text, '\n'), 15);  // 21 modules and twice 4, two to a line
  std::string light;
  for (int i = 0; i < 29; ++i) light += "█";
  EXPECT_TRUE(text.starts_with(light + "\n" + light + "\n"));
  EXPECT_TRUE(code->png().starts_with("\x89PNG\r\n\x1a\n"));
}

TEST(QrCode, WhatDoesNotFitIsRefused) {
  EXPECT_TRUE(QrCode::create(std::string(2953, 'a')));
  const auto code = QrCode::create(std::string(2954, 'a'));
  ASSERT_FALSE(code);
  EXPECT_EQ(code.error().kind, base::ErrorKind::Invalid);
  EXPECT_FALSE(QrCode::create(""));
}

}  // namespace
}  // namespace warren::client
