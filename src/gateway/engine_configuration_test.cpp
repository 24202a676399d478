#include "gateway/engine_configuration.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace warren::gateway {
namespace {

base::PublicKey key(std::uint8_t fill) {
  base::PublicKey out;
  out.bytes.fill(fill);
  return out;
}
base::Prefix prefix(const char* text) { return *base::Prefix::parse(text); }

EngineConfiguration wanted() {
  EngineConfiguration out;
  out.private_key.fill()[0] = 8;
  out.port = 51820;
  out.peers[key(1)] = {prefix("10.0.0.2/32"), prefix("fd00::2/128")};
  out.peers[key(2)] = {prefix("10.0.0.3/32")};
  return out;
}

ipc::UapiStatus running_as(const EngineConfiguration& configuration) {
  ipc::UapiStatus out;
  out.private_key = configuration.private_key.clone();
  out.listen_port = configuration.port;
  for (const auto& [peer, prefixes] : configuration.peers) {
    ipc::UapiPeerStatus status;
    status.public_key = peer;
    status.allowed_ips = prefixes;
    out.peers.push_back(std::move(status));
  }
  return out;
}

TEST(EngineConfiguration, WholeReplacesWhatIsThere) {
  const ipc::UapiSet set = wanted().whole(0);
  EXPECT_TRUE(set.replace_peers);
  EXPECT_TRUE(set.private_key.has_value());
  EXPECT_EQ(set.listen_port, 51820);
  EXPECT_FALSE(set.fwmark.has_value());
  ASSERT_EQ(set.peers.size(), 2U);
  EXPECT_EQ(set.peers[0].allowed_ips.size(), 2U);
  EXPECT_EQ(wanted().whole(7).fwmark, 7U);
}

TEST(EngineConfiguration, NothingToDoForTheRightEngine) {
  const EngineConfiguration configuration = wanted();
  ipc::UapiStatus running = running_as(configuration);
  std::swap(running.peers[0].allowed_ips[0], running.peers[0].allowed_ips[1]);  // order is free
  const auto difference = configuration.difference_to(running);
  EXPECT_FALSE(difference.denials.has_value());
  EXPECT_FALSE(difference.grants.has_value());
}

TEST(EngineConfiguration, StrangersAreDeniedApartFromGrants) {
  const EngineConfiguration configuration = wanted();
  ipc::UapiStatus running = running_as(configuration);
  running.peers.erase(running.peers.begin());
  ipc::UapiPeerStatus stranger;
  stranger.public_key = key(9);
  running.peers.push_back(std::move(stranger));
  const auto difference = configuration.difference_to(running);
  ASSERT_TRUE(difference.denials.has_value());
  ASSERT_EQ(difference.denials->peers.size(), 1U);
  EXPECT_EQ(difference.denials->peers[0].public_key, key(9));
  EXPECT_TRUE(difference.denials->peers[0].remove);
  EXPECT_FALSE(difference.denials->private_key.has_value());
  ASSERT_TRUE(difference.grants.has_value());
  ASSERT_EQ(difference.grants->peers.size(), 1U);
  EXPECT_EQ(difference.grants->peers[0].public_key, key(1));
  EXPECT_FALSE(difference.grants->listen_port.has_value());
}

TEST(EngineConfiguration, ChangedAllowedIpsTouchOnlyThatPeer) {
  const EngineConfiguration configuration = wanted();
  ipc::UapiStatus running = running_as(configuration);
  running.peers[1].allowed_ips.push_back(prefix("10.9.0.0/16"));
  const auto difference = configuration.difference_to(running);
  EXPECT_FALSE(difference.denials.has_value());
  ASSERT_TRUE(difference.grants.has_value());
  ASSERT_EQ(difference.grants->peers.size(), 1U);
  EXPECT_EQ(difference.grants->peers[0].public_key, key(2));
  EXPECT_TRUE(difference.grants->peers[0].replace_allowed_ips);
}

TEST(EngineConfiguration, ForeignKeyAndPortAreCorrected) {
  const EngineConfiguration configuration = wanted();
  ipc::UapiStatus running = running_as(configuration);
  running.private_key.fill()[1] = 1;
  running.listen_port = 1;
  const auto difference = configuration.difference_to(running);
  ASSERT_TRUE(difference.grants.has_value());
  EXPECT_TRUE(difference.grants->private_key.has_value());
  EXPECT_EQ(difference.grants->listen_port, 51820);
  EXPECT_TRUE(difference.grants->peers.empty());
}

}  // namespace
}  // namespace warren::gateway
