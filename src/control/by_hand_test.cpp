#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "control/control_fakes.hpp"

namespace warren::control::testing {
namespace {

using base::ErrorKind;
using ::testing::HasSubstr;

struct Lab : Gateway {
  Lab() { made = create("lab"); }
  base::Result<api::PeerView> add(const api::PeerAdd& request) {
    return control->add_peer("uid 0", "lab", request);
  }
  base::Result<api::PeerView> set_key(const std::string& name, const std::string& key) {
    return control->set_peer_key("uid 0", "lab", name, {.public_key = key});
  }
  std::string state_of(const std::string& name) { return control->show_peer("lab", name)->state; }
  [[nodiscard]] const FakeEngines::Peers& engine() { return engines.running.begin()->second; }
  base::Result<api::NetworkView> made;
};

TEST(ByHand, AKeyHandedInAtOnceIsInForceAtOnce) {
  Lab lab;
  const base::PublicKey key = lab.new_key();
  const auto phone =
      lab.add({.name = "phone", .public_key = key.base64(), .addresses = {"10.20.0.77"}});
  ASSERT_TRUE(phone) << phone.error().message;
  EXPECT_EQ(phone->state, "enrolled");
  EXPECT_EQ(phone->address, "10.20.0.77");
  EXPECT_NE(phone->address6, "");
  ASSERT_EQ(lab.engine().size(), 1U);
  EXPECT_EQ(lab.engine().begin()->first, key);
  EXPECT_EQ(lab.engine().begin()->second[0].to_string(), "10.20.0.77/32");
  EXPECT_EQ(lab.control->peer_profile("lab", "phone")->address, "10.20.0.77/24");
  EXPECT_EQ(lab.control->audit(1)->records[0].action, "peer.add");
}

TEST(ByHand, APeerWaitsForItsKeyAndHoldsItsAddress) {
  Lab lab;
  const auto phone = lab.add({.name = "phone"});
  ASSERT_TRUE(phone) << phone.error().message;
  EXPECT_EQ(phone->state, "waits-for-key");
  EXPECT_EQ(phone->address, "10.20.0.2");
  EXPECT_TRUE(lab.engine().empty());
  EXPECT_EQ(lab.invite("lab", "ann")->name, "ann");
  EXPECT_EQ(lab.control->show_peer("lab", "ann")->address, "10.20.0.3");
  lab.restart();
  EXPECT_EQ(lab.state_of("phone"), "waits-for-key");
  const base::PublicKey key = lab.new_key();
  ASSERT_TRUE(lab.set_key("phone", key.base64()));
  EXPECT_EQ(lab.state_of("phone"), "enrolled");
  EXPECT_TRUE(lab.engine().contains(key));
  const auto before = lab.snapshot();
  EXPECT_TRUE(lab.set_key("phone", key.base64()));  // as after a lost answer
  EXPECT_TRUE(lab.snapshot() == before);
  EXPECT_EQ(lab.set_key("phone", lab.new_key().base64()).error().kind, ErrorKind::Conflict);
  EXPECT_TRUE(lab.snapshot() == before);
}

TEST(ByHand, RefusalsNameTheOwnerAndChangeNothing) {
  Lab lab;
  const base::PublicKey anns = lab.add_member("lab", "ann");
  const base::PublicKey gone = lab.add_member("lab", "gone");
  ASSERT_TRUE(lab.control->revoke("uid 0", "lab", "gone"));
  ASSERT_TRUE(lab.invite("lab", "bob"));
  ASSERT_TRUE(lab.add({.name = "phone"}));
  const auto before = lab.snapshot();
  const auto refused = [&](const api::PeerAdd& request, ErrorKind kind, const std::string& text) {
    const auto result = lab.add(request);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().kind, kind) << result.error().message;
    EXPECT_THAT(result.error().message, HasSubstr(text));
    EXPECT_NE(result.error().hint, "");
    EXPECT_TRUE(lab.snapshot() == before) << text;
  };
  const std::string fresh = lab.new_key().base64();
  const auto with_key = [](const std::string& key) {
    return api::PeerAdd{.name = "new", .public_key = key};
  };
  const auto at = [&](const std::string& address) {
    return api::PeerAdd{.name = "new", .public_key = fresh, .addresses = {address}};
  };
  refused(with_key(anns.base64()), ErrorKind::Conflict, "belongs to ann already");
  refused(with_key(gone.base64()), ErrorKind::NotPermitted, "was revoked and stays refused");
  refused(with_key(lab.made->public_key), ErrorKind::Conflict, "the gateway's own");
  refused(with_key("bm9uc2Vuc2U="), ErrorKind::Invalid, "not 32 bytes in base64");
  refused(with_key(base::PublicKey{}.base64()), ErrorKind::Invalid, "low order");
  refused({.name = "ann"}, ErrorKind::Conflict, "ann is enrolled in network lab already");
  refused({.name = "bob"}, ErrorKind::Conflict, "bob is invited in network lab already");
  refused({.name = "phone"}, ErrorKind::Conflict, "phone waits for its key in network lab");
  refused({.name = "No"}, ErrorKind::Invalid, "not valid");
  refused({.name = "new", .role = "node"}, ErrorKind::Invalid, "has no role \"node\"");
  refused({.name = "new", .expires_s = 1}, ErrorKind::Invalid, "cannot last 1 s");
  refused(at("10.21.0.5"), ErrorKind::Invalid, "outside network lab");
  refused(at("10.20.0.0"), ErrorKind::Invalid, "network or broadcast");
  refused(at("10.20.0.255"), ErrorKind::Invalid, "network or broadcast");
  refused(at("10.20.0.1"), ErrorKind::Conflict, "the gateway's own");
  refused(at("10.20.0.2"), ErrorKind::Conflict, "address 10.20.0.2 belongs to ann already");
  refused(at("10.20.0.2/24"), ErrorKind::Invalid, "is not an address");
  refused({.name = "new", .addresses = {"10.20.0.7", "10.20.0.8"}}, ErrorKind::Invalid,
          "one address of each family");
  for (const std::string& key : {anns.base64(), gone.base64(), lab.made->public_key}) {
    EXPECT_FALSE(lab.set_key("phone", key));
    EXPECT_TRUE(lab.snapshot() == before);
  }
  EXPECT_FALSE(lab.set_key("bob", fresh));
  EXPECT_EQ(lab.set_key("phne", fresh).error().hint, "did you mean phone?");
  EXPECT_TRUE(lab.snapshot() == before);
}

TEST(ByHand, WhateverFailsIsUndone) {
  Lab lab;
  ASSERT_TRUE(lab.add({.name = "waiting"}));
  const api::PeerAdd phone{.name = "phone", .public_key = lab.new_key().base64()};
  const std::string key = lab.new_key().base64();
  // The first call is the commit, the second tells the engine.
  for (const std::size_t call : {0U, 1U}) {
    auto before = lab.snapshot();
    lab.faults.failing = {lab.faults.calls + call};
    EXPECT_FALSE(lab.add(phone)) << call;
    before.state.next_peer_id = lab.state().next_peer_id;  // never given twice
    EXPECT_TRUE(lab.snapshot() == before) << call;
    lab.faults.failing = {lab.faults.calls + call};
    EXPECT_FALSE(lab.set_key("waiting", key)) << call;
    EXPECT_TRUE(lab.snapshot() == before) << call;
  }
  EXPECT_TRUE(lab.add(phone));
  EXPECT_TRUE(lab.set_key("waiting", key));
}

TEST(ByHand, AMembershipEndsByItself) {
  Lab lab;
  const base::PublicKey key = lab.new_key();
  ASSERT_TRUE(lab.add({.name = "guest", .public_key = key.base64(), .expires_s = 3600}));
  ASSERT_TRUE(lab.add({.name = "waiting", .expires_s = 3600}));
  ASSERT_TRUE(lab.add({.name = "stays"}));
  EXPECT_EQ(lab.control->show_peer("lab", "guest")->expires, lab.clock.time.seconds() + 3600);
  lab.clock.time = lab.clock.time + std::chrono::seconds(3599);
  EXPECT_TRUE(lab.control->retry_pending());
  EXPECT_EQ(lab.state_of("guest"), "enrolled");
  lab.clock.time = lab.clock.time + std::chrono::seconds(1);
  EXPECT_TRUE(lab.control->retry_pending());
  EXPECT_EQ(lab.state_of("guest"), "expired");
  EXPECT_EQ(lab.state_of("waiting"), "expired");
  EXPECT_EQ(lab.state_of("stays"), "waits-for-key");
  EXPECT_TRUE(lab.engine().empty());
  // Neither its name nor its key nor its address is lost.
  const auto again = lab.add({.name = "guest", .public_key = key.base64()});
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->address, "10.20.0.2");
}

