// Certificates and revocation lists over OpenSSL 3.
//
// Serial numbers are 127 random bits (RFC 5280 section 4.1.2.2 wants them unique, the CA/Browser
// baseline unpredictable). Certificates begin a day before `now`, because clocks differ; their end
// is the authority's own at the latest, so that no chain breaks in the middle of a leaf's life.
#include "pki/authority.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>

#include "pki/openssl.hpp"

namespace warren::pki {

namespace {

constexpr int kSerialBytes = 16;

using Integer = std::unique_ptr<ASN1_INTEGER, Freer<ASN1_INTEGER_free>>;

base::Error invalid(std::string message) {
  return base::make_error(base::ErrorKind::Invalid, std::move(message));
}

bool set_random_serial(X509* certificate, base::RandomSource& random) {
  std::array<std::uint8_t, kSerialBytes> bytes{};
  random.fill(bytes);
  bytes[0] = static_cast<std::uint8_t>((bytes[0] & 0x7f) | 0x40);  // positive and of full length
  const Number number(BN_bin2bn(bytes.data(), kSerialBytes, nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

/// What both kinds of certificates have; the caller adds the extensions and the name.
bool begin_certificate(X509* certificate, base::RandomSource& random, base::WallTime now,
                       int days) {
  return X509_set_version(certificate, X509_VERSION_3) == 1 &&
         set_random_serial(certificate, random) && set_validity(certificate, now, days);
}

/// The certificate and key of an authority, ready to sign.
struct Signer {
  Certificate certificate;
  Key key;
};
base::Result<Signer> signer_of(const Authority& authority) {
  Signer signer;
  WARREN_TRY_ASSIGN(signer.certificate,
                    read_certificate(authority.certificate_pem, "authority's certificate"));
  WARREN_TRY_ASSIGN(signer.key, read_key(authority.private_key_pem, "authority's key"));
  return signer;
}

std::string alternative_names(const Holder& holder) {
  std::string text;
  for (const std::string& name : holder.dns_names) text += (text.empty() ? "DNS:" : ",DNS:") + name;
  for (const std::string& at : holder.addresses) text += (text.empty() ? "IP:" : ",IP:") + at;
  return text;
}

bool add_leaf_extensions(X509* issuer, X509* certificate, const Holder& holder) {
  const bool server = holder.use == CertificateUse::Server;
  const std::string names = alternative_names(holder);
  return add_extension(issuer, certificate, NID_basic_constraints, "critical,CA:FALSE") &&
         add_extension(issuer, certificate, NID_key_usage, "critical,digitalSignature") &&
         add_extension(issuer, certificate, NID_ext_key_usage,
                       server ? "serverAuth" : "clientAuth") &&
         add_extension(issuer, certificate, NID_subject_key_identifier, "hash") &&
         add_extension(issuer, certificate, NID_authority_key_identifier, "keyid:always") &&
         (names.empty() || add_extension(issuer, certificate, NID_subject_alt_name, names.c_str()));
}

/// Names go into comma-separated OpenSSL syntax: a comma would smuggle in another one.
base::Status check_holder(const Holder& holder) {
  const auto bad = [](const std::string& text) {
    return text.empty() || text.size() > 64 || text.find_first_of(",;:\n\r") != std::string::npos;
  };
  for (const std::string& name : holder.dns_names) {
    if (name.empty() || name.size() > 253 || name.find_first_of(",;:\n\r ") != std::string::npos) {
      return invalid("'" + name.substr(0, 253) + "' is no name for a certificate")
          .with_hint("a name is one as in www.example.org; several each with --dns");
    }
  }
  for (const std::string& address : holder.addresses) {
    if (address.empty() || address.find_first_of(",;\n\r ") != std::string::npos) {
      return invalid("'" + address.substr(0, 80) + "' is no address for a certificate")
          .with_hint("write it as 10.20.0.7 or fd00::7");
    }
  }
  if (bad(holder.network) || bad(holder.name) || bad(holder.role)) {
    return invalid("the network, name and role of a certificate have 1 to 64 characters each")
        .with_hint("of a server's names the first one is its own: give a shorter one first");
  }
  return {};
}

constexpr std::string_view kMakeRequest =
    "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=www "
    "-keyout www.key -out www.csr";

base::Result<Key> requested_key(const std::string& request_pem) {
  const Memory memory(BIO_new_mem_buf(
      request_pem.data(), static_cast<int>(std::min<std::size_t>(request_pem.size(), 65'536))));
  const SigningRequest request(
      memory ? PEM_read_bio_X509_REQ(memory.get(), nullptr, no_passphrase, nullptr) : nullptr);
  if (!request) {
    ERR_clear_error();
    return invalid("this is no certificate request (PKCS#10, in PEM)")
        .with_hint("it begins with -----BEGIN CERTIFICATE REQUEST-----; one is made by: " +
                   std::string(kMakeRequest));
  }
  Key key(X509_REQ_get_pubkey(request.get()));
  if (!key || X509_REQ_verify(request.get(), key.get()) != 1) {
    ERR_clear_error();
    return invalid("the certificate request is not signed with its own key")
        .with_hint("make it again: " + std::string(kMakeRequest));
  }
  char group[32] = "";
  std::size_t length = 0;
  if (EVP_PKEY_is_a(key.get(), "EC") != 1 ||
      EVP_PKEY_get_group_name(key.get(), group, sizeof group, &length) != 1 ||
      std::string_view(group) != "prime256v1") {
    ERR_clear_error();
    return invalid("the certificate request is for another kind of key than ECDSA P-256")
        .with_hint("make another key: " + std::string(kMakeRequest));
  }
  return key;
}

base::Result<Issued> describe(X509* certificate) {
  Issued issued;
  WARREN_TRY_ASSIGN(issued.certificate_pem, certificate_to_pem(certificate));
  issued.serial = serial_text(X509_get0_serialNumber(certificate));
  WARREN_TRY_ASSIGN(issued.not_after, wall_time(X509_get0_notAfter(certificate)));
  return issued;
}

bool add_revoked(X509_CRL* list, const RevokedCertificate& one) {
  BIGNUM* raw = nullptr;
  const bool parsed = !one.serial.empty() &&
                      BN_hex2bn(&raw, one.serial.c_str()) == static_cast<int>(one.serial.size());
  const Number number(raw);
  const Integer serial(parsed ? BN_to_ASN1_INTEGER(number.get(), nullptr) : nullptr);
  const Time since(ASN1_TIME_set(nullptr, one.since.seconds()));
  std::unique_ptr<X509_REVOKED, Freer<X509_REVOKED_free>> entry(X509_REVOKED_new());
  if (!serial || !since || !entry ||
      X509_REVOKED_set_serialNumber(entry.get(), serial.get()) != 1 ||
      X509_REVOKED_set_revocationDate(entry.get(), since.get()) != 1 ||
      X509_CRL_add0_revoked(list, entry.get()) != 1) {
    return false;
  }
  std::ignore = entry.release();  // the list's now
  return true;
}

bool add_list_extensions(X509_CRL* list, X509* issuer, std::uint64_t number) {
  const Integer value(ASN1_INTEGER_new());
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, nullptr, nullptr, list, 0);
  const Extension key_id(
      X509V3_EXT_conf_nid(nullptr, &context, NID_authority_key_identifier, "keyid:always"));
  return value && ASN1_INTEGER_set_uint64(value.get(), number) == 1 &&
         X509_CRL_add1_ext_i2d(list, NID_crl_number, value.get(), 0, 0) == 1 && key_id &&
         X509_CRL_add_ext(list, key_id.get(), -1) == 1;
}

std::string name_text(X509_NAME* name) {
  const Memory memory(BIO_new(BIO_s_mem()));
  if (!memory || X509_NAME_print_ex(memory.get(), name, 0, XN_FLAG_RFC2253) < 0) return {};
  return content(memory.get());
}

/// Adds every certificate and list of two PEM texts to a store.
base::Status fill_store(X509_STORE* store, const std::string& trusted_pem,
                        const std::string& revocations_pem) {
  for (const std::string* text : {&trusted_pem, &revocations_pem}) {
    const Memory memory(BIO_new_mem_buf(text->data(), static_cast<int>(text->size())));
    STACK_OF(X509_INFO)* found =
        memory ? PEM_X509_INFO_read_bio(memory.get(), nullptr, no_passphrase, nullptr) : nullptr;
    for (int i = 0; i < sk_X509_INFO_num(found); ++i) {
      const X509_INFO* info = sk_X509_INFO_value(found, i);
      if (info->x509 != nullptr) X509_STORE_add_cert(store, info->x509);
      if (info->crl != nullptr) X509_STORE_add_crl(store, info->crl);
    }
    sk_X509_INFO_pop_free(found, X509_INFO_free);
  }
  ERR_clear_error();
  return {};
}

/// The certificates behind the first one of a text, each of which issued the one before.
base::Result<std::string> chain_behind(X509* first, const std::string& certificates_pem) {
  std::string chain;
  Certificate above;
  X509* below = first;
  const std::vector<std::string> all = certificates_of(certificates_pem);
  for (std::size_t i = 1; i < all.size(); ++i) {
    WARREN_TRY_ASSIGN(Certificate issuer, read_certificate(all[i], "chain"));
    const Key key(X509_get_pubkey(issuer.get()));
    if (X509_check_issued(issuer.get(), below) != X509_V_OK || !key ||
        X509_verify(below, key.get()) != 1) {
      ERR_clear_error();
      return invalid("certificate " + std::to_string(i + 1) +
                     " of the chain is not the issuer of the one before it")
          .with_hint(
              "the authority's own certificate comes first, then its issuer, up to the root");
    }
    WARREN_TRY_ASSIGN(const std::string text, certificate_to_pem(issuer.get()));
    chain += text;
    above = std::move(issuer);
    below = above.get();
  }
  return chain;
}

}  // namespace

base::Result<Authority> create_authority(const std::string& network, base::RandomSource& random,
                                         base::WallTime now, int days, std::uint32_t number) {
  const std::string suffix = number > 1 ? " " + std::to_string(number) : std::string();
  WARREN_TRY_ASSIGN(const Key key, create_key("authority's key"));
  const Certificate made(X509_new());
  X509* raw = made.get();
  if (raw == nullptr || !begin_certificate(raw, random, now, days) ||
      !add_name(X509_get_subject_name(raw), "O", network) ||
      !add_name(X509_get_subject_name(raw), "CN", network + " authority" + suffix) ||
      X509_set_issuer_name(raw, X509_get_subject_name(raw)) != 1 ||
      X509_set_pubkey(raw, key.get()) != 1 ||
      !add_extension(raw, raw, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !add_extension(raw, raw, NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !add_extension(raw, raw, NID_subject_key_identifier, "hash") ||
      X509_sign(raw, key.get(), EVP_sha256()) <= 0) {
    return openssl_error("make the network's authority");
  }
  Authority authority;
  WARREN_TRY_ASSIGN(authority.private_key_pem, key_to_pem(key.get()));
  WARREN_TRY_ASSIGN(authority.certificate_pem, certificate_to_pem(raw));
  return authority;
}

base::Result<Authority> load_authority(const std::string& certificates_pem,
                                       const std::string& private_key_pem, base::WallTime now) {
  WARREN_TRY_ASSIGN(const Certificate first,
                    read_certificate(certificates_pem, "authority's certificate"));
  WARREN_TRY_ASSIGN(const Key key, read_key(private_key_pem, "authority's key"));
  if (X509_check_private_key(first.get(), key.get()) != 1) {
    ERR_clear_error();
    return invalid("the key is not the one of the authority's certificate");
  }
  const std::uint32_t usage = X509_get_key_usage(first.get());
  if (X509_check_ca(first.get()) != 1 || (usage & KU_KEY_CERT_SIGN) == 0 ||
      (usage & KU_CRL_SIGN) == 0) {
    return invalid("the certificate may not sign certificates and revocation lists")
        .with_hint("it needs CA:TRUE and the key usages keyCertSign and cRLSign");
  }
  WARREN_TRY_ASSIGN(const base::WallTime from, wall_time(X509_get0_notBefore(first.get())));
  WARREN_TRY_ASSIGN(const base::WallTime until, wall_time(X509_get0_notAfter(first.get())));
  if (now < from || until < now) return invalid("the authority's certificate is not valid now");
  Authority authority;
  authority.private_key_pem = private_key_pem;
  WARREN_TRY_ASSIGN(authority.certificate_pem, certificate_to_pem(first.get()));
  if (X509_get0_subject_key_id(first.get()) == nullptr) {
    return invalid("the authority's certificate has no subject key identifier")
        .with_hint("make it with the extension subjectKeyIdentifier = hash");
  }
  WARREN_TRY_ASSIGN(authority.chain_pem, chain_behind(first.get(), certificates_pem));
  return authority;
}

base::Result<Issued> sign_request(const Authority& authority, const std::string& request_pem,
                                  const Holder& holder, base::RandomSource& random,
                                  base::WallTime now, int days) {
  WARREN_TRY(check_holder(holder));
  WARREN_TRY_ASSIGN(const Key key, requested_key(request_pem));
  WARREN_TRY_ASSIGN(const Signer signer, signer_of(authority));
  X509* issuer = signer.certificate.get();
  const Certificate made(X509_new());
  X509* raw = made.get();
  if (raw == nullptr || !begin_certificate(raw, random, now, days) ||
      !add_name(X509_get_subject_name(raw), "O", holder.network) ||
      !add_name(X509_get_subject_name(raw), "OU", holder.role) ||
      !add_name(X509_get_subject_name(raw), "CN", holder.name) ||
      X509_set_issuer_name(raw, X509_get_subject_name(issuer)) != 1 ||
      X509_set_pubkey(raw, key.get()) != 1) {
    return openssl_error("make the certificate of " + holder.name);
  }
  if (ASN1_TIME_compare(X509_get0_notAfter(raw), X509_get0_notAfter(issuer)) > 0 &&
      X509_set1_notAfter(raw, X509_get0_notAfter(issuer)) != 1) {
    return openssl_error("make the certificate of " + holder.name);
  }
  if (!add_leaf_extensions(issuer, raw, holder) ||
      X509_sign(raw, signer.key.get(), EVP_sha256()) <= 0) {
    return openssl_error("sign the certificate of " + holder.name);
  }
  return describe(raw);
}

base::Result<RevocationList> sign_revocations(const Authority& authority,
                                              const std::vector<RevokedCertificate>& revoked,
                                              std::uint64_t number, base::WallTime now, int days) {
  WARREN_TRY_ASSIGN(const Signer signer, signer_of(authority));
  const Crl list(X509_CRL_new());
  const Time last(ASN1_TIME_set(nullptr, now.seconds()));
  const Time next(ASN1_TIME_set(nullptr, now.seconds() + days * kDay));
  X509* issuer = signer.certificate.get();
  if (!list || !last || !next || X509_CRL_set_version(list.get(), X509_CRL_VERSION_2) != 1 ||
      X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(issuer)) != 1 ||
      X509_CRL_set1_lastUpdate(list.get(), last.get()) != 1 ||
      X509_CRL_set1_nextUpdate(list.get(), next.get()) != 1 ||
      !add_list_extensions(list.get(), issuer, number)) {
    return openssl_error("make a revocation list");
  }
  for (const RevokedCertificate& one : revoked) {
    if (!add_revoked(list.get(), one)) {
      ERR_clear_error();
      return invalid("'" + one.serial + "' is no serial number of a certificate");
    }
  }
  const Memory memory(BIO_new(BIO_s_mem()));
  if (X509_CRL_sort(list.get()) != 1 ||
      X509_CRL_sign(list.get(), signer.key.get(), EVP_sha256()) <= 0 || !memory ||
      PEM_write_bio_X509_CRL(memory.get(), list.get()) != 1) {
    return openssl_error("sign a revocation list");
  }
  RevocationList signed_list;
  signed_list.pem = content(memory.get());
  signed_list.next_update = {(now.seconds() + days * kDay) * 1'000'000'000};
  unsigned char* der = nullptr;
  const int size = i2d_X509_CRL(list.get(), &der);
  if (size <= 0) return openssl_error("write a revocation list");
  signed_list.der.assign(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return signed_list;
}

base::Result<CertificateFacts> certificate_facts(const std::string& certificate_pem) {
  WARREN_TRY_ASSIGN(const Certificate certificate,
                    read_certificate(certificate_pem, "certificate"));
  CertificateFacts facts;
  facts.subject = name_text(X509_get_subject_name(certificate.get()));
  facts.issuer = name_text(X509_get_issuer_name(certificate.get()));
  facts.serial = serial_text(X509_get0_serialNumber(certificate.get()));
  facts.is_authority = X509_check_ca(certificate.get()) == 1;
  WARREN_TRY_ASSIGN(facts.not_before, wall_time(X509_get0_notBefore(certificate.get())));
  WARREN_TRY_ASSIGN(facts.not_after, wall_time(X509_get0_notAfter(certificate.get())));
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (X509_digest(certificate.get(), EVP_sha256(), digest.data(), &size) != 1) {
    return openssl_error("hash a certificate");
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (unsigned i = 0; i < size; ++i) {
    facts.fingerprint += kDigits[digest[i] >> 4];
    facts.fingerprint += kDigits[digest[i] & 15];
  }
  return facts;
}

base::Status verify_certificate(const std::string& certificate_pem, const std::string& trusted_pem,
                                const std::string& revocations_pem, CertificateUse use,
                                base::WallTime now) {
  WARREN_TRY_ASSIGN(const Certificate certificate,
                    read_certificate(certificate_pem, "certificate"));
  const std::unique_ptr<X509_STORE, Freer<X509_STORE_free>> store(X509_STORE_new());
  const std::unique_ptr<X509_STORE_CTX, Freer<X509_STORE_CTX_free>> context(X509_STORE_CTX_new());
  if (!store || !context) return openssl_error("verify a certificate");
  WARREN_TRY(fill_store(store.get(), trusted_pem, revocations_pem));
  // A network's authority may be a subordinate whose root is not at hand: trust may end there.
  unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_X509_STRICT;
  if (!revocations_pem.empty()) flags |= X509_V_FLAG_CRL_CHECK;
  if (X509_STORE_CTX_init(context.get(), store.get(), certificate.get(), nullptr) != 1) {
    return openssl_error("verify a certificate");
  }
  X509_STORE_CTX_set_flags(context.get(), flags);
  X509_STORE_CTX_set_time(context.get(), 0, now.seconds());
  X509_STORE_CTX_set_purpose(context.get(), use == CertificateUse::Server
                                                ? X509_PURPOSE_SSL_SERVER
                                                : X509_PURPOSE_SSL_CLIENT);
  if (X509_verify_cert(context.get()) == 1) return {};
  const int reason = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  return base::make_error(
      base::ErrorKind::NotPermitted,
      std::string("the certificate is not accepted: ") + X509_verify_cert_error_string(reason));
}

}  // namespace warren::pki
