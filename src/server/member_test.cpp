// The routes of members on the enrolment listener, over real TLS.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/member.hpp"
#include "pki/wg_keys.hpp"
#include "server/server_fixture.hpp"

namespace warren::server {
namespace {

using base::ErrorKind;
using ::testing::HasSubstr;

struct MemberServer : testing::TestServer {
  explicit MemberServer(Limits limits = {}) : TestServer(limits) { create_network("lab"); }

  client::Membership join(const std::string& name) {
    os::SystemRandom random;
    const pki::WgKeys keys = pki::create_wg_keys(random);
    const model::TokenText text = token("lab", name);
    base::Result<api::EnrolAnswer> answer = base::make_error(ErrorKind::Internal, "");
    on_io([&] { answer = gateway.enrol(text.write(), keys.public_key); });
    testing::require(answer);
    return {
        .network = "lab",
        .gateway = {.at = {.host = "127.0.0.1", .port = server->enrol_port()}, .pin = identity.pin},
        .key = crypto::PrivateKey(keys.private_key),
        .gateway_key = *base::PublicKey::parse_base64(answer->gateway_key)};
  }
  /// `sync` in a thread of its own, once it waits at the server.
  std::future<std::expected<api::MemberState, client::MemberError>> begin_sync(
      const client::Membership& member, const std::string& revision, base::Duration wait) {
    return std::async(std::launch::async,
                      [&member, revision, wait] { return client::sync(member, revision, wait); });
  }
};

constexpr auto kLong = std::chrono::seconds(20);
constexpr auto kSoon = std::chrono::seconds(5);

TEST(Member, IsToldWhatChangesAtOnce) {
  MemberServer server;
  const auto ann = server.join("ann");
  const auto first = client::sync(ann, "", kLong);
  ASSERT_TRUE(first) << first.error().error.message;
  EXPECT_EQ(first->profile.name, "ann");
  auto waiting = server.begin_sync(ann, first->revision, kLong);
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(300)), std::future_status::timeout);
  server.on_io([&] {
    testing::require(server.gateway.control->set_network("uid 0", "lab", {.endpoint = "b.test"}));
  });
  ASSERT_EQ(waiting.wait_for(kSoon), std::future_status::ready);
  const auto second = waiting.get();
  ASSERT_TRUE(second) << second.error().error.message;
  EXPECT_NE(second->revision, first->revision);
  EXPECT_THAT(second->profile.endpoint, HasSubstr("b.test:"));
}

TEST(Member, HearsNothingOfOthersAndAnswersWhenItsTimeIsOver) {
  MemberServer server;
  const auto ann = server.join("ann");
  const std::string revision = client::sync(ann, "", kLong)->revision;
  auto waiting = server.begin_sync(ann, revision, std::chrono::seconds(1));
  server.join("bob");
  const auto answer = waiting.get();
  ASSERT_TRUE(answer) << answer.error().error.message;
  EXPECT_EQ(answer->revision, revision);
}

TEST(Member, IsToldThatItIsRevokedWhileItWaits) {
  MemberServer server;
  const auto ann = server.join("ann");
  auto waiting = server.begin_sync(ann, client::sync(ann, "", kLong)->revision, kLong);
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(300)), std::future_status::timeout);
  server.on_io([&] { testing::require(server.gateway.control->revoke("uid 0", "lab", "ann")); });
  ASSERT_EQ(waiting.wait_for(kSoon), std::future_status::ready);
  const auto answer = waiting.get();
  ASSERT_FALSE(answer);
  EXPECT_TRUE(answer.error().final);
  EXPECT_EQ(answer.error().error.kind, ErrorKind::NotPermitted);
  EXPECT_THAT(answer.error().error.message, HasSubstr("revoked"));
}

TEST(Member, OnlyItsLastRequestWaits) {
  MemberServer server;
  const auto ann = server.join("ann");
  const std::string revision = client::sync(ann, "", kLong)->revision;
  auto first = server.begin_sync(ann, revision, kLong);
  EXPECT_EQ(first.wait_for(std::chrono::milliseconds(300)), std::future_status::timeout);
  auto second = server.begin_sync(ann, revision, std::chrono::seconds(2));
  ASSERT_EQ(first.wait_for(std::chrono::milliseconds(1500)), std::future_status::ready);
  EXPECT_EQ(first.get()->revision, revision);
  EXPECT_EQ(second.get()->revision, revision);
}

TEST(Member, MoreThanMayWaitAreToldToComeBack) {
  Limits limits;
  limits.waiting_members = 1;
  MemberServer server(limits);
  const auto ann = server.join("ann");
  const auto bob = server.join("bob");
  auto waiting =
      server.begin_sync(ann, client::sync(ann, "", kLong)->revision, std::chrono::seconds(2));
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(300)), std::future_status::timeout);
  const auto answer = client::sync(bob, client::sync(bob, "", kLong)->revision, kLong);
  ASSERT_TRUE(answer) << answer.error().error.message;
  EXPECT_TRUE(answer->come_back);
  EXPECT_FALSE(waiting.get()->come_back);
}

TEST(Member, ThoseThatWaitTakeNoPlaceOfStrangers) {
  Limits limits;
  limits.enrol_connections = 2;
  limits.enrol_connections_per_source = 2;
  MemberServer server(limits);
  std::vector<client::Membership> members;
  std::vector<std::future<std::expected<api::MemberState, client::MemberError>>> waiting;
  for (const char* name : {"a1", "a2", "a3", "a4"}) members.push_back(server.join(name));
  for (const auto& member : members) {
    waiting.push_back(server.begin_sync(member, client::sync(member, "", kLong)->revision, kLong));
    EXPECT_EQ(waiting.back().wait_for(std::chrono::milliseconds(200)), std::future_status::timeout);
  }
  EXPECT_TRUE(client::sync(members[0], "", kLong));
  server.on_io([&] { server.server->stop(); });
  for (auto& one : waiting) {
    ASSERT_EQ(one.wait_for(kSoon), std::future_status::ready);
    EXPECT_FALSE(one.get());
  }
}

TEST(Member, LeavesWithItsKeyAndNobodyElseMakesItLeave) {
  MemberServer server;
  const auto ann = server.join("ann");
  client::Membership thief = server.join("thief");
  thief.key = crypto::PrivateKey(std::array<std::uint8_t, 32>{8});
  const auto refused = client::leave(thief);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().final);
  const auto left = client::leave(ann);
  ASSERT_TRUE(left) << left.error().error.message;
  EXPECT_EQ(left->name, "ann");
  EXPECT_EQ(client::sync(ann, "", kLong).error().error.kind, ErrorKind::NotFound);
  EXPECT_EQ(server.gateway.state().peers.size(), 1U);
}

}  // namespace
}  // namespace warren::server
