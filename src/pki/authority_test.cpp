#include "pki/authority.hpp"

#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <deque>
#include <random>

#include "pki/openssl.hpp"

namespace warren::pki {
namespace {

constexpr base::WallTime kNow{1'750'000'000'000'000'000};

base::WallTime after_days(std::int64_t days) { return kNow + std::chrono::hours(24 * days); }

class Random final : public base::RandomSource {
 public:
  void fill(base::MutableBytes out) override {
    for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(engine_());
  }

 private:
  std::mt19937 engine_{7};
};

class AuthorityTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = create_authority("lab", random_, kNow, 3'650);
    ASSERT_TRUE(made) << made.error().message;
    authority_ = std::move(*made);
  }
  Issued issue(const std::string& name, CertificateUse use = CertificateUse::Client,
               base::WallTime now = kNow, int days = 90) {
    const auto request = create_request(name);
    EXPECT_TRUE(request);
    const auto issued = sign_request(authority_, request->request_pem,
                                     {"lab", name, "node", use, {}, {}}, random_, now, days);
    EXPECT_TRUE(issued) << issued.error().message;
    return issued.value_or(Issued{});
  }
  std::string revocations(const std::vector<RevokedCertificate>& revoked,
                          base::WallTime now = kNow) {
    const auto list = sign_revocations(authority_, revoked, ++lists_, now, 30);
    EXPECT_TRUE(list) << list.error().message;
    return list ? list->pem : std::string();
  }

