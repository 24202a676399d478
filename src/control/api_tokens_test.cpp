#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/bytes.hpp"
#include "control/control_fakes.hpp"
#include "model/admin_token.hpp"

namespace warren::control {
namespace {

using testing::Gateway;

struct Made {
  api::TokenCreated answer;
  std::vector<std::uint8_t> secret;
};
Made make(Gateway& gateway, const api::TokenCreate& wanted) {
  const auto made = gateway.control->create_token("uid 0", wanted);
  EXPECT_TRUE(made) << made.error().message;
  if (!made) return {};
  return {*made, *base::parse_base64url(made->secret)};
}

TEST(ApiTokens, TheSecretIsKeptAsAHashAndFindsItsToken) {
  Settings settings = testing::settings();
  settings.admin_at = "gw.example.org:51801";
  Gateway gateway(settings);
  ASSERT_TRUE(gateway.create("lab"));
  const Made made = make(gateway, {.name = "ci", .network = "lab", .read_only = true});
  EXPECT_EQ(made.answer.token.network, "lab");
  const auto bundle = model::parse_admin_token(made.answer.bundle);
  ASSERT_TRUE(bundle);
  EXPECT_EQ(bundle->enrol_at, "gw.example.org:51801");
  EXPECT_EQ(bundle->pin, settings.identity_pin);
  EXPECT_TRUE(std::ranges::equal(bundle->secret, made.secret));
  EXPECT_FALSE(model::TokenText::parse(made.answer.bundle)) << "it admits no member";
  const auto who = gateway.control->find_administrator(made.secret);
  ASSERT_TRUE(who);
  EXPECT_EQ(who->token, "ci");
  EXPECT_TRUE(who->read_only);
  EXPECT_EQ(gateway.control->network_name(*who->network), "lab");
  EXPECT_NE(gateway.state().api_tokens.at("ci").secret_hash, decltype(who->secret_hash){});
  gateway.restart();
  EXPECT_TRUE(gateway.control->find_administrator(made.secret));
  auto wrong = made.secret;
  wrong[0] ^= 1;
  EXPECT_EQ(gateway.control->find_administrator(wrong).error().kind, base::ErrorKind::NotPermitted);
  EXPECT_FALSE(gateway.control->find_administrator({}));
}

TEST(ApiTokens, TheyEndWhenDeletedOverOrOfANetworkThatIsGone) {
  Gateway gateway;
  ASSERT_TRUE(gateway.create("lab"));
  const Made deleted = make(gateway, {.name = "deleted"});
  const Made brief = make(gateway, {.name = "brief", .expires_s = 60});
  const Made lab = make(gateway, {.name = "lab", .network = "lab"});
  const auto held = *gateway.control->find_administrator(deleted.secret);
  ASSERT_TRUE(gateway.control->delete_token("uid 0", "deleted"));
  EXPECT_FALSE(gateway.control->is_valid(held));
  make(gateway, {.name = "deleted"});
  EXPECT_FALSE(gateway.control->is_valid(held)) << "another one of the same name";
  EXPECT_FALSE(gateway.control->find_administrator(deleted.secret));
  EXPECT_TRUE(gateway.control->find_administrator(brief.secret));
  gateway.clock.time.ns += 61LL * 1'000'000'000;
  EXPECT_FALSE(gateway.control->find_administrator(brief.secret));
  EXPECT_TRUE(gateway.control->find_administrator(lab.secret));
  ASSERT_TRUE(gateway.control->delete_network("uid 0", "lab"));
  EXPECT_FALSE(gateway.control->find_administrator(lab.secret));
  EXPECT_EQ(gateway.control->delete_token("uid 0", "lab").error().kind, base::ErrorKind::NotFound);
}

TEST(ApiTokens, WhatIsRefusedChangesNothing) {
  Gateway gateway;
  make(gateway, {.name = "ci"});
  const auto before = gateway.snapshot();
  const auto kind = [&](const api::TokenCreate& wanted) {
    return gateway.control->create_token("uid 0", wanted).error().kind;
  };
  EXPECT_EQ(kind({.name = "ci"}), base::ErrorKind::Conflict);
  EXPECT_EQ(kind({.name = ""}), base::ErrorKind::Invalid);
  EXPECT_EQ(kind({.name = "a b"}), base::ErrorKind::Invalid);
  EXPECT_EQ(kind({.name = std::string(64, 'a')}), base::ErrorKind::Invalid);
  EXPECT_EQ(kind({.name = "x", .network = "none"}), base::ErrorKind::NotFound);
  EXPECT_EQ(kind({.name = "x", .expires_s = 4'000'000'000}), base::ErrorKind::Invalid);
  EXPECT_EQ(gateway.snapshot(), before);
  const auto audit = gateway.control->audit(10);
  ASSERT_TRUE(audit);
  EXPECT_EQ(audit->records.size(), 7U) << "each refusal is recorded";
}

}  // namespace
}  // namespace warren::control