TEST(ByHand, AMembershipThatEndedMeanwhileIsNotStarted) {
  Lab lab;
  ASSERT_TRUE(lab.add({.name = "guest", .public_key = lab.new_key().base64(), .expires_s = 3600}));
  lab.control.reset();
  lab.engines.running.clear();
  lab.clock.time = lab.clock.time + std::chrono::hours(2);
  lab.restart();
  EXPECT_TRUE(lab.engine().empty());
  EXPECT_EQ(lab.state_of("guest"), "expired");
}

TEST(ByHand, RevokingBeforeTheEndRefusesTheKey) {
  Lab lab;
  const base::PublicKey key = lab.new_key();
  ASSERT_TRUE(lab.add({.name = "guest", .public_key = key.base64(), .expires_s = 3600}));
  ASSERT_TRUE(lab.control->revoke("uid 0", "lab", "guest"));
  EXPECT_EQ(lab.state_of("guest"), "revoked");
  EXPECT_EQ(lab.add({.name = "guest", .public_key = key.base64()}).error().kind,
            ErrorKind::NotPermitted);
}

TEST(ByHand, ATokenMayBringTheKeyOfAPeerThatWaits) {
  Lab lab;
  ASSERT_TRUE(lab.add({.name = "phone", .addresses = {"10.20.0.9"}}));
  const auto invitation = lab.invite("lab", "phone");
  ASSERT_TRUE(invitation) << invitation.error().message;
  EXPECT_EQ(lab.state_of("phone"), "invited");
  lab.clock.time = lab.clock.time + std::chrono::hours(25);
  EXPECT_EQ(lab.state_of("phone"), "waits-for-key");
  const auto second = lab.invite("lab", "phone");
  EXPECT_EQ(lab.enrol(second->token, lab.new_key())->address, "10.20.0.9/24");
}