  Random random_;
  Authority authority_;
  std::uint64_t lists_ = 0;
};

TEST_F(AuthorityTest, SaysWhoACertificateIsFor) {
  const Issued issued = issue("alice");
  const auto facts = certificate_facts(issued.certificate_pem);
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ(facts->subject, "CN=alice,OU=node,O=lab");
  EXPECT_EQ(facts->issuer, "CN=lab authority,O=lab");
  EXPECT_EQ(facts->serial, issued.serial);
  EXPECT_EQ(issued.serial.size(), 32U);
  EXPECT_EQ(facts->fingerprint.size(), 64U);
  EXPECT_EQ(facts->not_before, after_days(-1));
  EXPECT_EQ(facts->not_after, after_days(90));
  EXPECT_EQ(issued.not_after, facts->not_after);
  EXPECT_FALSE(facts->is_authority);
}

TEST_F(AuthorityTest, AcceptsItsOwnUntilTheyAreRevokedOrOver) {
  const Issued alice = issue("alice");
  const Issued bob = issue("bob");
  const std::string list = revocations({{bob.serial, kNow}});
  const auto accepts = [&](const Issued& one, base::WallTime now = kNow) {
    return verify_certificate(one.certificate_pem, authority_.certificate_pem, list,
                              CertificateUse::Client, now)
        .has_value();
  };
  EXPECT_TRUE(accepts(alice));
  EXPECT_FALSE(accepts(bob));
  EXPECT_FALSE(accepts(alice, after_days(91)));
  EXPECT_FALSE(accepts(alice, after_days(-2)));
  EXPECT_FALSE(accepts(alice, after_days(31))) << "the list is stale";
}

TEST_F(AuthorityTest, IsStrangeToOthers) {
  const auto other = create_authority("lab", random_, kNow, 3'650);
  ASSERT_TRUE(other);
  const Issued issued = issue("alice");
  EXPECT_FALSE(verify_certificate(issued.certificate_pem, other->certificate_pem, "",
                                  CertificateUse::Client, kNow));
  EXPECT_TRUE(verify_certificate(issued.certificate_pem,
                                 other->certificate_pem + authority_.certificate_pem, "",
                                 CertificateUse::Client, kNow))
      << "during a roll-over both are accepted";
}

TEST_F(AuthorityTest, KeepsUsesApart) {
  const Issued member = issue("alice");
  const Issued server = issue("gateway", CertificateUse::Server);
  const auto accepted = [&](const Issued& one, CertificateUse use) {
    return verify_certificate(one.certificate_pem, authority_.certificate_pem, "", use, kNow)
        .has_value();
  };
  EXPECT_FALSE(accepted(member, CertificateUse::Server));
  EXPECT_TRUE(accepted(server, CertificateUse::Server));
  EXPECT_FALSE(accepted(server, CertificateUse::Client));
}

TEST_F(AuthorityTest, NoCertificateOutlivesIt) {
  const auto brief = create_authority("lab", random_, kNow, 10);
  ASSERT_TRUE(brief);
  const auto request = create_request("alice");
  ASSERT_TRUE(request);
  const auto issued =
      sign_request(*brief, request->request_pem, {"lab", "alice", "node"}, random_, kNow, 365);
  ASSERT_TRUE(issued);
  EXPECT_EQ(issued->not_after, after_days(10));
}

TEST_F(AuthorityTest, RefusesBadRequests) {
  const auto refused = [&](const std::string& request, const Holder& holder) {
    const auto issued = sign_request(authority_, request, holder, random_, kNow, 90);
    return !issued && issued.error().kind == base::ErrorKind::Invalid;
  };
  const Holder holder{"lab", "alice", "node"};
  const auto request = create_request("alice");
  ASSERT_TRUE(request);
  EXPECT_TRUE(refused("", holder));
  EXPECT_TRUE(refused("nonsense", holder));
  EXPECT_TRUE(refused(authority_.certificate_pem, holder));
  std::string tampered = request->request_pem;
  const std::size_t middle = tampered.size() / 2;
  tampered[middle] = tampered[middle] == 'A' ? 'B' : 'A';
  EXPECT_TRUE(refused(tampered, holder));
  Holder smuggler{"lab", "gateway", "node", CertificateUse::Server, {"a,IP:10.0.0.1"}, {}};
  EXPECT_TRUE(refused(request->request_pem, smuggler));
  EXPECT_TRUE(refused(request->request_pem, {"lab", "", "node"}));
  EXPECT_TRUE(refused(request->request_pem, {"lab", std::string(65, 'x'), "node"}));
}

TEST_F(AuthorityTest, ListsRefuseWhatIsNoSerial) {
  for (const char* serial : {"", "xyz", "12 34"}) {
    EXPECT_FALSE(sign_revocations(authority_, {{serial, kNow}}, 1, kNow, 30)) << serial;
  }
}

TEST_F(AuthorityTest, LoadsWhatIsBroughtAndRefusesTheRest) {
  const auto loaded = load_authority(authority_.certificate_pem, authority_.private_key_pem, kNow);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->certificate_pem, authority_.certificate_pem);
  EXPECT_TRUE(loaded->chain_pem.empty());

  const auto other = create_authority("lab", random_, kNow, 3'650);
  ASSERT_TRUE(other);
  const auto reason = [&](const std::string& certificate, const std::string& key,
                          base::WallTime now = kNow) {
    const auto refused = load_authority(certificate, key, now);
    return refused ? std::string("accepted") : refused.error().message;
  };
  EXPECT_NE(reason(authority_.certificate_pem, other->private_key_pem).find("not the one"),
            std::string::npos);
  EXPECT_NE(reason(authority_.certificate_pem, authority_.private_key_pem, after_days(4'000))
                .find("not valid now"),
            std::string::npos);
  const auto request = create_request("alice");
  ASSERT_TRUE(request);
  const auto leaf =
      sign_request(authority_, request->request_pem, {"lab", "alice", "node"}, random_, kNow, 90);
  ASSERT_TRUE(leaf);
  EXPECT_NE(reason(leaf->certificate_pem, request->private_key_pem).find("may not sign"),
            std::string::npos);
}

/// A subordinate of `root`, as an administrator would bring it.
Authority subordinate_of(const Authority& root, bool with_key_id = true) {
  const auto key = create_key("key");
  const auto issuer = read_certificate(root.certificate_pem, "root");
  const auto issuer_key = read_key(root.private_key_pem, "root's key");
  const Certificate made(X509_new());
  X509* raw = made.get();
  EXPECT_TRUE(X509_set_version(raw, X509_VERSION_3) == 1 && set_validity(raw, kNow, 365) &&
              add_name(X509_get_subject_name(raw), "CN", "lab below") &&
              X509_set_issuer_name(raw, X509_get_subject_name(issuer->get())) == 1 &&
              X509_set_pubkey(raw, key->get()) == 1 &&
              add_extension(issuer->get(), raw, NID_basic_constraints, "critical,CA:TRUE") &&
              add_extension(issuer->get(), raw, NID_key_usage, "keyCertSign,cRLSign") &&
              (!with_key_id || add_extension(raw, raw, NID_subject_key_identifier, "hash")) &&
              X509_sign(raw, issuer_key->get(), EVP_sha256()) > 0);
  return {*certificate_to_pem(raw), *key_to_pem(key->get()), {}};
}

TEST_F(AuthorityTest, ASubordinateBringsItsChain) {
  const Authority below = subordinate_of(authority_);
  const auto loaded = load_authority(
      "text before\n" + below.certificate_pem + "text between\n" + authority_.certificate_pem,
      below.private_key_pem, kNow);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->certificate_pem, below.certificate_pem);
  EXPECT_EQ(loaded->chain_pem, authority_.certificate_pem);

  const auto other = create_authority("lab", random_, kNow, 3'650);
  const auto broken =
      load_authority(below.certificate_pem + other->certificate_pem, below.private_key_pem, kNow);
  ASSERT_FALSE(broken);
  EXPECT_NE(broken.error().message.find("not the issuer"), std::string::npos);
  const Authority nameless = subordinate_of(authority_, false);
  const auto no_id = load_authority(nameless.certificate_pem, nameless.private_key_pem, kNow);
  ASSERT_FALSE(no_id);
  EXPECT_NE(no_id.error().message.find("key identifier"), std::string::npos);
}

TEST_F(AuthorityTest, ReadsItsListsBack) {
  const Issued one = issue("one");
  const Issued two = issue("two");
  const auto list =
      sign_revocations(authority_, {{one.serial, kNow}, {two.serial, kNow}}, 9, kNow, 7);
  ASSERT_TRUE(list);
  const auto facts = read_revocations(list->pem, authority_.certificate_pem);
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ(facts->number, 9U);
  EXPECT_EQ(facts->next_update, list->next_update);
  std::vector<std::string> serials{one.serial, two.serial};
  std::ranges::sort(serials);
  EXPECT_EQ(facts->serials, serials);
  const auto other = create_authority("lab", random_, kNow, 3'650, 2);
  EXPECT_EQ(read_revocations(list->pem, other->certificate_pem).error().kind,
            base::ErrorKind::NotPermitted);
  EXPECT_EQ(certificate_facts(other->certificate_pem)->subject, "CN=lab authority 2,O=lab");
}

TEST_F(AuthorityTest, KnowsAKeyByItsCertificateAndWhenItIsDue) {
  const auto made = create_request("ann");
  const auto again = request_for(made->private_key_pem, "ann");
  ASSERT_TRUE(again);
  const auto issued = sign_request(authority_, *again, {"lab", "ann", "node"}, random_, kNow, 90);
  ASSERT_TRUE(issued);
  EXPECT_TRUE(is_key_of(made->private_key_pem, issued->certificate_pem));
  EXPECT_FALSE(is_key_of(authority_.private_key_pem, issued->certificate_pem));
  EXPECT_FALSE(is_key_of("", ""));
  EXPECT_FALSE(is_renewal_due(kNow, after_days(90), after_days(59)));
  EXPECT_TRUE(is_renewal_due(kNow, after_days(90), after_days(60)));
  EXPECT_TRUE(is_renewal_due(kNow, after_days(90), after_days(-1)));
}

TEST_F(AuthorityTest, ListsInDerAreTheSameAsPem) {
  const auto list = sign_revocations(authority_, {{issue("one").serial, kNow}}, 9, kNow, 7);
  ASSERT_TRUE(list);
  EXPECT_EQ(revocations_pem(list->der).value_or(""), list->pem);
  EXPECT_FALSE(revocations_pem("nonsense"));
  EXPECT_FALSE(revocations_pem(""));
}

// RFC 5280, 4.1.2.5: 9999-12-31 says that there is no end.
TEST_F(AuthorityTest, AnAuthorityWithoutAnEndIsValid) {
  const auto key = read_key(authority_.private_key_pem, "key");
  const auto certificate = read_certificate(authority_.certificate_pem, "certificate");
  ASSERT_EQ(ASN1_TIME_set_string(X509_getm_notAfter(certificate->get()), "99991231235959Z"), 1);
  ASSERT_GT(X509_sign(certificate->get(), key->get(), EVP_sha256()), 0);
  const auto loaded =
      load_authority(*certificate_to_pem(certificate->get()), authority_.private_key_pem, kNow);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_GT(certificate_facts(loaded->certificate_pem)->not_after, after_days(36'500));
}

// Whoever sends a request must not make the gateway ask its terminal for a passphrase, and wait.
TEST_F(AuthorityTest, APemThatSaysItIsEncryptedAsksNobody) {
  const std::string plain = create_request("x")->request_pem;
  const std::size_t body = plain.find('\n') + 1;
  const std::string encrypted =
      plain.substr(0, body) +
      "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n" +
      plain.substr(body);
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, nullptr);
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::alarm(20);
    const auto refused =
        sign_request(authority_, encrypted, {"lab", "x", "node"}, random_, kNow, 1);
    const auto list = read_revocations(encrypted, authority_.certificate_pem);
    ::_exit(refused || list ? 1 : 0);
  }
  std::string shown;
  std::array<char, 256> part{};
  for (ssize_t size = 0; (size = ::read(terminal, part.data(), part.size())) > 0;) {
    shown.append(part.data(), static_cast<std::size_t>(size));
    if (shown.find("pass phrase") != std::string::npos) break;
  }
  ::close(terminal);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(shown, "");
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

// Four hundred days of a network: every certificate is renewed with a third of its life left, the
// list each week, the authority is rolled over in the middle with both accepted until every member
// has a new certificate. Nobody is ever refused, and whoever was revoked always is.
TEST_F(AuthorityTest, AYearPassesWithoutASurprise) {
  constexpr int kLife = 60;
  Issued alice = issue("alice", CertificateUse::Client, kNow, kLife);
  const Issued mallory = issue("mallory", CertificateUse::Client, kNow, 3'000);
  Authority old;
  std::string list;
  for (int day = 0; day <= 400; ++day) {
    const base::WallTime now = after_days(day);
    if (day == 200) {
      old = std::exchange(authority_, *create_authority("lab", random_, now, 3'650));
    }
    if (day % 7 == 0 || day == 200) {
      list = revocations({{mallory.serial, kNow}}, now);
      if (!old.certificate_pem.empty()) {
        const auto olds = sign_revocations(old, {{mallory.serial, kNow}}, ++lists_, now, 30);
        ASSERT_TRUE(olds);
        list += olds->pem;
      }
    }
    if (alice.not_after - now < std::chrono::hours(24 * kLife / 3)) {
      alice = issue("alice", CertificateUse::Client, now, kLife);
    }
    const std::string trusted = authority_.certificate_pem + old.certificate_pem;
    const auto accepted =
        verify_certificate(alice.certificate_pem, trusted, list, CertificateUse::Client, now);
    ASSERT_TRUE(accepted) << "day " << day << ": " << accepted.error().message;
    ASSERT_FALSE(
        verify_certificate(mallory.certificate_pem, trusted, list, CertificateUse::Client, now))
        << "day " << day;
  }
  EXPECT_EQ(certificate_facts(alice.certificate_pem)->issuer, "CN=lab authority,O=lab");
  EXPECT_TRUE(verify_certificate(alice.certificate_pem, authority_.certificate_pem, "",
                                 CertificateUse::Client, after_days(400)))
      << "the new authority alone is enough at the end";
}

}  // namespace
}  // namespace warren::pki
