#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/certificate_fixture.hpp"
#include "control/limits.hpp"
#include "pki/identity.hpp"

namespace warren::control {
namespace {

using pki::CertificateUse;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Holder;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

using Certificates = testing::CertificateTest;

TEST_F(Certificates, ANetworkHasAnAuthorityFromItsFirstMomentAndAnOldOneFromTheNextStart) {
  const auto shown = lab.control->show_authorities("lab");
  ASSERT_TRUE(shown && shown->authorities.size() == 1);
  EXPECT_TRUE(shown->authorities[0].current);
  ASSERT_THAT(shown->authorities[0].chain, SizeIs(1));
  EXPECT_EQ(shown->authorities[0].chain[0].subject, "CN=lab authority,O=lab");
  EXPECT_EQ(shown->authorities[0].chain[0].fingerprint.size(), 64U);

  const model::NetworkId id = lab.state().networks.begin()->first;
  ASSERT_TRUE(lab.memory.commit({store::DeleteAuthority{id, 1}}, {}));
  lab.restart();
  EXPECT_THAT(lab.control->show_authorities("lab")->authorities, SizeIs(1));
  EXPECT_THAT(differences(), IsEmpty());
}

TEST_F(Certificates, AnAuthorityIsBroughtAndABadOneChangesNothing) {
  const auto own = pki::create_authority("brought", lab.random, lab.clock.time, 100);
  const auto other = pki::create_authority("other", lab.random, lab.clock.time, 100);
  api::NetworkCreate wanted{.name = "mine", .subnet = "10.21.0.0/24"};
  wanted.ca_certificates = own->certificate_pem;
  const auto before = lab.snapshot();
  const auto alone = lab.control->create_network("uid 0", wanted);
  ASSERT_FALSE(alone);
  EXPECT_THAT(alone.error().message, HasSubstr("certificate and key"));
  wanted.ca_key = other->private_key_pem;
  const auto wrong = lab.control->create_network("uid 0", wanted);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().kind, base::ErrorKind::Invalid);
  EXPECT_THAT(wrong.error().message, HasSubstr("not the one"));
  EXPECT_EQ(lab.snapshot(), before);
  wanted.ca_key = own->private_key_pem;
  ASSERT_TRUE(lab.control->create_network("uid 0", wanted));
  const auto shown = lab.control->show_authorities("mine");
  EXPECT_EQ(shown->authorities[0].certificates, own->certificate_pem);
  const auto audit = lab.control->audit(100);
  for (const auto& record : audit->records) {
    EXPECT_THAT(record.target + record.result, Not(HasSubstr("PRIVATE")));
  }
}

TEST_F(Certificates, EnrolmentSignsWhatAMemberAsksFor) {
  const Holder ann = join("ann");
  const auto facts = pki::certificate_facts(ann.certificate);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->subject, "CN=ann,OU=member,O=lab");
  EXPECT_TRUE(pki::is_key_of(ann.made.private_key_pem, ann.certificate));
  EXPECT_TRUE(check(ann.certificate));
  const auto profile = lab.control->peer_profile("lab", "ann");
  EXPECT_EQ(profile->authorities, bundle());
  EXPECT_THAT(differences(), IsEmpty());
  const Holder brief = join("job", true);
  EXPECT_LT(pki::certificate_facts(brief.certificate)->not_after - lab.clock.time,
            std::chrono::hours(25));
}

TEST_F(Certificates, AMalformedRequestIsRefusedAndTheTokenStaysGood) {
  const auto invitation = lab.invite("lab", "ann");
  const base::PublicKey key = lab.new_key();
  api::EnrolRequest request = lab.enrol_request(invitation->token, key);
  request.certificate_request = "nonsense";
  const auto before = lab.snapshot();
  const auto refused = lab.control->enrol(request);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, base::ErrorKind::Invalid);
  EXPECT_EQ(lab.snapshot(), before);
  EXPECT_TRUE(lab.enrol(invitation->token, key));
}

