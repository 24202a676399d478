#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/control_fakes.hpp"

namespace warren::control::testing {
namespace {

using base::ErrorKind;
using ::testing::HasSubstr;

struct Lab : Gateway {
  explicit Lab(const std::string& subnet = "10.20.0.0/24") { made = create("lab", subnet); }
  [[nodiscard]] const FakeEngines::Peers& engine() { return engines.running.begin()->second; }
  base::Result<api::Revocation> revoke(const std::string& name) {
    return control->revoke("uid 0", "lab", name);
  }
  base::Result<api::NetworkView> made;
};

TEST(Invite, GivesATokenAndKeepsOnlyItsHash) {
  Lab lab;
  const auto invitation = lab.invite("lab", "ann");
  ASSERT_TRUE(invitation) << invitation.error().message;
  EXPECT_EQ(invitation->expires, lab.clock.time.seconds() + 86'400);
  const auto text = model::TokenText::parse(invitation->token);
  ASSERT_TRUE(text);
  EXPECT_EQ(text->enrol_at, "gw.example.org:51800");
  EXPECT_EQ(text->pin, settings().identity_pin);
  const store::State state = lab.state();
  ASSERT_EQ(state.tokens.size(), 1U);
  EXPECT_EQ(state.tokens[0].secret_hash, pki::secret_hash(text->secret));
  EXPECT_EQ(lab.control->show_peer("lab", "ann")->state, "invited");
  EXPECT_EQ(lab.control->show_peer("lab", "ann")->address, "10.20.0.2");
  EXPECT_TRUE(lab.engine().empty());
  const auto audit = lab.control->audit(100);
  ASSERT_TRUE(audit);
  for (const auto& record : audit->records) {
    EXPECT_THAT(record.target + record.result, ::testing::Not(HasSubstr(invitation->token)));
  }
}

TEST(Invite, RefusalsNameTheReasonAndChangeNothing) {
  Lab lab;
  ASSERT_TRUE(lab.invite("lab", "ann"));
  lab.add_member("lab", "bob");
  const auto before = lab.snapshot();
  const auto refused = [&](const std::string& network, const api::InviteRequest& request) {
    const auto result = lab.control->invite("uid 0", network, request);
    EXPECT_TRUE(lab.snapshot() == before);
    return result ? base::make_error(ErrorKind::Internal, "not refused") : result.error();
  };
  EXPECT_THAT(refused("lab", {.name = "ann"}).message, HasSubstr("ann is invited in network lab"));
  EXPECT_THAT(refused("lab", {.name = "bob"}).message, HasSubstr("bob is enrolled in network lab"));
  EXPECT_EQ(refused("lab", {.name = "bob"}).kind, ErrorKind::Conflict);
  EXPECT_EQ(refused("lab", {.name = "No"}).kind, ErrorKind::Invalid);
  EXPECT_EQ(refused("lab", {.name = "x", .role = "No"}).kind, ErrorKind::Invalid);
  EXPECT_EQ(refused("lba", {.name = "x"}).hint, "did you mean lab?");
  EXPECT_EQ(refused("lab", {.name = "x", .expires_s = 0}).kind, ErrorKind::Invalid);
  EXPECT_EQ(refused("lab", {.name = "x", .expires_s = 0xffffffff}).kind, ErrorKind::Invalid);
  Settings without = settings();
  without.enrol_at = "";
  lab.control->set_settings(without);
  EXPECT_THAT(refused("lab", {.name = "x"}).message, HasSubstr("where members shall enrol"));
}

TEST(Invite, AFullSubnetIsNamed) {
  Lab lab("10.20.0.0/30");
  ASSERT_TRUE(lab.invite("lab", "ann"));
  const auto full = lab.invite("lab", "bob");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().kind, ErrorKind::Conflict);
  EXPECT_THAT(full.error().message, HasSubstr("subnet 10.20.0.0/30 is full: 1 addresses"));
  ASSERT_TRUE(lab.revoke("ann"));
  EXPECT_TRUE(lab.invite("lab", "bob"));
}

TEST(Invite, AnInvitationThatLapsedIsReplaced) {
  Lab lab;
  const auto first = lab.invite("lab", "ann");
  lab.clock.time = lab.clock.time + std::chrono::hours(25);
  const auto second = lab.invite("lab", "ann");
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(lab.state().tokens.size(), 1U);
  EXPECT_EQ(lab.state().peers.size(), 1U);
  EXPECT_EQ(lab.enrol(first->token, lab.new_key()).error().kind, ErrorKind::NotPermitted);
  EXPECT_EQ(lab.enrol(second->token, lab.new_key())->address, "10.20.0.2/24");
}

TEST(Enrol, TellsTheMemberEverythingAndConfiguresTheEngine) {
  Lab lab;
  const auto invitation = lab.invite("lab", "ann");
  const base::PublicKey key = lab.new_key();
  const auto answer = lab.enrol(invitation->token, key);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->network, "lab");
  EXPECT_EQ(answer->name, "ann");
  EXPECT_EQ(answer->address, "10.20.0.2/24");
  EXPECT_THAT(answer->address6, ::testing::MatchesRegex("fd.*::2/64"));
  EXPECT_EQ(answer->gateway, "10.20.0.1");
  EXPECT_EQ(answer->endpoint, "gw.example.org:51820");
  EXPECT_EQ(answer->gateway_key, lab.made->public_key);
  EXPECT_THAT(answer->routes,
              ::testing::ElementsAre("10.20.0.0/24", lab.made->subnet6, "0.0.0.0/0", "::/0"));
  ASSERT_EQ(lab.engine().size(), 1U);
  EXPECT_EQ(lab.engine().begin()->first, key);
  ASSERT_EQ(lab.engine().begin()->second.size(), 2U);
  EXPECT_EQ(lab.engine().begin()->second[0].to_string(), "10.20.0.2/32");
  EXPECT_EQ(lab.control->show_peer("lab", "ann")->state, "enrolled");
  EXPECT_EQ(lab.control->audit(1)->records[0].actor, "token of lab/ann");
}

TEST(Enrol, TheSameKeyMayComeAgainAndAnotherMayNot) {
  Lab lab;
  const auto invitation = lab.invite("lab", "ann");
  const base::PublicKey key = lab.new_key();
  const auto first = lab.enrol(invitation->token, key);
  const auto before = lab.snapshot();
  const auto again = lab.enrol(invitation->token, key);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->address, first->address);
  EXPECT_TRUE(lab.snapshot() == before);
  const auto other = lab.enrol(invitation->token, lab.new_key());
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind, ErrorKind::Expired);
  EXPECT_THAT(other.error().message, HasSubstr("used already"));
  EXPECT_TRUE(lab.snapshot() == before);
}

