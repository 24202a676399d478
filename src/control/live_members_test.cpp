// Members that ask for themselves: proof, revision, lease, leaving; one key in two places.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/control_fakes.hpp"
#include "control/limits.hpp"
#include "pki/member_proof.hpp"

namespace warren::control {
namespace {

using base::ErrorKind;
using testing::Gateway;
using ::testing::HasSubstr;

struct World : Gateway {
  World() { made = create("lab"); }

  struct Key {
    pki::WgKeys keys;
    api::EnrolAnswer answer;
  };
  Key join(const std::string& token, bool ephemeral) {
    Key key{.keys = pki::create_wg_keys(random), .answer = {}};
    api::EnrolRequest request = enrol_request(token, key.keys.public_key);
    if (ephemeral) request.ephemeral = true;
    const auto answer = control->enrol(request);
    EXPECT_TRUE(answer) << answer.error().message;
    if (answer) key.answer = *answer;
    return key;
  }
  std::string token(const std::string& name, std::uint32_t uses = 1,
                    std::optional<std::uint32_t> lease_s = std::nullopt) {
    return control->invite("uid 0", "lab", {.name = name, .uses = uses, .lease_s = lease_s})->token;
  }
  api::MemberRequest request(const Key& key) const {
    const auto gateway_key = base::PublicKey::parse_base64(key.answer.gateway_key);
    const auto proof =
        pki::member_proof(key.keys.private_key, key.keys.public_key, *gateway_key, binding);
    return {.network = "lab",
            .public_key = key.keys.public_key.base64(),
            .proof = base::to_base64url(*proof),
            .revision = {},
            .wait_s = 0};
  }
  base::Result<api::MemberState> ask(const Key& key) {
    WARREN_TRY_ASSIGN(const Member member, control->find_member(request(key), binding));
    return control->member_state(member);
  }
  base::Result<api::MemberLeft> leave(const Key& key) {
    WARREN_TRY_ASSIGN(const Member member, control->find_member(request(key), binding));
    return control->leave(member);
  }
  /// The clock that leases are counted on; each look at it moves it by a millisecond.
  void pass(std::chrono::seconds time) {
    for (auto left = std::chrono::duration_cast<std::chrono::milliseconds>(time); left.count() > 0;
         left -= std::chrono::milliseconds(1)) {
      (void)clock.now();
    }
  }

  base::Result<api::NetworkView> made = base::make_error(ErrorKind::Internal, "");
  pki::Binding binding{1, 2, 3};
};

TEST(LiveMembers, AProofOfAnotherConnectionOrKeyIsNotKnown) {
  World world;
  const auto ann = world.join(world.token("ann"), false);
  ASSERT_TRUE(world.ask(ann));
  const api::MemberRequest right = world.request(ann);
  const pki::Binding other{9};
  EXPECT_EQ(world.control->find_member(right, other).error().kind, ErrorKind::NotFound);
  for (const auto change : std::initializer_list<void (*)(api::MemberRequest&)>{
           [](auto& r) { r.network = "elsewhere"; }, [](auto& r) { r.public_key = "short"; },
           [](auto& r) { r.public_key = base::PublicKey{}.base64(); },
           [](auto& r) { r.proof = ""; }, [](auto& r) { r.proof = "AAAA"; },
           [](auto& r) { r.proof[0] = r.proof[0] == 'A' ? 'B' : 'A'; }}) {
    api::MemberRequest wrong = right;
    change(wrong);
    const auto refused = world.control->find_member(wrong, world.binding);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::NotFound);
  }
}

TEST(LiveMembers, TheRevisionChangesWithWhatTheMemberNeedsAndWithNothingElse) {
  World world;
  const auto ann = world.join(world.token("ann"), false);
  const std::string first = world.ask(ann)->revision;
  EXPECT_FALSE(first.empty());
  world.join(world.token("bob"), false);
  EXPECT_EQ(world.ask(ann)->revision, first);
  world.restart();
  EXPECT_EQ(world.ask(ann)->revision, first);
  std::vector<std::optional<model::PeerId>> told;
  world.control->on_change(
      [&](model::NetworkId, std::optional<model::PeerId> peer) { told.push_back(peer); });
  ASSERT_TRUE(world.control->set_network("uid 0", "lab", {.endpoint = "new.example.org"}));
  EXPECT_THAT(told, ::testing::ElementsAre(std::nullopt));
  const auto changed = world.ask(ann);
  EXPECT_NE(changed->revision, first);
  EXPECT_THAT(changed->profile.endpoint, HasSubstr("new.example.org:"));
}

TEST(LiveMembers, ARevokedOneIsToldAndAStrangerIsNot) {
  World world;
  const auto ann = world.join(world.token("ann"), false);
  std::size_t told = 0;
  world.control->on_change([&](auto, auto) { ++told; });
  ASSERT_TRUE(world.control->revoke("uid 0", "lab", "ann"));
  EXPECT_GT(told, 0U);
  const auto answer = world.ask(ann);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::NotPermitted);
  EXPECT_THAT(answer.error().message, HasSubstr("ann was revoked in network lab"));
  EXPECT_EQ(world.leave(ann).error().kind, ErrorKind::NotFound);
}

