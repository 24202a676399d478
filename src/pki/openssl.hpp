// What the files of this module share of OpenSSL: handles that are owned from birth, PEM in memory,
// and errors that read its queue once and leave it empty. Private to this module.
#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/time.hpp"

namespace warren::pki {

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* handle) const {
    Free(handle);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freer<X509_free>>;
using Crl = std::unique_ptr<X509_CRL, Freer<X509_CRL_free>>;
using SigningRequest = std::unique_ptr<X509_REQ, Freer<X509_REQ_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>>;
using Number = std::unique_ptr<BIGNUM, Freer<BN_free>>;
using Time = std::unique_ptr<ASN1_TIME, Freer<ASN1_TIME_free>>;
using Memory = std::unique_ptr<BIO, Freer<BIO_free_all>>;

inline constexpr std::int64_t kDay = 86'400;  ///< seconds

/// Failed, or the kind given, with OpenSSL's first reason.
[[nodiscard]] base::Error openssl_error(std::string what,
                                        base::ErrorKind kind = base::ErrorKind::Failed);
/// What was written to a memory BIO.
[[nodiscard]] std::string content(BIO* memory);
/// A fresh ECDSA P-256 key.
[[nodiscard]] base::Result<Key> create_key(const std::string& what);
/// PKCS#8.
[[nodiscard]] base::Result<std::string> key_to_pem(EVP_PKEY* key);
/// An ECDSA P-256 key; Invalid for anything else. `what` is its name in errors ("identity key").
[[nodiscard]] base::Result<Key> read_key(const std::string& pem, const std::string& what);
[[nodiscard]] base::Result<std::string> certificate_to_pem(X509* certificate);
/// The first certificate of a PEM text; Invalid for anything else.
[[nodiscard]] base::Result<Certificate> read_certificate(const std::string& pem,
                                                         const std::string& what);
/// Adds an extension in the syntax of openssl.cnf(5); `issuer` signs `certificate`.
[[nodiscard]] bool add_extension(X509* issuer, X509* certificate, int nid, const char* value);
/// Adds a component to a name ("CN", "O", "OU").
[[nodiscard]] bool add_name(X509_NAME* name, const char* field, std::string_view value);
/// A certificate that is valid from a day before `now` (clocks differ) for `days`.
[[nodiscard]] bool set_validity(X509* certificate, base::WallTime now, int days);

/// 32 lower-case hexadecimal digits.
[[nodiscard]] std::string serial_text(const ASN1_INTEGER* serial);
/// The latest or earliest time that a WallTime can say where it is beyond that ("9999-12-31": no
/// end).
[[nodiscard]] base::Result<base::WallTime> wall_time(const ASN1_TIME* time);
/// For every reader of PEM: a text that says it is encrypted must not make OpenSSL ask for a
/// passphrase on the terminal.
int no_passphrase(char*, int, int, void*);

}  // namespace warren::pki