TEST(Enrol, StrangersLearnNothingAndLeaveNoTrace) {
  Lab lab;
  ASSERT_TRUE(lab.invite("lab", "ann"));
  const std::size_t records = lab.control->audit(1000)->records.size();
  std::set<std::string> answers;
  for (const char* secret : {"", "x", "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAA", "%%"}) {
    const auto refused = lab.control->enrol({.secret = secret, .public_key = "?", .time = 0});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::NotPermitted);
    answers.insert(refused.error().message + refused.error().hint);
  }
  EXPECT_EQ(answers.size(), 1U);
  EXPECT_EQ(lab.control->audit(1000)->records.size(), records);
}

TEST(Enrol, RefusalsNameTheReasonAndChangeNothing) {
  Lab lab;
  const base::PublicKey ann = lab.add_member("lab", "ann");
  const base::PublicKey gone = lab.add_member("lab", "gone");
  ASSERT_TRUE(lab.revoke("gone"));
  const auto invitation = lab.invite("lab", "bob");
  const auto before = lab.snapshot();
  const auto refused = [&](auto change) {
    api::EnrolRequest request = lab.enrol_request(invitation->token, lab.new_key());
    change(request);
    const auto result = lab.control->enrol(request);
    EXPECT_TRUE(lab.snapshot() == before);
    return result ? base::make_error(ErrorKind::Internal, "not refused") : result.error();
  };
  using Request = api::EnrolRequest;
  const auto duplicate = refused([&](Request& r) { r.public_key = ann.base64(); });
  EXPECT_EQ(duplicate.kind, ErrorKind::Conflict);
  EXPECT_THAT(duplicate.message, HasSubstr("belongs to ann already"));
  const auto revoked = refused([&](Request& r) { r.public_key = gone.base64(); });
  EXPECT_EQ(revoked.kind, ErrorKind::NotPermitted);
  EXPECT_THAT(revoked.message, HasSubstr("revoked"));
  EXPECT_EQ(refused([&](Request& r) { r.public_key = lab.made->public_key; }).kind,
            ErrorKind::Conflict);
  EXPECT_EQ(refused([](Request& r) { r.public_key = base::PublicKey{}.base64(); }).kind,
            ErrorKind::Invalid);
  EXPECT_EQ(refused([](Request& r) { r.public_key = "short"; }).kind, ErrorKind::Invalid);
  const auto slow = refused([](Request& r) { r.time -= 10'800; });
  EXPECT_EQ(slow.kind, ErrorKind::Invalid);
  EXPECT_EQ(slow.message,
            "enrol bob: the member's clock is 3 h behind the gateway's (2025-06-15 12:06:40 UTC "
            "there, 2025-06-15 15:06:40 UTC here)");
  EXPECT_THAT(slow.hint, HasSubstr("timedatectl"));
  EXPECT_THAT(refused([](Request& r) { r.time += 601; }).message, HasSubstr("10 min ahead of"));
  for (const std::int64_t odd : {INT64_MIN, INT64_MAX, std::int64_t{0}}) {
    EXPECT_EQ(refused([&](Request& r) { r.time = odd; }).kind, ErrorKind::Invalid);
  }
  EXPECT_EQ(lab.control->audit(1)->records[0].actor, "token of lab/bob");
  lab.clock.time = lab.clock.time + std::chrono::hours(24);
  const auto late = refused([](Request&) {});
  EXPECT_EQ(late.kind, ErrorKind::Expired);
  EXPECT_THAT(late.message, HasSubstr("expired 0 s ago"));
}

TEST(Enrol, ClocksMayDifferWithinTheTolerance) {
  for (const std::int64_t off : {-600, 600}) {
    Lab lab;
    const auto invitation = lab.invite("lab", "ann");
    api::EnrolRequest request = lab.enrol_request(invitation->token, lab.new_key());
    request.time += off;
    EXPECT_TRUE(lab.control->enrol(request)) << off;
  }
}

TEST(Enrol, AFailureAtAnyStepLeavesEverythingAsItWas) {
  std::size_t failures = 0;
  for (std::size_t call = 0;; ++call) {
    Lab lab;
    const auto invitation = lab.invite("lab", "ann");
    const auto before = lab.snapshot();
    lab.faults.failing = {lab.faults.calls + call};
    const base::PublicKey key = lab.new_key();
    if (lab.enrol(invitation->token, key)) break;
    ++failures;
    EXPECT_TRUE(lab.snapshot() == before) << call;
    // The member tries again, with the same key or another.
    const auto again = lab.enrol(invitation->token, call % 2 == 0 ? key : lab.new_key());
    EXPECT_TRUE(again) << again.error().message;
  }
  EXPECT_EQ(failures, 2U);
}

TEST(Enrol, AStrayKeyIsRemovedUnlessItWasAdmittedSince) {
  Lab lab;
  const auto invitation = lab.invite("lab", "ann");
  const auto before = lab.snapshot();
  const base::PublicKey key = lab.new_key();
  // Commit; add fails; the undo is committed; remove fails.
  lab.faults.failing = {lab.faults.calls + 1, lab.faults.calls + 3};
  ASSERT_FALSE(lab.enrol(invitation->token, key));
  EXPECT_TRUE(lab.engine().contains(key));
  EXPECT_EQ(lab.control->status().problems.size(), 1U);
  EXPECT_TRUE(lab.control->retry_pending());
  EXPECT_TRUE(lab.snapshot() == before);
  lab.faults.failing = {lab.faults.calls + 1, lab.faults.calls + 3};
  ASSERT_FALSE(lab.enrol(invitation->token, key));
  ASSERT_TRUE(lab.enrol(invitation->token, key));
  EXPECT_TRUE(lab.control->retry_pending());
  EXPECT_TRUE(lab.engine().contains(key));
  EXPECT_TRUE(lab.control->status().ready);
}

TEST(Revoke, ClosesEveryWayInAndTimesIt) {
  Lab lab;
  const base::PublicKey ann = lab.add_member("lab", "ann");
  const base::PublicKey bob = lab.add_member("lab", "bob");
  const auto report = lab.revoke("ann");
  ASSERT_TRUE(report) << report.error().message;
  std::vector<std::string> steps;
  double sum = 0;
  for (const auto& step : report->steps) {
    steps.push_back(step.step);
    sum += step.ms;
    EXPECT_GT(step.ms, 0);
  }
  EXPECT_THAT(steps, ::testing::ElementsAre("committed", "engine", "connections", "address"));
  EXPECT_NEAR(report->total_ms, sum, 1e-9);
  EXPECT_TRUE(report->pending.empty());
  EXPECT_FALSE(lab.engine().contains(ann));
  EXPECT_TRUE(lab.engine().contains(bob));
  EXPECT_EQ(lab.host.flushed.size(), 2U);
  EXPECT_EQ(lab.control->show_peer("lab", "ann")->state, "revoked");
  EXPECT_EQ(lab.control->show_peer("lab", "ann")->address, "");
  // The name and the address are free again; the key is refused for ever.
  const auto invitation = lab.invite("lab", "ann");
  ASSERT_TRUE(invitation);
  EXPECT_FALSE(lab.enrol(invitation->token, ann));
  EXPECT_EQ(lab.enrol(invitation->token, lab.new_key())->address, "10.20.0.2/24");
  EXPECT_EQ(lab.control->list_peers("lab")->peers.size(), 3U);
  EXPECT_EQ(lab.control->list_peers("lab")->peers[2].state, "revoked");
  EXPECT_EQ(lab.control->show_peer("lab", "ann")->state, "enrolled");
}

TEST(Revoke, AnInvitationIsDeadAtOnce) {
  Lab lab;
  const auto invitation = lab.invite("lab", "ann");
  const auto report = lab.revoke("ann");
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->pending.empty());
  EXPECT_TRUE(lab.state().tokens.empty());
  EXPECT_EQ(lab.enrol(invitation->token, lab.new_key()).error().kind, ErrorKind::NotPermitted);
  EXPECT_TRUE(lab.invite("lab", "ann"));
}

TEST(Revoke, TheTokenOfAnEnrolledPeerDiesToo) {
  Lab lab;
  const auto invitation = lab.invite("lab", "ann");
  const base::PublicKey key = lab.new_key();
  ASSERT_TRUE(lab.enrol(invitation->token, key));
  ASSERT_TRUE(lab.revoke("ann"));
  EXPECT_FALSE(lab.enrol(invitation->token, key));
  EXPECT_TRUE(lab.engine().empty());
}

TEST(Revoke, UnknownNamesAreToldTheNearest) {
  Lab lab;
  lab.add_member("lab", "laptop");
  const auto refused = lab.revoke("lpatop");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::NotFound);
  EXPECT_EQ(refused.error().hint, "did you mean laptop?");
  EXPECT_EQ(lab.revoke("entirely-other").error().hint, "`warren peer list lab` shows all");
  ASSERT_TRUE(lab.revoke("laptop"));
  EXPECT_EQ(lab.revoke("laptop").error().kind, ErrorKind::Conflict);
  EXPECT_THAT(lab.revoke("laptop").error().message, HasSubstr("was revoked already"));
}

