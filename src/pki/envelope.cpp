// CMS over OpenSSL 3. A recipient that is a key alone is put into a certificate that a key of the
// moment signs: the library takes recipients in no other form, and of this one only the key and
// its identifier go into the envelope.
#include "pki/envelope.hpp"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <limits>
#include <vector>

#include "pki/openssl.hpp"

namespace warren::pki {

namespace {

using base::ErrorKind;
using base::make_error;

using Envelope = std::unique_ptr<CMS_ContentInfo, Freer<CMS_ContentInfo_free>>;

struct FreeStack {
  void operator()(STACK_OF(X509) * certificates) const {
    sk_X509_pop_free(certificates, X509_free);
  }
};
using Certificates = std::unique_ptr<STACK_OF(X509), FreeStack>;

constexpr unsigned kFlags = CMS_BINARY;

base::Result<Memory> reading(const std::string& text) {
  if (text.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    return make_error(ErrorKind::Invalid, "more than 2 GiB cannot be put into an envelope",
                      "use a passphrase instead");
  }
  Memory memory(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  if (!memory) return openssl_error("read from memory");
  return memory;
}

/// The envelope names the key by the hash of its bits (RFC 5280, 4.2.1.2).
base::Result<Certificate> envelope_for(EVP_PKEY* key) {
  constexpr base::WallTime kAnyTime{1'700'000'000'000'000'000};
  WARREN_TRY_ASSIGN(const Key signer, create_key("key of the moment"));
  Certificate holder(X509_new());
  const bool done = holder && X509_set_version(holder.get(), X509_VERSION_3) == 1 &&
                    ASN1_INTEGER_set(X509_get_serialNumber(holder.get()), 1) == 1 &&
                    add_name(X509_get_subject_name(holder.get()), "CN", "recipient") &&
                    X509_set_issuer_name(holder.get(), X509_get_subject_name(holder.get())) == 1 &&
                    X509_set_pubkey(holder.get(), key) == 1 &&
                    set_validity(holder.get(), kAnyTime, 1) &&
                    add_extension(holder.get(), holder.get(), NID_subject_key_identifier, "hash") &&
                    X509_sign(holder.get(), signer.get(), EVP_sha256()) > 0;
  if (!done) return openssl_error("address an envelope to a key");
  return holder;
}

/// Every certificate of the text; none is no error.
base::Result<Certificates> certificates_of(const std::string& pem) {
  WARREN_TRY_ASSIGN(const Memory in, reading(pem));
  Certificates found(sk_X509_new_null());
  if (!found) return openssl_error("address an envelope");
  while (X509* one = PEM_read_bio_X509(in.get(), nullptr, no_passphrase, nullptr)) {
    if (sk_X509_push(found.get(), one) == 0) {
      X509_free(one);
      return openssl_error("address an envelope");
    }
  }
  ERR_clear_error();
  return found;
}

base::Status seal_to(CMS_ContentInfo* envelope, const std::string& pem) {
  WARREN_TRY_ASSIGN(const Certificates certificates, certificates_of(pem));
  for (int i = 0; i < sk_X509_num(certificates.get()); ++i) {
    X509* one = sk_X509_value(certificates.get(), i);
    if (CMS_add1_recipient_cert(envelope, one, kFlags) == nullptr) {
      return openssl_error("address the envelope to certificate " + std::to_string(i + 1),
                           ErrorKind::Invalid);
    }
  }
  if (sk_X509_num(certificates.get()) > 0) return {};
  WARREN_TRY_ASSIGN(const Memory in, reading(pem));
  const Key key(PEM_read_bio_PUBKEY(in.get(), nullptr, no_passphrase, nullptr));
  ERR_clear_error();
  if (!key) {
    return make_error(ErrorKind::Invalid, "the recipient is neither a certificate nor a public key",
                      "give a PEM file: openssl pkey -in KEY -pubout, or a certificate with an RSA "
                      "or EC key");
  }
  WARREN_TRY_ASSIGN(const Certificate holder, envelope_for(key.get()));
  if (CMS_add1_recipient_cert(envelope, holder.get(), kFlags | CMS_USE_KEYID) != nullptr) return {};
  return openssl_error("address the envelope to the key", ErrorKind::Invalid);
}

}  // namespace

base::Result<std::string> seal_envelope(const std::string& content_text,
                                        const std::string& recipient_pem) {
  const Envelope envelope(CMS_encrypt(nullptr, nullptr, EVP_aes_256_gcm(), kFlags | CMS_PARTIAL));
  if (!envelope) return openssl_error("make an envelope");
  WARREN_TRY(seal_to(envelope.get(), recipient_pem));
  WARREN_TRY_ASSIGN(const Memory in, reading(content_text));
  if (CMS_final(envelope.get(), in.get(), nullptr, kFlags) != 1) {
    return openssl_error("seal the envelope");
  }
  const Memory out(BIO_new(BIO_s_mem()));
  if (!out || i2d_CMS_bio(out.get(), envelope.get()) != 1) {
    return openssl_error("write the envelope");
  }
  return content(out.get());
}

base::Result<std::string> open_envelope(const std::string& der,
                                        const std::string& private_key_pem) {
  WARREN_TRY_ASSIGN(const Memory pem, reading(private_key_pem));
  const Key key(PEM_read_bio_PrivateKey(pem.get(), nullptr, no_passphrase, nullptr));
  ERR_clear_error();
  if (!key) {
    return make_error(ErrorKind::Invalid, "the recipient's key is no private key in PEM",
                      "one with a pass phrase: openssl pkey -in KEY -out PLAIN, or open the backup "
                      "with openssl cms -decrypt first");
  }
  WARREN_TRY_ASSIGN(const Memory in, reading(der));
  const Envelope envelope(d2i_CMS_bio(in.get(), nullptr));
  ERR_clear_error();
  if (!envelope) {
    return make_error(ErrorKind::Invalid, "this is no envelope to a recipient, or it was cut off",
                      "a backup with a passphrase, or without any, needs no --recipient-key");
  }
  const Memory out(BIO_new(BIO_s_mem()));
  const bool opened = out && CMS_decrypt(envelope.get(), key.get(), nullptr, nullptr, out.get(),
                                         kFlags | CMS_DEBUG_DECRYPT) == 1;
  ERR_clear_error();
  if (opened) return content(out.get());
  return make_error(ErrorKind::Invalid,
                    "the envelope is to another key, or it was changed on its way",
                    "give the private key of the certificate that the backup was made to");
}

}  // namespace warren::pki