TEST(LiveMembers, WhoLeavesIsGoneAndMayComeBackWithItsKey) {
  World world;
  const auto ann = world.join(world.token("ann"), false);
  const auto left = world.leave(ann);
  ASSERT_TRUE(left) << left.error().message;
  EXPECT_EQ(left->name, "ann");
  EXPECT_TRUE(world.state().peers.empty());
  EXPECT_TRUE(world.state().refused.empty());
  EXPECT_TRUE(world.engines.running.begin()->second.empty());
  EXPECT_EQ(world.ask(ann).error().kind, ErrorKind::NotFound);
  EXPECT_EQ(world.leave(ann).error().kind, ErrorKind::NotFound);
  EXPECT_TRUE(world.enrol(world.token("ann"), ann.keys.public_key));
  EXPECT_EQ(world.control->audit(10)->records[3].action, "peer.leave");
}

TEST(LiveMembers, LeavingIsRetriedUntilEveryWayInIsClosed) {
  World world;
  const auto ann = world.join(world.token("ann"), false);
  world.faults.failing = {world.faults.calls + 1};  // after the commit: the engine
  ASSERT_TRUE(world.leave(ann));
  EXPECT_EQ(world.state().peers.size(), 1U);
  EXPECT_TRUE(world.control->retry_pending());
  EXPECT_TRUE(world.state().peers.empty());
}

TEST(Leases, EndWhenNothingIsHeardAndTheAddressIsFree) {
  World world;
  const std::string token = world.token("job", 2, 30);
  const auto one = world.join(token, true);
  const auto two = world.join(token, true);
  EXPECT_EQ(one.answer.lease_s, 30U);
  EXPECT_NE(one.answer.address, two.answer.address);
  const auto shown = world.control->show_peer("lab", one.answer.name);
  EXPECT_EQ(shown->lease_s, 30U);
  EXPECT_GE(*shown->lease_left_s, 28U);
  world.pass(std::chrono::seconds(20));
  ASSERT_TRUE(world.ask(two));  // renews
  world.pass(std::chrono::seconds(15));
  world.control->retry_pending();
  ASSERT_EQ(world.state().peers.size(), 1U);
  EXPECT_EQ(world.state().peers.begin()->second.name, two.answer.name);
  EXPECT_TRUE(world.state().refused.empty());
  EXPECT_EQ(world.ask(one).error().kind, ErrorKind::NotFound);
  EXPECT_EQ(world.join(world.token("next"), false).answer.address, one.answer.address);
}

TEST(Leases, AreWholeAgainAfterARestartAndEndAllTheSame) {
  World world;
  world.join(world.token("job", 1, 30), true);
  world.pass(std::chrono::seconds(25));
  world.restart();
  world.pass(std::chrono::seconds(20));
  world.control->retry_pending();
  EXPECT_EQ(world.state().peers.size(), 1U);
  world.pass(std::chrono::seconds(15));
  world.control->retry_pending();
  EXPECT_TRUE(world.state().peers.empty());
  EXPECT_TRUE(world.engines.running.begin()->second.empty());
}

TEST(Leases, AreOfThoseAloneWhoJoinForARun) {
  World world;
  const auto ann = world.join(world.token("ann", 1, 30), false);
  EXPECT_FALSE(ann.answer.lease_s);
  const auto job = world.join(world.token("job"), true);
  EXPECT_EQ(job.answer.lease_s, kLease_s);
  world.pass(std::chrono::seconds(kLease_s + 1));
  world.control->retry_pending();
  ASSERT_EQ(world.state().peers.size(), 1U);
  EXPECT_EQ(world.state().peers.begin()->second.name, "ann");
}

TEST(Leases, ARevokedEphemeralMemberIsRemembered) {
  World world;
  const auto job = world.join(world.token("job"), true);
  ASSERT_TRUE(world.control->revoke("uid 0", "lab", "job"));
  EXPECT_EQ(world.state().refused.size(), 1U);
  EXPECT_EQ(world.ask(job).error().kind, ErrorKind::NotPermitted);
}

TEST(Leases, HaveLimits) {
  World world;
  for (const std::uint32_t lease : {0U, kMinLease_s - 1, kMaxLease_s + 1}) {
    const auto refused = world.control->invite("uid 0", "lab", {.name = "job", .lease_s = lease});
    ASSERT_FALSE(refused) << lease;
    EXPECT_EQ(refused.error().kind, ErrorKind::Invalid);
  }
}

TEST(Alternation, IsToldOfAPeerThatGoesBackAndForthAndOfNoOther) {
  World world;
  const auto ann = world.join(world.token("ann"), false);
  const auto seen = [&](const char* at) {
    world.engines.seen_peers[ann.keys.public_key].endpoint = base::Endpoint::parse(at);
    world.control->retry_pending();
    return world.control->show_peer("lab", "ann")->alternates;
  };
  EXPECT_THAT(seen("192.0.2.1:5000"), ::testing::IsEmpty());
  EXPECT_THAT(seen("192.0.2.2:6000"), ::testing::IsEmpty());
  EXPECT_THAT(seen("192.0.2.3:6000"), ::testing::IsEmpty());  // it roams
  EXPECT_THAT(seen("192.0.2.1:5000"), ::testing::IsEmpty());
  EXPECT_THAT(seen("192.0.2.3:6000"), ::testing::IsEmpty());
  EXPECT_THAT(seen("192.0.2.1:5000"), ::testing::ElementsAre("192.0.2.1:5000", "192.0.2.3:6000"));
  EXPECT_THAT(world.control->status().problems,
              ::testing::Contains(HasSubstr("ann alternates between 192.0.2.1:5000 and")));
  EXPECT_TRUE(world.control->status().ready);
  EXPECT_THAT(seen("192.0.2.9:6000"), ::testing::IsEmpty());
}

}  // namespace
}  // namespace warren::control