TEST_F(Certificates, WhoeverIsRevokedIsOnTheListBeforeTheAnswer) {
  const Holder ann = join("ann");
  const Holder bob = join("bob");
  const RevocationDocument before = list();
  EXPECT_EQ(list().tag, before.tag) << "the same list until something changes";
  const auto report = lab.control->revoke("uid 0", "lab", "ann");
  ASSERT_TRUE(report);
  std::vector<std::string> steps;
  for (const auto& step : report->steps) steps.push_back(step.step);
  EXPECT_THAT(steps, ElementsAre("committed", "engine", "connections", "certificates", "address"));
  EXPECT_NE(list().tag, before.tag);
  EXPECT_FALSE(check(ann.certificate));
  EXPECT_TRUE(check(bob.certificate));
  EXPECT_THAT(differences(), IsEmpty());
  const auto der = list(ListForm::Der);
  EXPECT_EQ(der.content[0], '\x30');
  EXPECT_EQ(lab.control->issue_certificate(ann.member, ann.made.request_pem), "")
      << "who is out gets no other";
}

TEST_F(Certificates, LeavingExpiryTheEndOfALeaseAndANewNameRevoke) {
  Holder ann = join("ann");
  const Holder left = join("left");
  const Holder brief = join("brief", true);
  ASSERT_TRUE(lab.control->leave(left.member));
  EXPECT_FALSE(check(left.certificate));

  ASSERT_TRUE(lab.control->rename_peer("uid 0", "lab", "ann", {.name = "anna"}));
  EXPECT_FALSE(check(ann.certificate)) << "somebody else may be called ann now";
  renew(ann);
  EXPECT_EQ(pki::certificate_facts(ann.certificate)->subject, "CN=anna,OU=member,O=lab");
  EXPECT_TRUE(check(ann.certificate));

  for (int i = 0; i < 200'000 && lab.state().peers.contains(brief.member.peer); ++i) {
    if (i % 1000 == 0) lab.control->retry_pending();
    (void)lab.clock.now();  // each look is a millisecond
  }
  EXPECT_FALSE(check(brief.certificate));

  model::Peer ends = lab.state().peers.at(ann.member.peer);
  ends.expires = lab.clock.time + std::chrono::hours(24);
  ASSERT_TRUE(lab.memory.commit({store::PutPeer{ends}}, {}));
  lab.restart();
  EXPECT_TRUE(check(ann.certificate));
  pass_days(2);
  lab.control->retry_pending();
  EXPECT_FALSE(check(ann.certificate));
  EXPECT_THAT(differences(), IsEmpty());
}

TEST_F(Certificates, ARolloverAcceptsBothUntilEverybodyHasRenewed) {
  Holder ann = join("ann");
  Holder bob = join("bob");
  const Holder gone = join("gone");
  const auto revision = lab.control->member_state(ann.member)->revision;
  int told = 0;
  lab.control->on_change(
      [&](model::NetworkId, std::optional<model::PeerId> peer) { told += peer ? 0 : 1; });
  const auto rotated = lab.control->rotate_authority("uid 0", "lab", {});
  ASSERT_TRUE(rotated) << rotated.error().message;
  ASSERT_THAT(rotated->authorities, SizeIs(2));
  EXPECT_TRUE(rotated->authorities[0].current);
  EXPECT_EQ(rotated->authorities[0].number, 2U);
  EXPECT_THAT(rotated->authorities[1].awaits, ElementsAre("ann", "bob", "gone"));
  EXPECT_GE(told, 1) << "members hear of it";
  EXPECT_NE(lab.control->member_state(ann.member)->revision, revision);

  EXPECT_TRUE(check(ann.certificate)) << "the old one is still accepted";
  renew(ann);
  EXPECT_TRUE(check(ann.certificate));
  ASSERT_TRUE(lab.control->revoke("uid 0", "lab", "gone"));
  EXPECT_FALSE(check(gone.certificate)) << "a retiring authority keeps its own list";
  lab.control->retry_pending();
  EXPECT_THAT(lab.control->show_authorities("lab")->authorities, SizeIs(2)) << "bob has not yet";
  const std::string old = bob.certificate;
  renew(bob);
  lab.control->retry_pending();
  EXPECT_THAT(lab.control->show_authorities("lab")->authorities, SizeIs(1));
  EXPECT_TRUE(check(bob.certificate));
  EXPECT_FALSE(check(old));
  std::vector<std::string> actions;
  const auto audit = lab.control->audit(100);
  for (const auto& record : audit->records) actions.push_back(record.action);
  EXPECT_THAT(actions, Contains("ca.rotate"));
  EXPECT_THAT(actions, Contains("ca.drop"));
  EXPECT_THAT(differences(), IsEmpty());
  lab.control->on_change(nullptr);
}

