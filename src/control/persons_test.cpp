// Several peers at once: those of a person, and those with one key; and what the audit forgets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/control_fakes.hpp"
#include "store/audit_chain.hpp"

namespace warren::control::testing {
namespace {

using base::ErrorKind;
using ::testing::HasSubstr;

struct Two : Gateway {
  Two() {
    (void)control->create_network("uid 0",
                                  {.name = "lab", .subnet = "10.20.0.0/24", .max_devices = 2});
    (void)create("field");
  }
  base::Result<api::PeerView> add(const std::string& network, const std::string& name,
                                  const base::PublicKey& key, const std::string& person = "") {
    api::PeerAdd request;
    request.name = name;
    request.public_key = key.base64();
    if (!person.empty()) request.person = person;
    return control->add_peer("uid 0", network, request);
  }
  std::string state_of(const std::string& network, const std::string& name) {
    const auto peer = control->show_peer(network, name);
    return peer ? peer->state : "unknown";
  }
  bool any_engine_has(const base::PublicKey& key) {
    return std::ranges::any_of(engines.running,
                               [&](const auto& engine) { return engine.second.contains(key); });
  }
};

TEST(Everywhere, AKeyIsRefusedInEveryNetworkThoseToComeToo) {
  Two gateway;
  const base::PublicKey key = gateway.new_key();
  ASSERT_TRUE(gateway.add("lab", "laptop", key));
  ASSERT_TRUE(gateway.add("field", "anns", key));
  ASSERT_TRUE(gateway.add("field", "bobs", gateway.new_key()));
  const auto done = gateway.control->revoke_everywhere("uid 0", "lab", "laptop");
  ASSERT_TRUE(done) << done.error().message;
  ASSERT_EQ(done->revocations.size(), 2U);
  EXPECT_EQ(done->revocations[0].network + "/" + done->revocations[0].name, "lab/laptop");
  EXPECT_EQ(done->revocations[1].network + "/" + done->revocations[1].name, "field/anns");
  EXPECT_TRUE(done->revocations[1].pending.empty());
  EXPECT_EQ(done->refused_keys, std::vector<std::string>{key.base64()});
  EXPECT_FALSE(gateway.any_engine_has(key));
  EXPECT_EQ(gateway.state_of("field", "bobs"), "enrolled");

  ASSERT_TRUE(gateway.create("later"));
  gateway.restart();
  for (const char* network : {"lab", "field", "later"}) {
    const auto again = gateway.add(network, "back", key);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().kind, ErrorKind::NotPermitted);
  }
  EXPECT_THAT(gateway.add("later", "back", key).error().message,
              HasSubstr("revoked everywhere on this gateway at 2025-06-15 15:06:40 UTC; it was "
                        "that of laptop in network lab"));
  // By a token, and by handing it in.
  const auto token = gateway.invite("later", "other");
  EXPECT_EQ(gateway.enrol(token->token, key).error().kind, ErrorKind::NotPermitted);
  ASSERT_TRUE(gateway.control->add_peer("uid 0", "later", {.name = "waits"}));
  EXPECT_FALSE(
      gateway.control->set_peer_key("uid 0", "later", "waits", {.public_key = key.base64()}));
  EXPECT_EQ(gateway.control->revoke_everywhere("uid 0", "lab", "laptop").error().kind,
            ErrorKind::Conflict);
}

TEST(Everywhere, WhoWasRevokedInOneNetworkCanBePutOutOfAllLater) {
  Two gateway;
  const base::PublicKey key = gateway.new_key();
  ASSERT_TRUE(gateway.add("lab", "laptop", key));
  ASSERT_TRUE(gateway.add("field", "laptop", key));
  ASSERT_TRUE(gateway.control->revoke("uid 0", "lab", "laptop"));
  EXPECT_TRUE(gateway.any_engine_has(key));
  const auto done = gateway.control->revoke_everywhere("uid 0", "lab", "laptop");
  ASSERT_TRUE(done) << done.error().message;
  ASSERT_EQ(done->revocations.size(), 1U);
  EXPECT_EQ(done->revocations[0].network, "field");
  EXPECT_FALSE(gateway.any_engine_has(key));
  ASSERT_TRUE(gateway.control->add_peer("uid 0", "lab", {.name = "keyless"}));
  EXPECT_THAT(gateway.control->revoke_everywhere("uid 0", "lab", "keyless").error().message,
              HasSubstr("never had a key"));
}

TEST(Everywhere, AFailureIsPendingAndRetriedAndNobodyComesBack) {
  Two gateway;
  const base::PublicKey key = gateway.new_key();
  ASSERT_TRUE(gateway.add("lab", "laptop", key));
  ASSERT_TRUE(gateway.add("field", "laptop", key));
  gateway.faults.failing = {gateway.faults.calls};  // the commit
  EXPECT_FALSE(gateway.control->revoke_everywhere("uid 0", "lab", "laptop"));
  EXPECT_EQ(gateway.state_of("field", "laptop"), "enrolled");
  gateway.faults.failing = {gateway.faults.calls + 1};  // the first engine
  const auto done = gateway.control->revoke_everywhere("uid 0", "lab", "laptop");
  ASSERT_TRUE(done);
  EXPECT_FALSE(done->revocations[0].pending.empty());
  EXPECT_TRUE(done->revocations[1].pending.empty());
  EXPECT_TRUE(gateway.control->retry_pending());
  EXPECT_FALSE(gateway.any_engine_has(key));
}

TEST(Persons, MayHaveSoManyDevicesAndIsToldWhich) {
  Two gateway;
  ASSERT_TRUE(gateway.add("lab", "laptop", gateway.new_key(), "ann@example.org"));
  api::InviteRequest phone;
  phone.name = "phone";
  phone.person = "ann@example.org";
  ASSERT_TRUE(gateway.control->invite("uid 0", "lab", phone));
  const auto third = gateway.add("lab", "tablet", gateway.new_key(), "ann@example.org");
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().kind, ErrorKind::Conflict);
  EXPECT_THAT(third.error().message, HasSubstr("ann@example.org has 2 devices in network lab "
                                               "already (laptop, phone), and nobody may have more "
                                               "than 2"));
  EXPECT_TRUE(gateway.add("lab", "printer", gateway.new_key()));
  EXPECT_TRUE(gateway.add("lab", "bobs", gateway.new_key(), "bob"));
  EXPECT_TRUE(gateway.add("field", "tablet", gateway.new_key(), "ann@example.org"));
  // A lapsed invitation is the same device, and one that goes makes room.
  gateway.clock.time = {gateway.clock.time.ns + 48LL * 3600 * 1'000'000'000};
  EXPECT_TRUE(gateway.control->invite("uid 0", "lab", phone));
  ASSERT_TRUE(gateway.control->revoke("uid 0", "lab", "laptop"));
  EXPECT_TRUE(gateway.add("lab", "tablet", gateway.new_key(), "ann@example.org"));
  EXPECT_EQ(gateway.control->show_peer("lab", "tablet")->person, "ann@example.org");
  EXPECT_EQ(gateway.control->show_network("lab")->max_devices, 2U);
  ASSERT_TRUE(gateway.control->set_network("uid 0", "lab", {.max_devices = 3}));
  EXPECT_TRUE(gateway.add("lab", "watch", gateway.new_key(), "ann@example.org"));
  EXPECT_EQ(gateway.add("lab", "x", gateway.new_key(), "ann lee").error().kind, ErrorKind::Invalid);
}

TEST(Persons, ABatchAndATokenForSeveralCountTheirOwn) {
  Two gateway;
  api::PeerBatch batch;
  for (const char* name : {"a", "b", "c"}) {
    batch.peers.push_back({.name = name});
    batch.peers.back().person = "ann";
  }
  const auto before = gateway.snapshot();
  EXPECT_EQ(gateway.control->add_peers("uid 0", "lab", batch).error().kind, ErrorKind::Conflict);
  api::InviteRequest jobs{.name = "job", .uses = 3};
  jobs.person = "ann";
  EXPECT_EQ(gateway.control->invite("uid 0", "lab", jobs).error().kind, ErrorKind::Conflict);
  EXPECT_TRUE(gateway.snapshot() == before);
  jobs.uses = 2;
  EXPECT_TRUE(gateway.control->invite("uid 0", "lab", jobs));
}

TEST(Persons, AreRevokedWithAllTheirDevices) {
  Two gateway;
  const base::PublicKey laptop = gateway.new_key();
  const base::PublicKey phone = gateway.new_key();
  const base::PublicKey far = gateway.new_key();
  ASSERT_TRUE(gateway.add("lab", "laptop", laptop, "ann"));
  ASSERT_TRUE(gateway.add("lab", "phone", phone, "ann"));
  ASSERT_TRUE(gateway.add("lab", "bobs", gateway.new_key(), "bob"));
  ASSERT_TRUE(gateway.add("field", "tablet", far, "ann"));
  ASSERT_TRUE(gateway.add("field", "shared", laptop));  // hers, and nobody wrote it down
  const auto here = gateway.control->revoke_person("uid 0", "lab", "ann");
  ASSERT_TRUE(here) << here.error().message;
  EXPECT_EQ(here->revocations.size(), 2U);
  EXPECT_TRUE(here->refused_keys.empty());
  EXPECT_EQ(gateway.state_of("field", "tablet"), "enrolled");
  EXPECT_EQ(gateway.state_of("lab", "bobs"), "enrolled");
  EXPECT_EQ(gateway.control->revoke_person("uid 0", "lab", "bbo").error().hint,
            "did you mean bob?");
  EXPECT_EQ(gateway.control->revoke_person("uid 0", "lab", "").error().kind, ErrorKind::NotFound);

  const auto all = gateway.control->revoke_person("uid 0", "", "ann");
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_EQ(all->revocations.size(), 2U);
  EXPECT_EQ(all->refused_keys.size(), 3U);
  EXPECT_EQ(gateway.state_of("field", "shared"), "revoked");
  EXPECT_FALSE(gateway.any_engine_has(far));
  EXPECT_EQ(gateway.control->audit(100)->records[0].action, "peer.revoke.closed");
  EXPECT_FALSE(gateway.add("field", "again", phone));
}

TEST(AuditRetention, ForgetsWhatIsOlderSaysSoAndTheChainHolds) {
  Two gateway;
  gateway.clock.time = {gateway.clock.time.ns + 300LL * 86'400 * 1'000'000'000};
  gateway.add_member("lab", "ann");
  EXPECT_EQ(*gateway.control->forget_audit(std::chrono::hours(24) * 400), 0U);
  const auto records = gateway.control->audit(100)->records.size();
  EXPECT_EQ(*gateway.control->forget_audit(std::chrono::hours(24) * 200), 2U);
  const auto left = gateway.control->audit(100);
  EXPECT_EQ(left->records.size(), records - 2 + 1);
  EXPECT_EQ(left->records[0].action, "audit.forget");
  EXPECT_THAT(left->records[0].target, HasSubstr("2 records before 20"));
  const auto span = gateway.memory.audit_span();
  store::ChainCheck check(*span);
  const auto entries = gateway.memory.audit_after(span->before, 100);
  for (const auto& entry : *entries) {
    EXPECT_TRUE(check.add(entry));
  }
  EXPECT_TRUE(check.finish());
}

}  // namespace
}  // namespace warren::control::testing
