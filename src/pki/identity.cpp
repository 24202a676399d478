// The identity key over OpenSSL 3.
//
// One ECDSA P-256 key. The pin is the SHA-256 of its DER SubjectPublicKeyInfo, so that it depends
// on the key alone. Certificates are only the envelope that TLS demands: nobody verifies their
// chain, name or dates; the member compares the pin. They therefore hold no name of the host.
// OpenSSL's handles are owned from birth; its error queue is read once and cleared, where it fails.
#include "pki/identity.hpp"

#include <openssl/err.h>

#include "crypto/crypto.hpp"
#include "crypto/secret.hpp"
#include "pki/openssl.hpp"

namespace warren::pki {

namespace {

base::Result<std::array<std::uint8_t, 32>> pin_of(X509_PUBKEY* spki) {
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(spki, &der);
  if (size <= 0) return openssl_error("encode the public key");
  const auto pin = crypto::sha256({der, static_cast<std::size_t>(size)});
  OPENSSL_free(der);
  return pin;
}

base::Result<std::array<std::uint8_t, 32>> pin_of(EVP_PKEY* key) {
  X509_PUBKEY* raw = nullptr;
  const int done = X509_PUBKEY_set(&raw, key);
  const std::unique_ptr<X509_PUBKEY, Freer<X509_PUBKEY_free>> spki(raw);
  if (done != 1) return openssl_error("encode the public key");
  return pin_of(spki.get());
}

/// The serial number comes from key and time: the same certificate is never issued with two.
bool set_serial(X509* certificate, const Identity& identity, base::WallTime now) {
  std::array<std::uint8_t, 40> input{};
  base::ByteWriter(input).bytes(identity.pin).u64_be(static_cast<std::uint64_t>(now.ns));
  crypto::Hash hash = crypto::sha256(input);
  hash[0] = static_cast<std::uint8_t>((hash[0] & 0x7f) | 0x40);  // positive and of full length
  const std::unique_ptr<BIGNUM, Freer<BN_free>> number(BN_bin2bn(hash.data(), 16, nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_fields(X509* certificate, EVP_PKEY* key, const Identity& identity, base::WallTime now,
                int days) {
  constexpr std::string_view kName = "warren gateway";
  X509_NAME* name = X509_get_subject_name(certificate);
  return X509_set_version(certificate, X509_VERSION_3) == 1 &&
         set_serial(certificate, identity, now) && add_name(name, "CN", kName) &&
         X509_set_issuer_name(certificate, name) == 1 && set_validity(certificate, now, days) &&
         X509_set_pubkey(certificate, key) == 1 &&
         add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:FALSE") &&
         add_extension(certificate, certificate, NID_key_usage, "critical,digitalSignature") &&
         add_extension(certificate, certificate, NID_ext_key_usage, "serverAuth") &&
         add_extension(certificate, certificate, NID_subject_key_identifier, "hash");
}

}  // namespace

base::Result<Identity> create_identity() {
  WARREN_TRY_ASSIGN(const Key key, create_key("identity key"));
  Identity identity;
  WARREN_TRY_ASSIGN(identity.private_key_pem, key_to_pem(key.get()));
  WARREN_TRY_ASSIGN(identity.pin, pin_of(key.get()));
  return identity;
}

base::Result<Identity> load_identity(std::string private_key_pem) {
  WARREN_TRY_ASSIGN(const Key key, read_key(private_key_pem, "identity key"));
  Identity identity;
  WARREN_TRY_ASSIGN(identity.pin, pin_of(key.get()));
  identity.private_key_pem = std::move(private_key_pem);
  return identity;
}

base::Result<std::string> self_signed_certificate(const Identity& identity, base::WallTime now,
                                                  int days) {
  WARREN_TRY_ASSIGN(const Key key, read_key(identity.private_key_pem, "identity key"));
  const Certificate certificate(X509_new());
  if (!certificate || !set_fields(certificate.get(), key.get(), identity, now, days) ||
      X509_sign(certificate.get(), key.get(), EVP_sha256()) <= 0) {
    return openssl_error("make the gateway's certificate");
  }
  return certificate_to_pem(certificate.get());
}

base::Result<std::array<std::uint8_t, 32>> certificate_pin(const std::uint8_t* der,
                                                           std::size_t size) {
  constexpr std::size_t kMaxCertificate = 65'536;
  const auto invalid = [] {
    ERR_clear_error();
    return base::make_error(base::ErrorKind::Invalid, "the gateway's certificate is malformed");
  };
  if (size > kMaxCertificate) return invalid();
  const unsigned char* at = der;
  const Certificate certificate(d2i_X509(nullptr, &at, static_cast<long>(size)));
  if (!certificate || at != der + size) return invalid();
  X509_PUBKEY* spki = X509_get_X509_PUBKEY(certificate.get());
  if (spki == nullptr) return invalid();
  return pin_of(spki);
}

}  // namespace warren::pki