TEST_F(Certificates, ARolloverEndsAtOnceWhenItMust) {
  const Holder ann = join("ann");
  ASSERT_TRUE(lab.control->rotate_authority("uid 0", "lab", {.drop_old = true}));
  EXPECT_THAT(lab.control->show_authorities("lab")->authorities, SizeIs(1));
  EXPECT_FALSE(check(ann.certificate));
  for (std::size_t i = 0; i < kMaxRetiring; ++i) {
    join("member" + std::to_string(i));
    ASSERT_TRUE(lab.control->rotate_authority("uid 0", "lab", {}));
  }
  const auto refused = lab.control->rotate_authority("uid 0", "lab", {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, base::ErrorKind::Conflict);
}

TEST_F(Certificates, TheNumberOfAListGrowsAcrossRestartsAndFailures) {
  std::uint64_t last = list_number();
  std::set<std::string> contents{list(ListForm::Der).content};
  for (std::size_t round = 0; round < 30; ++round) {
    const Holder one = join("m" + std::to_string(round));
    lab.faults.failing = {lab.faults.calls + round % 7};
    const auto revoked = lab.control->revoke("uid 0", "lab", one.name);
    lab.faults.failing.clear();
    if (round % 3 == 0) lab.restart();
    const std::uint64_t number = list_number();
    const bool is_new = contents.insert(list(ListForm::Der).content).second;
    EXPECT_EQ(is_new, number > last) << "another list has another number";
    EXPECT_GE(number, last);
    last = number;
    for (int i = 0; i < 3; ++i) lab.control->retry_pending();
    if (!revoked) continue;
    EXPECT_FALSE(check(one.certificate)) << round;
    contents.insert(list(ListForm::Der).content);
    last = list_number();
  }
}

TEST_F(Certificates, AFullDiskLeavesTheLastListThatIsGood) {
  const RevocationDocument before = list();
  pass_days(2);
  lab.memory.fail_with(base::make_error(base::ErrorKind::Failed, "no space"));
  EXPECT_FALSE(lab.control->retry_pending());
  EXPECT_EQ(list().tag, before.tag);
  pass_days(8);
  EXPECT_FALSE(lab.control->revocation_document("lab", ListForm::Pem, std::nullopt))
      << "one that is over is not served";
  lab.memory.fail_with(std::nullopt);
  EXPECT_NE(list().tag, before.tag);
}

TEST_F(Certificates, VerifyNamesCertificatesOfStrangersAndRepairRevokesThem) {
  const Holder ann = join("ann");
  model::Peer other = lab.state().peers.at(ann.member.peer);
  other.name = "mallory";
  ASSERT_TRUE(lab.memory.commit({store::PutPeer{other}}, {}));
  lab.restart();
  EXPECT_THAT(differences(), Contains(HasSubstr("of ann, who is no member")));
  const auto repaired = lab.control->repair("uid 0", "lab");
  ASSERT_TRUE(repaired);
  EXPECT_THAT(repaired->differences, IsEmpty());
  EXPECT_FALSE(check(ann.certificate));
}

TEST_F(Certificates, ServersAreSignedByHand) {
  const auto request = pki::create_request("x");
  const auto nameless =
      lab.control->sign_certificate("uid 0", "lab", {.certificate_request = request->request_pem});
  ASSERT_FALSE(nameless);
  EXPECT_THAT(nameless.error().message, HasSubstr("whose"));
  const auto empty = lab.control->sign_certificate(
      "uid 0", "lab", {.certificate_request = request->request_pem, .server = true});
  EXPECT_FALSE(empty);
  const auto odd = lab.control->sign_certificate("uid 0", "lab",
                                                 {.certificate_request = request->request_pem,
                                                  .server = true,
                                                  .addresses = {"10.0.0.1,DNS:evil"}});
  EXPECT_FALSE(odd);
  const auto made = lab.control->sign_certificate("uid 0", "lab",
                                                  {.certificate_request = request->request_pem,
                                                   .server = true,
                                                   .dns_names = {"www.lab"},
                                                   .addresses = {"10.20.0.7", "fd00::7"}});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->name, "www.lab");
  EXPECT_TRUE(pki::verify_certificate(made->certificate, made->authorities, list().content,
                                      CertificateUse::Server, lab.clock.time));
  ASSERT_THAT(lab.control->list_certificates("lab")->certificates, SizeIs(1));
  const auto revoked = lab.control->revoke_certificate("uid 0", "lab", made->serial);
  ASSERT_TRUE(revoked) << revoked.error().message;
  EXPECT_NE(revoked->revoked, 0);
  EXPECT_FALSE(pki::verify_certificate(made->certificate, made->authorities, list().content,
                                       CertificateUse::Server, lab.clock.time));
  EXPECT_EQ(lab.control->revoke_certificate("uid 0", "lab", made->serial).error().kind,
            base::ErrorKind::Conflict);
  EXPECT_EQ(lab.control->revoke_certificate("uid 0", "lab", "00").error().kind,
            base::ErrorKind::NotFound);
}