TEST(Invite, ATokenForSeveralPeersHasAPlaceForEach) {
  Lab lab;
  const auto ask = [&](const std::string& name, std::uint32_t uses) {
    return lab.control->invite("uid 0", "lab", {.name = name, .uses = uses});
  };
  const auto invitation = ask("job", 3);
  ASSERT_TRUE(invitation) << invitation.error().message;
  EXPECT_EQ(invitation->uses, 3U);
  const base::PublicKey first = lab.new_key();
  EXPECT_EQ(lab.enrol(invitation->token, first)->name, "job-1");
  const auto before = lab.snapshot();
  EXPECT_EQ(lab.enrol(invitation->token, first)->name, "job-1");  // a lost answer
  EXPECT_TRUE(lab.snapshot() == before);
  EXPECT_EQ(lab.enrol(invitation->token, lab.new_key())->address, "10.20.0.3/24");
  ASSERT_TRUE(lab.control->revoke("uid 0", "lab", "job-1"));
  EXPECT_EQ(lab.enrol(invitation->token, first).error().kind, ErrorKind::NotPermitted);
  EXPECT_EQ(lab.enrol(invitation->token, lab.new_key())->name, "job-3");
  const auto none_left = lab.enrol(invitation->token, lab.new_key());
  EXPECT_EQ(none_left.error().kind, ErrorKind::Expired);
  EXPECT_EQ(lab.engine().size(), 2U);
}

