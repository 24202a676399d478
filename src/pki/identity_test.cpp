#include "pki/identity.hpp"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <vector>

namespace warren::pki {
namespace {

constexpr base::WallTime kNow{1'750'000'000'000'000'000};

using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

Certificate read(const std::string& pem) {
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> memory(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free_all);
  return {PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr), &X509_free};
}

std::vector<std::uint8_t> der_of(X509* certificate) {
  std::vector<std::uint8_t> der(static_cast<std::size_t>(i2d_X509(certificate, nullptr)));
  unsigned char* at = der.data();
  i2d_X509(certificate, &at);
  return der;
}

TEST(Identity, IsAnotherEachTime) {
  const auto one = create_identity();
  const auto two = create_identity();
  ASSERT_TRUE(one) << one.error().message;
  ASSERT_TRUE(two);
  EXPECT_NE(one->pin, two->pin);
  EXPECT_TRUE(one->private_key_pem.starts_with("-----BEGIN PRIVATE KEY-----"));
}

TEST(Identity, ReadsBackWithTheSamePin) {
  const auto created = create_identity();
  ASSERT_TRUE(created);
  const auto loaded = load_identity(created->private_key_pem);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->pin, created->pin);
}

TEST(Identity, RefusesWhatIsNoP256Key) {
  for (const std::string& text :
       {std::string(), std::string("nonsense"), std::string(1 << 20, 'x')}) {
    const auto loaded = load_identity(text);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().kind, base::ErrorKind::Invalid);
  }
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> other(EVP_EC_gen("P-384"),
                                                                  &EVP_PKEY_free);
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> memory(BIO_new(BIO_s_mem()), &BIO_free_all);
  ASSERT_EQ(
      PEM_write_bio_PrivateKey(memory.get(), other.get(), nullptr, nullptr, 0, nullptr, nullptr),
      1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &data);
  EXPECT_EQ(load_identity(std::string(data, static_cast<std::size_t>(size))).error().message,
            "the identity key is not an ECDSA P-256 key");
}

TEST(Identity, RefusesEveryTruncationOfAKey) {
  const auto created = create_identity();
  ASSERT_TRUE(created);
  // The last line's end may be missing; everything before is needed.
  for (std::size_t size = 0; size + 2 < created->private_key_pem.size(); ++size) {
    ASSERT_FALSE(load_identity(created->private_key_pem.substr(0, size))) << size;
  }
}

TEST(Certificate, CarriesThePinAndIsValidNow) {
  const auto identity = create_identity();
  ASSERT_TRUE(identity);
  const auto pem = self_signed_certificate(*identity, kNow, 90);
  ASSERT_TRUE(pem) << pem.error().message;
  const Certificate certificate = read(*pem);
  ASSERT_TRUE(certificate);
  const auto der = der_of(certificate.get());
  EXPECT_EQ(certificate_pin(der.data(), der.size()).value(), identity->pin);
  time_t now = kNow.seconds();
  EXPECT_EQ(X509_cmp_time(X509_get0_notBefore(certificate.get()), &now), -1);
  EXPECT_EQ(X509_cmp_time(X509_get0_notAfter(certificate.get()), &now), 1);
  now += 91 * 24 * 3600;
  EXPECT_EQ(X509_cmp_time(X509_get0_notAfter(certificate.get()), &now), -1);
  EXPECT_EQ(X509_verify(certificate.get(), X509_get0_pubkey(certificate.get())), 1);
  EXPECT_EQ(X509_check_purpose(certificate.get(), X509_PURPOSE_SSL_SERVER, 0), 1);
}

TEST(Certificate, RenewsWithTheSamePinAndAnotherSerial) {
  const auto identity = create_identity();
  ASSERT_TRUE(identity);
  const Certificate one = read(*self_signed_certificate(*identity, kNow, 90));
  const Certificate two =
      read(*self_signed_certificate(*identity, kNow + std::chrono::hours(24), 90));
  const auto der1 = der_of(one.get());
  const auto der2 = der_of(two.get());
  EXPECT_EQ(certificate_pin(der1.data(), der1.size()).value(),
            certificate_pin(der2.data(), der2.size()).value());
  EXPECT_NE(ASN1_INTEGER_cmp(X509_get0_serialNumber(one.get()), X509_get0_serialNumber(two.get())),
            0);
}

TEST(Certificate, PinRefusesTruncationAndTrailingBytes) {
  const auto identity = create_identity();
  ASSERT_TRUE(identity);
  auto der = der_of(read(*self_signed_certificate(*identity, kNow, 1)).get());
  for (std::size_t size = 0; size < der.size(); ++size) {
    ASSERT_FALSE(certificate_pin(der.data(), size)) << size;
  }
  der.push_back(0);
  EXPECT_FALSE(certificate_pin(der.data(), der.size()));
}

}  // namespace
}  // namespace warren::pki