TEST_F(Certificates, AServerOfAMemberIsRevokedWithIt) {
  const Holder broker = join("broker");
  const auto made = lab.control->sign_certificate("uid 0", "lab",
                                                  {.certificate_request = broker.made.request_pem,
                                                   .server = true,
                                                   .dns_names = {"broker.lab"},
                                                   .peer = "broker"});
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_TRUE(lab.control->rename_peer("uid 0", "lab", "broker", {.name = "mqtt"}));
  const auto accepted = [&] {
    return pki::verify_certificate(made->certificate, made->authorities, list().content,
                                   CertificateUse::Server, lab.clock.time);
  };
  EXPECT_TRUE(accepted()) << "its names are its own";
  EXPECT_THAT(differences(), IsEmpty());
  ASSERT_TRUE(lab.control->revoke("uid 0", "lab", "mqtt"));
  EXPECT_FALSE(accepted());
}

TEST_F(Certificates, AMemberThatAsksForEverGetsSomeEachDay) {
  Holder ann = join("ann");
  for (std::size_t i = 1; i < kCertificatesEachDay; ++i) renew(ann);
  EXPECT_EQ(lab.control->issue_certificate(ann.member, ann.made.request_pem), "");
  pass_days(1);
  renew(ann);
}

TEST_F(Certificates, DoctorCountsDown) {
  const Holder ann = join("ann");
  lab.control->set_gateway_certificate_end(lab.clock.time + std::chrono::hours(24 * 90));
  const auto states = [&] {
    std::map<std::string, std::string> found;
    for (const auto& one : lab.control->examine_certificates().findings) {
      found[one.what] = one.state;
    }
    return found;
  };
  EXPECT_THAT(states(), ElementsAre(std::pair("authority 1", "good"),
                                    std::pair("the gateway's TLS certificate", "good")));
  pass_days(62);  // ann was never there to renew
  EXPECT_EQ(states().at("certificate of ann"), "weak");
  EXPECT_EQ(states().at("the gateway's TLS certificate"), "weak");
  pass_days(22);
  EXPECT_EQ(states().at("certificate of ann"), "bad");
  pass_days(10);
  lab.control->set_gateway_certificate_end(lab.clock.time + std::chrono::hours(24 * 90));
  EXPECT_EQ(states().at("certificate of ann"), "bad");
  pass_days(3650 - 94 - 29);
  EXPECT_EQ(states().at("authority 1"), "weak");
  pass_days(30);
  lab.control->retry_pending();
  EXPECT_EQ(states().at("authority 1"), "bad");
  EXPECT_THAT(differences(), Contains(HasSubstr("not valid now")));
}