TEST(Invite, SeveralPlacesAreMadeTogetherOrNotAtAll) {
  Lab lab;
  lab.add_member("lab", "job-2");
  const auto before = lab.snapshot();
  const auto refused = [&](const api::InviteRequest& request) {
    const auto result = lab.control->invite("uid 0", "lab", request);
    EXPECT_TRUE(lab.snapshot() == before);
    return result ? std::string("not refused") : result.error().message;
  };
  EXPECT_THAT(refused({.name = "job", .uses = 3}), HasSubstr("job-2 is enrolled in network lab"));
  EXPECT_THAT(refused({.name = "x", .uses = 0}), HasSubstr("good for 0 peers"));
  EXPECT_THAT(refused({.name = "x", .uses = 1001}), HasSubstr("good for 1001 peers"));
  EXPECT_THAT(refused({.name = std::string(62, 'x'), .uses = 2}), HasSubstr("is not valid"));
  ASSERT_TRUE(lab.create("small", "10.30.0.0/29"));
  EXPECT_THAT(lab.control->invite("uid 0", "small", {.name = "x", .uses = 6}).error().message,
              HasSubstr("subnet 10.30.0.0/29 is full"));
  EXPECT_TRUE(lab.control->invite("uid 0", "small", {.name = "x", .uses = 5}));
}

TEST(ByHand, AnInvitationThatLapsedIsShownAsExpired) {
  Lab lab;
  const auto invitation = lab.invite("lab", "ann");
  EXPECT_EQ(lab.control->show_peer("lab", "ann")->expires, invitation->expires);
  lab.clock.time = lab.clock.time + std::chrono::hours(25);
  EXPECT_EQ(lab.state_of("ann"), "expired");
}

TEST(ByHand, ANewNameKeepsEverythingElse) {
  Lab lab;
  const base::PublicKey key = lab.add_member("lab", "ann");
  lab.add_member("lab", "bob");
  const auto before = lab.snapshot();
  const auto taken = lab.control->rename_peer("uid 0", "lab", "ann", {.name = "bob"});
  ASSERT_FALSE(taken);
  EXPECT_THAT(taken.error().message, HasSubstr("bob is enrolled in network lab already"));
  EXPECT_FALSE(lab.control->rename_peer("uid 0", "lab", "ann", {.name = "No"}));
  EXPECT_TRUE(lab.snapshot() == before);
  const auto renamed = lab.control->rename_peer("uid 0", "lab", "ann", {.name = "anna"});
  ASSERT_TRUE(renamed) << renamed.error().message;
  EXPECT_EQ(renamed->public_key, key.base64());
  EXPECT_EQ(lab.engines.running, before.engines);
  EXPECT_FALSE(lab.control->show_peer("lab", "ann"));
}

TEST(ByHand, ABatchIsAllOrNothing) {
  Lab lab;
  const base::PublicKey key = lab.new_key();
  const auto before = lab.snapshot();
  const auto batch = [&](const std::string& last, const std::string& last_key) {
    return lab.control->add_peers("uid 0", "lab",
                                  {{{.name = "ann", .public_key = key.base64()},
                                    {.name = "bob", .addresses = {"10.20.0.9"}},
                                    {.name = last, .public_key = last_key}}});
  };
  const std::string fresh = lab.new_key().base64();
  EXPECT_EQ(batch("ann", fresh).error().kind, ErrorKind::Conflict) << "a name twice";
  EXPECT_EQ(batch("eve", key.base64()).error().kind, ErrorKind::Conflict) << "a key twice";
  EXPECT_EQ(batch("Eve", fresh).error().kind, ErrorKind::Invalid);
  EXPECT_TRUE(lab.snapshot() == before);

  const auto added = batch("eve", fresh);
  ASSERT_TRUE(added) << added.error().message;
  ASSERT_EQ(added->peers.size(), 3U);
  EXPECT_EQ(added->peers[0].address, "10.20.0.2");
  EXPECT_EQ(added->peers[1].state, "waits-for-key");
  EXPECT_EQ(added->peers[2].address, "10.20.0.3");
  EXPECT_EQ(lab.engine().size(), 2U);
  EXPECT_EQ(lab.control->audit(1)->records[0].target, "lab (3 peers)");
}

