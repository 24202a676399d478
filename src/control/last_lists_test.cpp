#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/certificate_fixture.hpp"
#include "control/limits.hpp"

namespace warren::control {
namespace {

using pki::CertificateUse;
using ::testing::HasSubstr;
using testing::Holder;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// A server elsewhere that trusts the authority of the network as it was at the beginning, and
/// knows nothing but where its list is.
class LastLists : public testing::CertificateTest {
 protected:
  LastLists() { trust("lab"); }

  void trust(const std::string& network) {
    const auto shown = lab.control->show_authorities(network);
    ASSERT_TRUE(shown);
    authority = shown->authorities.at(0).certificates;
    fingerprint = shown->authorities.at(0).chain.at(0).fingerprint;
  }
  base::Result<RevocationDocument> published(ListForm form = ListForm::Pem) {
    return lab.control->published_list(fingerprint, form);
  }
  /// Fails where there is no list: then the server lets nobody in, but says something else.
  base::Status admit(const std::string& certificate) {
    WARREN_TRY_ASSIGN(const RevocationDocument document, published());
    return pki::verify_certificate(certificate, authority, document.content, CertificateUse::Client,
                                   lab.clock.time);
  }
  bool keeps_out(const std::string& certificate) {
    const base::Status admitted = admit(certificate);
    return !admitted && admitted.error().message.find("revoked") != std::string::npos;
  }
  std::uint64_t published_number() {
    const auto document = published();
    EXPECT_TRUE(document);
    const auto facts = pki::read_revocations(document->content, authority);
    EXPECT_TRUE(facts) << facts.error().message;
    return facts ? facts->number : 0;
  }

  std::string authority;
  std::string fingerprint;
};

TEST_F(LastLists, AnAuthorityHasItsListUnderItsOwnName) {
  const Holder ann = join("ann");
  const auto pem = published();
  ASSERT_TRUE(pem);
  EXPECT_EQ(pem->content, list().content);
  EXPECT_EQ(published(ListForm::Der)->content[0], '\x30');
  EXPECT_TRUE(admit(ann.certificate));
  const auto unknown = lab.control->published_list("lab", ListForm::Pem);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind, base::ErrorKind::NotFound);
  EXPECT_EQ(unknown.error().message.find("lab"), std::string::npos);