// Four hundred days, a look every six hours: members that are there renew, the authority is rolled
// over in the middle, the daemon is started again now and then and once not for three weeks. At no
// instant is a member refused, somebody who was revoked accepted, or a list over.
TEST_F(Certificates, AYearPassesWithoutASurprise) {
  std::vector<Holder> members;
  for (const char* name : {"ann", "bob", "eve"}) members.push_back(join(name));
  const Holder mallory = join("mallory");
  ASSERT_TRUE(lab.control->revoke("uid 0", "lab", "mallory"));
  const auto identity = pki::create_identity();
  std::string own = *pki::self_signed_certificate(*identity, lab.clock.time, 90);
  std::uint64_t last_number = 0;
  std::uint32_t authority = 1;
  int renewals = 0;
  int own_renewals = 0;
  for (int step = 0; step < 4 * 400; ++step) {
    lab.clock.time = lab.clock.time + std::chrono::hours(6);
    const base::WallTime now = lab.clock.time;
    if (step % 160 == 90) lab.restart();
    const bool daemon_is_off = step / 4 >= 250 && step / 4 < 271;
    if (daemon_is_off) continue;  // nobody can ask, and the next list is asked for before a round
    if (step == 4 * 271) lab.restart();
    if (step == 4 * 150) {
      ASSERT_TRUE(lab.control->rotate_authority("uid 0", "lab", {}));
    }

    const auto document = lab.control->revocation_document("lab", ListForm::Pem, std::nullopt);
    ASSERT_TRUE(document) << step;
    const std::string trusted = bundle();
    const auto facts =
        pki::read_revocations(document->content, pki::certificates_of(trusted).front());
    ASSERT_TRUE(facts) << facts.error().message;
    ASSERT_TRUE(facts->this_update <= now && now < facts->next_update) << step;
    const std::uint32_t current = lab.control->show_authorities("lab")->authorities[0].number;
    if (std::exchange(authority, current) == current) {
      ASSERT_GE(facts->number, last_number);
    }
    last_number = facts->number;

    for (Holder& holder : members) {
      const auto known = pki::certificate_facts(holder.certificate);
      const bool due =
          pki::is_renewal_due(known->not_before, known->not_after, now) ||
          !pki::verify_certificate(holder.certificate, pki::certificates_of(trusted).front(), "",
                                   CertificateUse::Client, now);
      // eve hears of the roll-over a week late.
      const bool away = holder.name == "eve" && step / 4 >= 150 && step / 4 < 157;
      if (due && !away) {
        renew(holder);
        ++renewals;
      }
      const auto accepted = pki::verify_certificate(holder.certificate, trusted, document->content,
                                                    CertificateUse::Client, now);
      ASSERT_TRUE(accepted) << holder.name << " at step " << step << ": "
                            << accepted.error().message;
    }
    ASSERT_FALSE(pki::verify_certificate(mallory.certificate, trusted, document->content,
                                         CertificateUse::Client, now));

    const auto tls = pki::certificate_facts(own);
    if (pki::is_renewal_due(tls->not_before, tls->not_after, now)) {
      own = *pki::self_signed_certificate(*identity, now, 90);
      ++own_renewals;
    }
    lab.control->set_gateway_certificate_end(pki::certificate_facts(own)->not_after);
    for (const auto& one : lab.control->examine_certificates().findings) {
      ASSERT_EQ(one.state, "good") << one.what << " " << one.text << " at step " << step;
    }
    lab.control->retry_pending();
    if (step % 100 == 0) {
      ASSERT_THAT(differences(), IsEmpty());
    }
  }
  EXPECT_EQ(lab.control->show_authorities("lab")->authorities.size(), 1U);
  EXPECT_EQ(authority, 2U);
  EXPECT_GE(renewals, 3 * 6);
  EXPECT_GE(own_renewals, 6);
  EXPECT_LE(lab.state().certificates.size(), 12U) << "what is over is forgotten";
  EXPECT_THAT(differences(), IsEmpty());
}

}  // namespace
}  // namespace warren::control
