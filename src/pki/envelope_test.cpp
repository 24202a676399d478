#include "pki/envelope.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "pki/openssl.hpp"

namespace warren::pki {
namespace {

struct Pair {
  std::string secret;
  std::string open;
};

Pair pair_of(EVP_PKEY* key) {
  const Memory out(BIO_new(BIO_s_mem()));
  EXPECT_EQ(PEM_write_bio_PUBKEY(out.get(), key), 1);
  return {.secret = *key_to_pem(key), .open = content(out.get())};
}

Pair elliptic() { return pair_of(create_key("key")->get()); }
Pair rsa() { return pair_of(Key(EVP_RSA_gen(2048)).get()); }

std::string certificate_of(const Pair& pair) {
  const Memory in(BIO_new_mem_buf(pair.secret.data(), static_cast<int>(pair.secret.size())));
  const Key key(PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr));
  const Certificate made(X509_new());
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 77);
  EXPECT_TRUE(add_name(X509_get_subject_name(made.get()), "CN", "backups"));
  X509_set_issuer_name(made.get(), X509_get_subject_name(made.get()));
  EXPECT_TRUE(set_validity(made.get(), {1'750'000'000'000'000'000}, 10));
  X509_set_pubkey(made.get(), key.get());
  EXPECT_GT(X509_sign(made.get(), key.get(), EVP_sha256()), 0);
  return *certificate_to_pem(made.get());
}

TEST(Envelope, IsOpenedByTheOwnerOfTheKeyAndByNobodyElse) {
  const std::string text("a\0b and more", 12);
  for (const Pair& owner : {elliptic(), rsa()}) {
    for (const std::string& recipient : {owner.open, certificate_of(owner)}) {
      const auto sealed = seal_envelope(text, recipient);
      ASSERT_TRUE(sealed) << sealed.error().message;
      EXPECT_EQ(sealed->find("and more"), std::string::npos);
      const auto opened = open_envelope(*sealed, owner.secret);
      ASSERT_TRUE(opened) << opened.error().message;
      EXPECT_EQ(*opened, text);
      EXPECT_FALSE(open_envelope(*sealed, elliptic().secret));
      EXPECT_FALSE(open_envelope(*sealed, rsa().secret));
    }
  }
}

TEST(Envelope, ToSeveralIsOpenedByEach) {
  const Pair first = elliptic();
  const Pair second = rsa();
  const auto sealed = seal_envelope("x", certificate_of(first) + certificate_of(second));
  ASSERT_TRUE(sealed) << sealed.error().message;
  EXPECT_EQ(open_envelope(*sealed, first.secret).value_or(""), "x");
  EXPECT_EQ(open_envelope(*sealed, second.secret).value_or(""), "x");
}

TEST(Envelope, ChangedOrCutOffAnywhereItIsRefused) {
  const Pair owner = elliptic();
  const std::string text(1000, 'x');
  const std::string sealed = *seal_envelope(text, owner.open);
  for (std::size_t size = 0; size < sealed.size(); size += 7) {
    EXPECT_FALSE(open_envelope(sealed.substr(0, size), owner.secret)) << size;
  }
  for (std::size_t at = 0; at < sealed.size(); at += 5) {
    std::string changed = sealed;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    const auto opened = open_envelope(changed, owner.secret);
    // Some fields mean nothing to the content: the identifier of the key is one.
    if (opened) {
      EXPECT_EQ(*opened, text) << at;
    }
  }
}

TEST(Envelope, NeedsARecipientAndAKey) {
  EXPECT_EQ(seal_envelope("x", "nothing").error().kind, base::ErrorKind::Invalid);
  EXPECT_EQ(open_envelope("x", "nothing").error().kind, base::ErrorKind::Invalid);
  EXPECT_EQ(open_envelope("x", elliptic().secret).error().kind, base::ErrorKind::Invalid);
}

}  // namespace
}  // namespace warren::pki
