#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/control_fakes.hpp"

namespace warren::control {
namespace {

using testing::Gateway;

std::vector<store::AuditRecord> comings(Gateway& gateway) {
  std::vector<store::AuditRecord> found;
  const auto entries = gateway.memory.audit_after(0, 100'000);
  for (const store::AuditEntry& entry : *entries) {
    if (entry.record.action.ends_with("connect")) found.push_back(entry.record);
  }
  return found;
}

void shake_hands(Gateway& gateway, const base::PublicKey& key, const char* from) {
  EnginePeerStatus& seen = gateway.engines.seen_peers[key];
  seen.last_handshake = gateway.clock.time;
  seen.endpoint = base::Endpoint::parse(from);
}

void pass(Gateway& gateway, std::int64_t seconds) {
  gateway.clock.time.ns += seconds * 1'000'000'000;
  gateway.control->retry_pending();
}

TEST(Presence, AMemberComesOnceAndGoesWhenItIsSilent) {
  Gateway gateway;
  ASSERT_TRUE(gateway.create("lab"));
  const base::PublicKey key = gateway.add_member("lab", "laptop");
  pass(gateway, 2);
  EXPECT_TRUE(comings(gateway).empty());
  shake_hands(gateway, key, "192.0.2.7:4711");
  pass(gateway, 2);
  pass(gateway, 120);
  shake_hands(gateway, key, "192.0.2.8:4711");
  pass(gateway, 2);
  ASSERT_EQ(comings(gateway).size(), 1U);
  EXPECT_EQ(comings(gateway)[0].actor, "peer lab/laptop from 192.0.2.7:4711");
  EXPECT_EQ(comings(gateway)[0].action, "peer.connect");
  EXPECT_EQ(comings(gateway)[0].target, "lab/laptop");
  EXPECT_EQ(comings(gateway)[0].result, "ok");
  pass(gateway, 177);
  EXPECT_EQ(comings(gateway).size(), 1U);
  pass(gateway, 2);
  ASSERT_EQ(comings(gateway).size(), 2U);
  EXPECT_EQ(comings(gateway)[1].actor, "peer lab/laptop from 192.0.2.8:4711");
  EXPECT_EQ(comings(gateway)[1].action, "peer.disconnect");
  EXPECT_EQ(comings(gateway)[1].result, "ok, silent for 180 s");
  shake_hands(gateway, key, "192.0.2.8:4711");
  pass(gateway, 2);
  EXPECT_EQ(comings(gateway).size(), 3U) << "back again";
}

TEST(Presence, WhoeverMayNotBeHereAnyMoreIsToldAsGone) {
  Gateway gateway;
  ASSERT_TRUE(gateway.create("lab"));
  const base::PublicKey revoked = gateway.add_member("lab", "revoked");
  const base::PublicKey stopped = gateway.add_member("lab", "stopped");
  pass(gateway, 2);
  shake_hands(gateway, revoked, "192.0.2.7:1");
  shake_hands(gateway, stopped, "192.0.2.7:2");
  pass(gateway, 2);
  ASSERT_TRUE(gateway.control->revoke("uid 0", "lab", "revoked"));
  pass(gateway, 2);
  ASSERT_EQ(comings(gateway).size(), 3U);
  EXPECT_EQ(comings(gateway)[2].target, "lab/revoked");
  EXPECT_EQ(comings(gateway)[2].result, "ok, revoked");
  ASSERT_TRUE(gateway.control->stop_network("uid 0", "lab"));
  pass(gateway, 2);
  ASSERT_EQ(comings(gateway).size(), 4U);
  EXPECT_EQ(comings(gateway)[3].target, "lab/stopped");
  EXPECT_EQ(comings(gateway)[3].result, "ok, its network was stopped");
  ASSERT_TRUE(gateway.control->delete_network("uid 0", "lab"));
  pass(gateway, 200);
  EXPECT_EQ(comings(gateway).size(), 4U);
}

TEST(Presence, ARestartedDaemonFindsThemHere) {
  Gateway gateway;
  ASSERT_TRUE(gateway.create("lab"));
  const base::PublicKey here = gateway.add_member("lab", "here");
  const base::PublicKey later = gateway.add_member("lab", "later");
  pass(gateway, 2);
  shake_hands(gateway, here, "192.0.2.7:1");
  pass(gateway, 2);
  ASSERT_EQ(comings(gateway).size(), 1U);
  gateway.restart();
  pass(gateway, 2);
  EXPECT_EQ(comings(gateway).size(), 1U);
  shake_hands(gateway, later, "192.0.2.7:2");
  pass(gateway, 2);
  ASSERT_EQ(comings(gateway).size(), 2U);
  EXPECT_EQ(comings(gateway)[1].target, "lab/later");
  pass(gateway, 200);
  EXPECT_EQ(comings(gateway).size(), 4U) << "both are silent, and both are told";
}

TEST(Presence, AnEngineThatWasStartedAgainIsNoDisconnection) {
  Gateway gateway;
  ASSERT_TRUE(gateway.create("lab"));
  const base::PublicKey key = gateway.add_member("lab", "laptop");
  pass(gateway, 2);
  shake_hands(gateway, key, "192.0.2.7:1");
  pass(gateway, 2);
  gateway.engines.seen_peers.clear();  // it has seen nobody yet
  pass(gateway, 2);
  shake_hands(gateway, key, "192.0.2.7:1");
  pass(gateway, 2);
  EXPECT_EQ(comings(gateway).size(), 1U);
}

TEST(Presence, WhatCannotBeRecordedIsRecordedLater) {
  Gateway gateway;
  ASSERT_TRUE(gateway.create("lab"));
  const base::PublicKey key = gateway.add_member("lab", "laptop");
  pass(gateway, 2);
  shake_hands(gateway, key, "192.0.2.7:1");
  gateway.memory.fail_with(base::make_error(base::ErrorKind::Failed, "disk full"));
  pass(gateway, 2);
  gateway.memory.fail_with(std::nullopt);
  EXPECT_TRUE(comings(gateway).empty());
  pass(gateway, 2);
  EXPECT_EQ(comings(gateway).size(), 1U);
}

TEST(Presence, EveryNetworkHasItsTurn) {
  Gateway gateway;
  std::vector<base::PublicKey> keys;
  for (int i = 0; i < 20; ++i) {
    const std::string name = "n" + std::to_string(i);
    ASSERT_TRUE(gateway.create(name, "10." + std::to_string(20 + i) + ".0.0/24"));
    keys.push_back(gateway.add_member(name, "m"));
  }
  pass(gateway, 2);
  for (const base::PublicKey& key : keys) shake_hands(gateway, key, "192.0.2.7:1");
  pass(gateway, 2);
  EXPECT_EQ(comings(gateway).size(), keys.size());
}

}  // namespace
}  // namespace warren::control
