#include "server/tls.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

namespace warren::server {
namespace {

struct BioFree {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct CertificateFree {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
struct KeyFree {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

std::unique_ptr<BIO, BioFree> memory_of(const std::string& pem) {
  return std::unique_ptr<BIO, BioFree>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

base::Error tls_error(std::string_view what) {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
  ERR_clear_error();
  return base::make_error(base::ErrorKind::Invalid,
                          std::string(what) + ": " + (reason != nullptr ? reason : "refused"));
}

}  // namespace

void TlsContextFree::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }

base::Result<TlsContext> make_tls_context(const std::string& certificate_pem,
                                          const std::string& private_key_pem) {
  ERR_clear_error();
  const auto certificate_memory = memory_of(certificate_pem);
  const std::unique_ptr<X509, CertificateFree> certificate(
      PEM_read_bio_X509(certificate_memory.get(), nullptr, nullptr, nullptr));
  if (!certificate) return tls_error("read the certificate");
  const auto key_memory = memory_of(private_key_pem);
  const std::unique_ptr<EVP_PKEY, KeyFree> key(
      PEM_read_bio_PrivateKey(key_memory.get(), nullptr, nullptr, nullptr));
  if (!key) return tls_error("read the identity key");

  TlsContext context(SSL_CTX_new(TLS_server_method()));
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_num_tickets(context.get(), 0) != 1) {
    return tls_error("make a TLS context");
  }
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  if (SSL_CTX_use_certificate(context.get(), certificate.get()) != 1 ||
      SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1 ||
      SSL_CTX_check_private_key(context.get()) != 1) {
    return tls_error("use the certificate");
  }
  return context;
}

}  // namespace warren::server