TEST(Revoke, AFailureIsPendingUntilDoneAndKeepsTheAddress) {
  std::size_t failures = 0;
  for (std::size_t call = 1;; ++call) {
    Lab lab("10.20.0.0/30");
    const base::PublicKey ann = lab.add_member("lab", "ann");
    lab.faults.failing = {lab.faults.calls + call};
    const auto report = lab.revoke("ann");
    ASSERT_TRUE(report);
    if (report->pending.empty()) break;
    ++failures;
    EXPECT_THAT(report->pending[0], HasSubstr("injected failure")) << call;
    EXPECT_EQ(lab.control->show_peer("lab", "ann")->state, "revoked");
    EXPECT_EQ(lab.control->status().problems.size(), 1U) << call;
    EXPECT_FALSE(lab.invite("lab", "bob")) << "the address is not free yet";
    EXPECT_TRUE(lab.control->retry_pending()) << call;
    EXPECT_FALSE(lab.engine().contains(ann)) << call;
    EXPECT_TRUE(lab.control->status().ready) << call;
    EXPECT_TRUE(lab.invite("lab", "bob")) << call;
  }
  EXPECT_EQ(failures, 3U);
}

TEST(Revoke, NothingHappensWhenItCannotBeCommitted) {
  Lab lab;
  lab.add_member("lab", "ann");
  const auto before = lab.snapshot();
  lab.faults.failing = {lab.faults.calls};
  EXPECT_FALSE(lab.revoke("ann"));
  EXPECT_TRUE(lab.snapshot() == before);
}

