#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "control/control_fakes.hpp"

namespace warren::control {
namespace {

using testing::Gateway;

class Presence : public ::testing::Test {
 protected:
  /// Members of network "lab" of whom nothing was heard yet.
  template <typename... Names>
  std::array<base::PublicKey, sizeof...(Names)> members(const Names&... names) {
    EXPECT_TRUE(gateway.create("lab"));
    const std::array keys{gateway.add_member("lab", names)...};
    pass(2);
    return keys;
  }
  std::vector<store::AuditRecord> comings() {
    std::vector<store::AuditRecord> found;
    const auto entries = gateway.memory.audit_after(0, 100'000);
    for (const store::AuditEntry& entry : *entries) {
      if (entry.record.action.ends_with("connect")) found.push_back(entry.record);
    }
    return found;
  }
  void shake_hands(const base::PublicKey& key, const char* from) {
    EnginePeerStatus& seen = gateway.engines.seen_peers[key];
    seen.last_handshake = gateway.clock.time;
    seen.endpoint = base::Endpoint::parse(from);
  }
  void pass(std::int64_t seconds) {
    gateway.clock.time.ns += seconds * 1'000'000'000;
    gateway.control->retry_pending();
  }

  Gateway gateway;
};

TEST_F(Presence, AMemberComesOnceAndGoesWhenItIsSilent) {
  const auto [key] = members("laptop");
  EXPECT_TRUE(comings().empty());
  shake_hands(key, "192.0.2.7:4711");
  pass(2);
  pass(120);
  shake_hands(key, "192.0.2.8:4711");
  pass(2);
  ASSERT_EQ(comings().size(), 1U);
  EXPECT_EQ(comings()[0].actor, "peer lab/laptop from 192.0.2.7:4711");
  EXPECT_EQ(comings()[0].action, "peer.connect");
  EXPECT_EQ(comings()[0].target, "lab/laptop");
  EXPECT_EQ(comings()[0].result, "ok");
  pass(177);
  EXPECT_EQ(comings().size(), 1U);
  pass(2);
  ASSERT_EQ(comings().size(), 2U);
  EXPECT_EQ(comings()[1].actor, "peer lab/laptop from 192.0.2.8:4711");
  EXPECT_EQ(comings()[1].action, "peer.disconnect");
  EXPECT_EQ(comings()[1].result, "ok, silent for 180 s");
  shake_hands(key, "192.0.2.8:4711");
  pass(2);
  EXPECT_EQ(comings().size(), 3U) << "back again";
}

TEST_F(Presence, WhoeverMayNotBeHereAnyMoreIsToldAsGone) {
  const auto [revoked, stopped] = members("revoked", "stopped");
  shake_hands(revoked, "192.0.2.7:1");
  shake_hands(stopped, "192.0.2.7:2");
  pass(2);
  ASSERT_TRUE(gateway.control->revoke("uid 0", "lab", "revoked"));
  pass(2);
  ASSERT_EQ(comings().size(), 3U);
  EXPECT_EQ(comings()[2].target, "lab/revoked");
  EXPECT_EQ(comings()[2].result, "ok, revoked");
  ASSERT_TRUE(gateway.control->stop_network("uid 0", "lab"));
  pass(2);
  ASSERT_EQ(comings().size(), 4U);
  EXPECT_EQ(comings()[3].target, "lab/stopped");
  EXPECT_EQ(comings()[3].result, "ok, its network was stopped");
  ASSERT_TRUE(gateway.control->delete_network("uid 0", "lab"));
  pass(200);
  EXPECT_EQ(comings().size(), 4U);
}

TEST_F(Presence, ARestartedDaemonFindsThemHere) {
  const auto [here, later] = members("here", "later");
  shake_hands(here, "192.0.2.7:1");
  pass(2);
  ASSERT_EQ(comings().size(), 1U);
  gateway.restart();
  pass(2);
  EXPECT_EQ(comings().size(), 1U);
  shake_hands(later, "192.0.2.7:2");
  pass(2);
  ASSERT_EQ(comings().size(), 2U);
  EXPECT_EQ(comings()[1].target, "lab/later");
  pass(200);
  EXPECT_EQ(comings().size(), 4U) << "both are silent, and both are told";
}

TEST_F(Presence, AnEngineThatWasStartedAgainIsNoDisconnection) {
  const auto [key] = members("laptop");
  shake_hands(key, "192.0.2.7:1");
  pass(2);
  gateway.engines.seen_peers.clear();  // it has seen nobody yet
  pass(2);
  shake_hands(key, "192.0.2.7:1");
  pass(2);
  EXPECT_EQ(comings().size(), 1U);
}

TEST_F(Presence, WhatCannotBeRecordedIsRecordedLater) {
  const auto [key] = members("laptop");
  shake_hands(key, "192.0.2.7:1");
  gateway.memory.fail_with(base::make_error(base::ErrorKind::Failed, "disk full"));
  pass(2);
  gateway.memory.fail_with(std::nullopt);
  EXPECT_TRUE(comings().empty());
  pass(2);
  EXPECT_EQ(comings().size(), 1U);
}

TEST_F(Presence, EveryNetworkHasItsTurn) {
  std::vector<base::PublicKey> keys;
  for (int i = 0; i < 20; ++i) {
    const std::string name = "n" + std::to_string(i);
    ASSERT_TRUE(gateway.create(name, "10." + std::to_string(20 + i) + ".0.0/24"));
    keys.push_back(gateway.add_member(name, "m"));
  }
  pass(2);
  for (const base::PublicKey& key : keys) shake_hands(key, "192.0.2.7:1");
  pass(2);
  EXPECT_EQ(comings().size(), keys.size());
}

}  // namespace
}  // namespace warren::control