TEST(ByHand, ABatchThatTheEngineRefusesIsUndone) {
  Lab lab;
  const auto before = lab.snapshot();
  const api::PeerBatch batch{{{.name = "ann", .public_key = lab.new_key().base64()},
                              {.name = "bob", .public_key = lab.new_key().base64()}}};
  // Call 0 is the commit, then one of the engine for each.
  lab.faults.failing.insert(lab.faults.calls + 2);
  EXPECT_FALSE(lab.control->add_peers("uid 0", "lab", batch));
  lab.faults.failing.clear();
  EXPECT_TRUE(lab.control->retry_pending());
  auto after = lab.snapshot();
  after.state.next_peer_id = before.state.next_peer_id;
  EXPECT_TRUE(after == before);
}

TEST(ByHand, RepairGivesTheEngineItsPeersBack) {
  Lab lab;
  const base::PublicKey key = lab.new_key();
  ASSERT_TRUE(lab.add({.name = "ann", .public_key = key.base64()}));
  const auto before = lab.snapshot();
  const std::uint64_t records = lab.control->audit_span()->last;
  EXPECT_TRUE(lab.control->repair("uid 0", "lab")->differences.empty());
  EXPECT_EQ(lab.control->audit_span()->last, records) << "nothing to do is no change";

  FakeEngines::Peers& engine = lab.engines.running.begin()->second;
  engine.erase(key);
  engine[lab.new_key()] = {};
  EXPECT_EQ(lab.control->verify("lab")->differences.size(), 2U);
  const auto repaired = lab.control->repair("uid 0", "lab");
  ASSERT_TRUE(repaired) << repaired.error().message;
  EXPECT_TRUE(repaired->differences.empty());
  EXPECT_TRUE(lab.snapshot() == before);
  EXPECT_EQ(lab.control->audit(1)->records[0].action, "network.repair");
  EXPECT_EQ(lab.control->repair("uid 0", "lap").error().kind, ErrorKind::NotFound);
}

/// Whatever happens in whatever order, with whatever failing: the engine has exactly the members.
TEST(ByHand, TheEngineHasExactlyTheMembers) {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Lab lab;
    std::mt19937 dice(seed);
    const auto roll = [&](std::uint32_t sides) { return dice() % sides; };
    std::vector<base::PublicKey> keys;
    for (int i = 0; i < 6; ++i) keys.push_back(lab.new_key());
    for (int step = 0; step < 300; ++step) {
      const std::string name = "p" + std::to_string(roll(5));
      const std::string key = keys[roll(6)].base64();
      lab.faults.failing.clear();
      if (roll(4) == 0) lab.faults.failing.insert(lab.faults.calls + roll(3));
      switch (roll(7)) {
        case 0:
          (void)lab.add({.name = name});
          break;
        case 1:
          (void)lab.add({.name = name, .public_key = key, .expires_s = 10 + roll(100)});
          break;
        case 2:
          (void)lab.add({.name = name, .addresses = {"10.20.0." + std::to_string(roll(8))}});
          break;
        case 3:
          (void)lab.set_key(name, key);
          break;
        case 4:
          (void)lab.control->rename_peer("uid 0", "lab", name, {.name = "p6"});
          break;
        case 5:
          if (roll(3) == 0) (void)lab.control->revoke("uid 0", "lab", name);
          break;
        default:
          lab.clock.time = lab.clock.time + std::chrono::seconds(roll(20));
          if (roll(10) == 0) lab.restart();
      }
      lab.faults.failing.clear();
      EXPECT_TRUE(lab.control->retry_pending());
      const store::State state = lab.state();
      ASSERT_TRUE(store::check_state(state));
      FakeEngines::Peers expected;
      for (const auto& [id, peer] : state.peers) {
        if (peer.state != model::PeerState::Enrolled) continue;
        std::vector<base::Prefix>& allowed = expected[*peer.public_key];
        for (const auto& address : {peer.address4, peer.address6}) {
          if (address) allowed.push_back(base::Prefix::host(*address));
        }
      }
      ASSERT_EQ(lab.engine(), expected) << step;
    }
  }
}

}  // namespace
}  // namespace warren::control::testing