TEST(Revoke, ADaemonThatDiedInTheMiddleFinishesAtItsNextStart) {
  Lab lab;
  const base::PublicKey ann = lab.add_member("lab", "ann");
  for (std::size_t at = 1; at < 10; ++at) lab.faults.failing.insert(lab.faults.calls + at);
  ASSERT_FALSE(lab.revoke("ann")->pending.empty());
  EXPECT_TRUE(lab.engine().contains(ann)) << "the engine never heard of it";
  lab.faults.failing.clear();
  lab.restart();
  EXPECT_FALSE(lab.engine().contains(ann));
  EXPECT_EQ(lab.host.flushed.size(), 2U);
  EXPECT_EQ(lab.control->show_peer("lab", "ann")->address, "");
  EXPECT_TRUE(lab.control->status().ready);
}

// Whatever happens in whatever order, with failures in between: once the failures end, host and
// engines are what the state says, as a daemon that starts on an empty host would make them.
TEST(Control, HostAndEnginesFollowTheStateThroughRandomFailures) {
  for (std::uint32_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Gateway gateway(settings(), seed);
    std::minstd_rand random(seed);
    std::vector<std::string> tokens;
    std::vector<base::PublicKey> keys;
    std::set<std::string> revoked;
    for (int round = 0; round < 60; ++round) {
      gateway.faults.failing.clear();
      if (random() % 2 == 0) {
        const std::size_t first = gateway.faults.calls + random() % 20;
        for (std::size_t i = 0; i <= random() % 6; ++i) gateway.faults.failing.insert(first + i);
      }
      const std::string network(1, static_cast<char>('a' + random() % 3));
      const std::string member = "m" + std::to_string(random() % 4);
      switch (random() % 8) {
        case 0:
          (void)gateway.create(network);
          break;
        case 1:
          if (random() % 4 == 0) (void)gateway.control->delete_network("uid 0", network);
          break;
        case 2:
        case 3:
          if (const auto invitation = gateway.invite(network, member)) {
            tokens.push_back(invitation->token);
          }
          break;
        case 4:
        case 5:
          if (tokens.empty()) break;
          keys.push_back(gateway.new_key());
          (void)gateway.enrol(tokens[random() % tokens.size()], keys[random() % keys.size()]);
          break;
        case 6:
          (void)gateway.control->revoke("uid 0", network, member);
          break;
        default:
          if (random() % 3 == 0) gateway.restart();
          if (random() % 3 == 0) gateway.control->retry_pending();
      }
    }
    gateway.faults.failing.clear();
    if (!gateway.started) gateway.restart();
    ASSERT_TRUE(gateway.control->retry_pending());
    const store::State state = gateway.state();
    ASSERT_TRUE(store::check_state(state));
    EXPECT_THAT(gateway.control->status().problems, ::testing::IsEmpty());
    for (const auto& [id, peers] : gateway.engines.running) {
      for (const auto& [key, allowed] : peers) {
        const bool refused = std::ranges::any_of(state.refused, [&](const store::RefusedKey& r) {
          return r.network == id && r.key == key;
        });
        EXPECT_FALSE(refused);
      }
    }
    const Gateway::Snapshot lived = gateway.snapshot();
    gateway.host.facts.clear();
    gateway.engines.running.clear();
    gateway.restart();
    EXPECT_TRUE(gateway.snapshot().facts == lived.facts);
    EXPECT_TRUE(gateway.snapshot().engines == lived.engines);
  }
}

}  // namespace
}  // namespace warren::control::testing
