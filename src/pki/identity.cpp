// The identity key over OpenSSL 3.
//
// One ECDSA P-256 key. The pin is the SHA-256 of its DER SubjectPublicKeyInfo, so that it depends
// on the key alone. Certificates are only the envelope that TLS demands: nobody verifies their
// chain, name or dates; the member compares the pin. They therefore hold no name of the host.
// OpenSSL's handles are owned from birth; its error queue is read once and cleared, where it fails.
#include "pki/identity.hpp"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

#include "crypto/crypto.hpp"
#include "crypto/secret.hpp"

namespace warren::pki {

namespace {

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* handle) const {
    Free(handle);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freer<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>>;
using Memory = std::unique_ptr<BIO, Freer<BIO_free_all>>;

constexpr std::int64_t kDay = 86'400;

base::Error openssl_error(std::string what) {
  char text[256] = "no reason given";
  if (const unsigned long code = ERR_get_error(); code != 0) {
    ERR_error_string_n(code, text, sizeof text);
  }
  ERR_clear_error();
  return base::make_error(base::ErrorKind::Failed, std::move(what) + ": " + text);
}

std::string content(BIO* memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

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

base::Result<Key> read_key(const std::string& pem) {
  // A PEM with a pass phrase must not make OpenSSL ask on the terminal.
  const auto no_passphrase = [](char*, int, int, void*) { return -1; };
  if (pem.size() > 65'536) return base::make_error(base::ErrorKind::Invalid, "key too large");
  const Memory memory(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (!memory) return openssl_error("read the identity key");
  Key key(PEM_read_bio_PrivateKey(memory.get(), nullptr, no_passphrase, nullptr));
  if (!key) {
    base::Error error = openssl_error("read the identity key");
    error.kind = base::ErrorKind::Invalid;
    return error;
  }
  char group[32] = "";
  std::size_t length = 0;
  if (EVP_PKEY_is_a(key.get(), "EC") != 1 ||
      EVP_PKEY_get_group_name(key.get(), group, sizeof group, &length) != 1 ||
      std::string_view(group) != "prime256v1") {
    return base::make_error(base::ErrorKind::Invalid, "the identity key is not an ECDSA P-256 key");
  }
  return key;
}

bool add_extension(X509* certificate, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
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
         set_serial(certificate, identity, now) &&
         X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(kName.data()),
                                    static_cast<int>(kName.size()), -1, 0) == 1 &&
         X509_set_issuer_name(certificate, name) == 1 &&
         ASN1_TIME_set(X509_getm_notBefore(certificate), now.seconds() - kDay) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), now.seconds() + days * kDay) != nullptr &&
         X509_set_pubkey(certificate, key) == 1 &&
         add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
         add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
         add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
         add_extension(certificate, NID_subject_key_identifier, "hash");
}

}  // namespace

base::Result<Identity> create_identity() {
  const Key key(EVP_EC_gen("P-256"));
  if (!key) return openssl_error("create the identity key");
  const Memory memory(BIO_new(BIO_s_secmem()));
  if (!memory || PEM_write_bio_PKCS8PrivateKey(memory.get(), key.get(), nullptr, nullptr, 0,
                                               nullptr, nullptr) != 1) {
    return openssl_error("write the identity key");
  }
  Identity identity;
  identity.private_key_pem = content(memory.get());
  WARREN_TRY_ASSIGN(identity.pin, pin_of(key.get()));
  return identity;
}

base::Result<Identity> load_identity(std::string private_key_pem) {
  WARREN_TRY_ASSIGN(const Key key, read_key(private_key_pem));
  Identity identity;
  WARREN_TRY_ASSIGN(identity.pin, pin_of(key.get()));
  identity.private_key_pem = std::move(private_key_pem);
  return identity;
}

base::Result<std::string> self_signed_certificate(const Identity& identity, base::WallTime now,
                                                  int days) {
  WARREN_TRY_ASSIGN(const Key key, read_key(identity.private_key_pem));
  const Certificate certificate(X509_new());
  if (!certificate || !set_fields(certificate.get(), key.get(), identity, now, days) ||
      X509_sign(certificate.get(), key.get(), EVP_sha256()) <= 0) {
    return openssl_error("make the gateway's certificate");
  }
  const Memory memory(BIO_new(BIO_s_mem()));
  if (!memory || PEM_write_bio_X509(memory.get(), certificate.get()) != 1) {
    return openssl_error("write the gateway's certificate");
  }
  return content(memory.get());
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
