// What is read out of certificates, keys and lists that are there already.
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>

#include "pki/authority.hpp"
#include "pki/openssl.hpp"

namespace warren::pki {

base::Result<std::string> request_for(const std::string& private_key_pem, const std::string& name) {
  WARREN_TRY_ASSIGN(const Key key, read_key(private_key_pem, "certificate's key"));
  const SigningRequest request(X509_REQ_new());
  const Memory memory(BIO_new(BIO_s_mem()));
  if (!request || !memory || !add_name(X509_REQ_get_subject_name(request.get()), "CN", name) ||
      X509_REQ_set_pubkey(request.get(), key.get()) != 1 ||
      X509_REQ_sign(request.get(), key.get(), EVP_sha256()) <= 0 ||
      PEM_write_bio_X509_REQ(memory.get(), request.get()) != 1) {
    return openssl_error("make a certificate request");
  }
  return content(memory.get());
}

base::Result<RequestedCertificate> create_request(const std::string& name) {
  WARREN_TRY_ASSIGN(const Key key, create_key("certificate's key"));
  RequestedCertificate made;
  WARREN_TRY_ASSIGN(made.private_key_pem, key_to_pem(key.get()));
  WARREN_TRY_ASSIGN(made.request_pem, request_for(made.private_key_pem, name));
  return made;
}

bool is_key_of(const std::string& private_key_pem, const std::string& certificate_pem) {
  const auto key = read_key(private_key_pem, "key");
  const auto certificate = read_certificate(certificate_pem, "certificate");
  const bool same =
      key && certificate && X509_check_private_key(certificate->get(), key->get()) == 1;
  ERR_clear_error();
  return same;
}

base::Result<RevocationFacts> read_revocations(const std::string& list_pem,
                                               const std::string& authority_certificate_pem) {
  WARREN_TRY_ASSIGN(const Certificate authority,
                    read_certificate(authority_certificate_pem, "authority's certificate"));
  const Memory memory(BIO_new_mem_buf(list_pem.data(), static_cast<int>(list_pem.size())));
  const Crl list(memory ? PEM_read_bio_X509_CRL(memory.get(), nullptr, no_passphrase, nullptr)
                        : nullptr);
  if (!list) return openssl_error("read a revocation list", base::ErrorKind::Invalid);
  const Key key(X509_get_pubkey(authority.get()));
  if (!key || X509_CRL_verify(list.get(), key.get()) != 1) {
    ERR_clear_error();
    return base::make_error(base::ErrorKind::NotPermitted,
                            "the revocation list is not signed by the authority");
  }
  RevocationFacts facts;
  WARREN_TRY_ASSIGN(facts.this_update, wall_time(X509_CRL_get0_lastUpdate(list.get())));
  WARREN_TRY_ASSIGN(facts.next_update, wall_time(X509_CRL_get0_nextUpdate(list.get())));
  const std::unique_ptr<ASN1_INTEGER, Freer<ASN1_INTEGER_free>> number(static_cast<ASN1_INTEGER*>(
      X509_CRL_get_ext_d2i(list.get(), NID_crl_number, nullptr, nullptr)));
  if (!number || ASN1_INTEGER_get_uint64(&facts.number, number.get()) != 1) {
    return openssl_error("read the number of a revocation list", base::ErrorKind::Invalid);
  }
  const STACK_OF(X509_REVOKED)* entries = X509_CRL_get_REVOKED(list.get());
  for (int i = 0; i < sk_X509_REVOKED_num(entries); ++i) {
    facts.serials.push_back(
        serial_text(X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(entries, i))));
  }
  std::ranges::sort(facts.serials);
  return facts;
}

base::Result<std::string> revocations_pem(const std::string& der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const Crl list(d2i_X509_CRL(nullptr, &at, static_cast<long>(der.size())));
  const Memory memory(BIO_new(BIO_s_mem()));
  if (!list || !memory || PEM_write_bio_X509_CRL(memory.get(), list.get()) != 1) {
    return openssl_error("read a revocation list", base::ErrorKind::Invalid);
  }
  return content(memory.get());
}

std::vector<std::string> certificates_of(const std::string& pem) {
  constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
  constexpr std::string_view kEnd = "-----END CERTIFICATE-----";
  std::vector<std::string> found;
  for (std::size_t at = pem.find(kBegin); at != std::string::npos; at = pem.find(kBegin, at)) {
    const std::size_t end = pem.find(kEnd, at);
    if (end == std::string::npos) break;
    found.push_back(pem.substr(at, end + kEnd.size() - at) + "\n");
    at = end;
  }
  return found;
}

bool is_renewal_due(base::WallTime not_before, base::WallTime not_after, base::WallTime now) {
  const base::Duration life = not_after - not_before;
  return now < not_before || not_after - now <= life / 3;
}

}  // namespace warren::pki