  // In a roll-over each has its own.
  ASSERT_TRUE(lab.control->rotate_authority("uid 0", "lab", {}));
  ASSERT_TRUE(lab.control->revoke("uid 0", "lab", "ann"));
  EXPECT_TRUE(keeps_out(ann.certificate));
}

TEST_F(LastLists, ADeletedNetworkKeepsItsMembersOutUntilTheyAreOver) {
  const Holder ann = join("ann");
  const Holder bob = join("bob");
  ASSERT_TRUE(lab.control->revoke("uid 0", "lab", "bob"));
  EXPECT_TRUE(admit(ann.certificate));
  const std::uint64_t before = published_number();
  ASSERT_TRUE(lab.control->delete_network("uid 0", "lab"));
  EXPECT_TRUE(lab.state().networks.empty());
  EXPECT_TRUE(lab.state().authorities.empty()) << "the key is gone";
  EXPECT_TRUE(keeps_out(ann.certificate));
  EXPECT_TRUE(keeps_out(bob.certificate));
  EXPECT_GT(published_number(), before);

  lab.restart();
  for (int day = 0; day < kMemberCertificateDays; ++day) {
    ASSERT_TRUE(keeps_out(ann.certificate)) << "day " << day;
    const auto document = published();
    ASSERT_TRUE(pki::read_revocations(document->content, authority)->next_update > lab.clock.time);
    EXPECT_TRUE(lab.control->verify("")->differences.empty());
    pass_days(1);
    lab.control->retry_pending();
  }
  EXPECT_TRUE(published()) << "clocks differ";
  pass_days(4);
  EXPECT_FALSE(published());
  EXPECT_THAT(lab.state().last_lists, SizeIs(1));
  lab.control->retry_pending();
  EXPECT_THAT(lab.state().last_lists, IsEmpty()) << "what is over is forgotten";
}

TEST_F(LastLists, WhereNothingIsRunningNothingStays) {
  ASSERT_TRUE(lab.create("other", "10.30.0.0/24"));
  ASSERT_TRUE(lab.control->delete_network("uid 0", "other"));
  EXPECT_THAT(lab.state().last_lists, IsEmpty());
  const Holder brief = join("job", true);
  pass_days(3);
  ASSERT_TRUE(lab.control->delete_network("uid 0", "lab"));
  EXPECT_THAT(lab.state().last_lists, IsEmpty());
}

TEST_F(LastLists, ADroppedAuthorityLeavesOneToo) {
  Holder ann = join("ann");
  const std::string old = ann.certificate;
  ASSERT_TRUE(lab.control->rotate_authority("uid 0", "lab", {}));
  renew(ann);
  EXPECT_TRUE(admit(old));
  lab.control->retry_pending();
  EXPECT_THAT(lab.state().authorities, SizeIs(1)) << "nobody needs the old one";
  EXPECT_TRUE(keeps_out(old));
  EXPECT_TRUE(check(ann.certificate));

  trust("lab");
  ASSERT_TRUE(lab.control->rotate_authority("uid 0", "lab", {.drop_old = true}));
  EXPECT_TRUE(keeps_out(ann.certificate)) << "somebody has its key";
}

TEST_F(LastLists, ACrashBeforeTheDeletionLeavesBothAndAfterItTheLastListAlone) {
  const Holder ann = join("ann");
  lab.faults.failing = {lab.faults.calls};  // the commit
  EXPECT_FALSE(lab.control->delete_network("uid 0", "lab"));
  lab.faults.failing.clear();
  lab.restart();
  EXPECT_TRUE(admit(ann.certificate));
  EXPECT_THAT(lab.state().last_lists, IsEmpty());
  lab.faults.failing = {lab.faults.calls + 1};  // what comes behind it
  (void)lab.control->delete_network("uid 0", "lab");
  lab.faults.failing.clear();
  lab.restart();
  EXPECT_TRUE(keeps_out(ann.certificate));
}

TEST_F(LastLists, AnAuthorityThatIsBroughtAgainGoesOn) {
  const auto own = pki::create_authority("brought", lab.random, lab.clock.time, 900);
  api::NetworkCreate wanted{.name = "mine", .subnet = "10.21.0.0/24"};
  wanted.ca_certificates = own->certificate_pem;
  wanted.ca_key = own->private_key_pem;
  ASSERT_TRUE(lab.control->create_network("uid 0", wanted));
  trust("mine");
  wanted.name = "twin";
  wanted.subnet = "10.22.0.0/24";
  const auto twice = lab.control->create_network("uid 0", wanted);
  ASSERT_FALSE(twice) << "two would sign lists that nobody can tell apart";
  EXPECT_EQ(twice.error().kind, base::ErrorKind::Conflict);
  EXPECT_THAT(twice.error().message, HasSubstr("mine authority 1"));
  const auto into_lab = lab.control->rotate_authority(
      "uid 0", "lab", {.ca_certificates = wanted.ca_certificates, .ca_key = wanted.ca_key});
  EXPECT_FALSE(into_lab);

  const auto request = pki::create_request("x");
  const auto made = lab.control->sign_certificate(
      "uid 0", "mine",
      {.certificate_request = request->request_pem, .server = true, .dns_names = {"www.mine"}});
  ASSERT_TRUE(made);
  ASSERT_TRUE(lab.control->delete_network("uid 0", "mine"));
  const std::uint64_t last = published_number();
  wanted.name = "mine";

  const auto revoked = [&] {
    const auto facts = pki::read_revocations(published()->content, authority);
    return facts ? facts->serials : std::vector<std::string>();
  };
  // Wherever it fails, what is published says the same.
  int refused = 0;
  for (std::size_t call = 0; call < 12; ++call) {
    lab.faults.failing = {lab.faults.calls + call};
    const bool created = lab.control->create_network("uid 0", wanted).has_value();
    lab.faults.failing.clear();
    refused += created ? 0 : 1;
    lab.control->retry_pending();
    ASSERT_THAT(revoked(), ::testing::ElementsAre(made->serial)) << call;
    ASSERT_GE(published_number(), last) << call;
    ASSERT_TRUE(!created || lab.control->delete_network("uid 0", "mine"));
  }
  EXPECT_GE(refused, 3);

  ASSERT_TRUE(lab.control->create_network("uid 0", wanted));
  EXPECT_THAT(lab.state().last_lists, IsEmpty());
  EXPECT_THAT(revoked(), ::testing::ElementsAre(made->serial)) << "once revoked, always";
  EXPECT_GT(published_number(), last);
  EXPECT_TRUE(lab.control->verify("mine")->differences.empty());
  pass_days(kServerCertificateDays + 4);
  lab.control->retry_pending();
  EXPECT_THAT(revoked(), IsEmpty());
}

TEST_F(LastLists, NumbersGrowAlsoBehindABackupThatIsRestored) {
  const Holder ann = join("ann");
  const store::State backup = lab.state();
  for (int i = 0; i < 20; ++i) {
    pass_days(1);
    (void)list();
    lab.control->retry_pending();
  }
  const std::uint64_t seen = published_number();
  std::vector<store::Change> changes;
  for (const auto& [key, one] : backup.authorities) changes.emplace_back(store::PutAuthority{one});
  ASSERT_TRUE(lab.memory.commit(changes, {}));
  pass_days(1);
  lab.restart();
  EXPECT_GT(published_number(), seen);
}

// --- what verify reads back ---

class KeptCertificates : public testing::CertificateTest {
 protected:
  /// What verify says when somebody changed the store behind the daemon's back. Repaired, it says
  /// nothing, and the store has what it had.
  std::vector<std::string> tampered(const std::vector<store::Change>& changes) {
    const store::State before = lab.state();
    EXPECT_TRUE(lab.memory.commit(changes, {}));
    std::vector<std::string> found = differences();
    const auto repaired = lab.control->repair("uid 0", "lab");
    EXPECT_TRUE(repaired) << repaired.error().message;
    EXPECT_THAT(repaired ? repaired->differences : decltype(repaired->differences){}, IsEmpty());
    EXPECT_EQ(lab.state(), before);
    return found;
  }
  store::StoredAuthority kept_authority() { return lab.state().authorities.begin()->second; }
};

TEST_F(KeptCertificates, AreReadBackAndRestored) {
  const Holder ann = join("ann");
  const Holder bob = join("bob");
  ASSERT_TRUE(lab.control->revoke("uid 0", "lab", "bob"));
  EXPECT_THAT(differences(), IsEmpty());
  const auto says = [](const char* text) { return ::testing::Contains(HasSubstr(text)); };

  const auto foreign = pki::create_authority("lab", lab.random, lab.clock.time, 100);
  auto authority = kept_authority();
  authority.private_key_pem = foreign->private_key_pem;
  EXPECT_THAT(tampered({store::PutAuthority{authority}}), says("authority 1: its private key"));
  authority = kept_authority();
  authority.certificate_pem = foreign->certificate_pem;
  EXPECT_THAT(tampered({store::PutAuthority{authority}}), says("authority 1: its certificate"));
  authority = kept_authority();
  authority.list_number = 1;
  EXPECT_THAT(tampered({store::PutAuthority{authority}}), says("authority 1: its list's number"));
  const model::NetworkId id = authority.network;
  EXPECT_THAT(tampered({store::DeleteAuthority{id, 1}}),
              says("missing in the database: authority 1"));
  authority.number = 7;
  authority.retiring = true;
  EXPECT_THAT(tampered({store::PutAuthority{authority}}),
              says("unexpected in the database: authority 7"));

  for (const auto& [serial, certificate] : lab.state().certificates) {
    store::IssuedCertificate one = certificate;
    one.revoked = one.revoked.ns != 0 ? base::WallTime{} : lab.clock.time;
    EXPECT_THAT(tampered({store::PutCertificate{one}}),
                says(one.name == "bob" ? "it is revoked, and not there" : "it is not revoked so"));
    one = certificate;
    one.name = "mallory";
    EXPECT_THAT(tampered({store::PutCertificate{one}}), says("mallory as member"));
    EXPECT_THAT(tampered({store::DeleteCertificate{serial}}),
                says(("missing in the database: certificate " + serial).c_str()));
    one = certificate;
    one.serial = "0a";
    EXPECT_THAT(tampered({store::PutCertificate{one}}),
                says("unexpected in the database: certificate 0a"));
  }
  const store::LastList odd{.authority = std::string(64, 'a'), .der = "x", .until = {1}};
  EXPECT_THAT(tampered({store::PutLastList{odd}}), says("unexpected in the database: the last"));
}

TEST_F(KeptCertificates, AreJudgedByThemselvesWhereTheDaemonStartsWithThem) {
  const Holder ann = join("ann");
  const auto says_after_start = [&](const store::Change& change, const store::Change& undo,
                                    const char* text) {
    EXPECT_TRUE(lab.memory.commit({change}, {}));
    lab.restart();
    EXPECT_THAT(differences(), ::testing::Contains(HasSubstr(text)));
    EXPECT_TRUE(lab.memory.commit({undo}, {}));
    lab.restart();
    EXPECT_THAT(differences(), IsEmpty());
  };
  const store::StoredAuthority authority = kept_authority();
  store::StoredAuthority other = authority;
  other.private_key_pem =
      pki::create_authority("lab", lab.random, lab.clock.time, 100)->private_key_pem;
  says_after_start(store::PutAuthority{other}, store::PutAuthority{authority},
                   "authority 1: the key is not the one");
  const store::IssuedCertificate certificate = lab.state().certificates.begin()->second;
  store::IssuedCertificate wrong = certificate;
  wrong.role = "node";
  says_after_start(store::PutCertificate{wrong}, store::PutCertificate{certificate},
                   "of ann, who is no member");
  wrong = certificate;
  wrong.not_after = lab.clock.time + std::chrono::hours(24 * (kAuthorityDays + 1));
  says_after_start(store::PutCertificate{wrong}, store::PutCertificate{certificate},
                   "would outlive authority 1");
}

// A role may be called "server": its members' certificates are still their own.
TEST_F(KeptCertificates, AMemberOfARoleCalledServerIsNoServer) {
  ASSERT_TRUE(lab.control->add_role("uid 0", "lab", {.name = "server"}));
  ASSERT_TRUE(lab.control->set_network("uid 0", "lab", {.default_role = "server"}));
  const Holder ann = join("ann");
  EXPECT_EQ(pki::certificate_facts(ann.certificate)->subject, "CN=ann,OU=server,O=lab");
  ASSERT_TRUE(lab.control->rename_peer("uid 0", "lab", "ann", {.name = "anna"}));
  EXPECT_FALSE(check(ann.certificate)) << "somebody else may be called ann now";
}

// --- doctor ---

TEST_F(KeptCertificates, DoctorCountsDownFromThirtySevenAndOne) {
  const auto finding = [&](const std::string& what) {
    for (const auto& one : lab.control->examine_certificates().findings) {
      if (one.what == what) return one.state + " " + one.text.substr(0, one.text.find(" ("));
    }
    return std::string();
  };
  const auto request = pki::create_request("x");
  ASSERT_TRUE(lab.control->sign_certificate("uid 0", "lab",
                                            {.certificate_request = request->request_pem,
                                             .server = true,
                                             .dns_names = {"www.lab"},
                                             .days = 100}));
  const base::WallTime begin = lab.clock.time;
  const base::WallTime end = begin + std::chrono::hours(24 * 100);
  lab.control->set_gateway_certificate_end(end);
  const std::string ours = "the gateway's TLS certificate";
  const std::string server = "certificate of www.lab";
  const auto left = [&](std::chrono::minutes time) {
    lab.clock.time = {end.ns - base::Duration(time).count()};
  };
  using std::chrono::days;
  using std::chrono::hours;
  using std::chrono::minutes;
  const struct {
    minutes time;
    const char* said;
  } steps[] = {{days(31), "good good for 31 days"},
               {days(30), "weak ends in 30 days"},
               {days(8), "weak ends in 8 days"},
               {days(7), "bad ends in 7 days"},
               {days(2), "bad ends in 2 days"},
               {days(1), "bad ends within a day: in 24 h"},
               {hours(5), "bad ends within a day: in 5 h"}};
  for (const auto& [time, said] : steps) {
    left(time);
    EXPECT_EQ(finding(ours), said);
    EXPECT_EQ(finding(server), time > days(30) ? "" : said) << "a server's by hand as well";
  }
  left(-hours(50));
  EXPECT_EQ(finding(ours).substr(0, 17), "bad is over since");
  EXPECT_EQ(finding(server).substr(0, 17), "bad is over since");

  const auto until = lab.control->show_authorities("lab")->authorities[0].chain[0].not_after;
  lab.clock.time = {(until - 31 * 86'400) * 1'000'000'000};
  EXPECT_EQ(finding("authority 1"), "good good for 31 days");
  lab.clock.time = {(until - 30 * 86'400) * 1'000'000'000};
  EXPECT_EQ(finding("authority 1"), "weak ends in 30 days");
  lab.clock.time = {(until - 7 * 86'400) * 1'000'000'000};
  EXPECT_EQ(finding("authority 1"), "bad ends in 7 days");
}

}  // namespace
}  // namespace warren::control
