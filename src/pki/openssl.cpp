#include "pki/openssl.hpp"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>

namespace warren::pki {

namespace {

constexpr std::size_t kMaxPem = 65'536;

base::Result<Memory> open_pem(const std::string& pem, const std::string& what) {
  if (pem.size() > kMaxPem) {
    return base::make_error(base::ErrorKind::Invalid, what + " is larger than 64 KiB");
  }
  Memory memory(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (!memory) return openssl_error("read the " + what);
  return memory;
}

}  // namespace

int no_passphrase(char*, int, int, void*) { return -1; }

base::Error openssl_error(std::string what, base::ErrorKind kind) {
  char text[256] = "no reason given";
  if (const unsigned long code = ERR_get_error(); code != 0) {
    ERR_error_string_n(code, text, sizeof text);
  }
  ERR_clear_error();
  return base::make_error(kind, std::move(what) + ": " + text);
}

std::string content(BIO* memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

base::Result<Key> create_key(const std::string& what) {
  Key key(EVP_EC_gen("P-256"));
  if (!key) return openssl_error("create the " + what);
  return key;
}

base::Result<std::string> key_to_pem(EVP_PKEY* key) {
  const Memory memory(BIO_new(BIO_s_secmem()));
  if (!memory || PEM_write_bio_PKCS8PrivateKey(memory.get(), key, nullptr, nullptr, 0, nullptr,
                                               nullptr) != 1) {
    return openssl_error("write a private key");
  }
  return content(memory.get());
}

base::Result<Key> read_key(const std::string& pem, const std::string& what) {
  WARREN_TRY_ASSIGN(const Memory memory, open_pem(pem, what));
  Key key(PEM_read_bio_PrivateKey(memory.get(), nullptr, no_passphrase, nullptr));
  if (!key) return openssl_error("read the " + what, base::ErrorKind::Invalid);
  char group[32] = "";
  std::size_t length = 0;
  if (EVP_PKEY_is_a(key.get(), "EC") != 1 ||
      EVP_PKEY_get_group_name(key.get(), group, sizeof group, &length) != 1 ||
      std::string_view(group) != "prime256v1") {
    return base::make_error(base::ErrorKind::Invalid, "the " + what + " is not an ECDSA P-256 key");
  }
  return key;
}

base::Result<std::string> certificate_to_pem(X509* certificate) {
  const Memory memory(BIO_new(BIO_s_mem()));
  if (!memory || PEM_write_bio_X509(memory.get(), certificate) != 1) {
    return openssl_error("write a certificate");
  }
  return content(memory.get());
}

base::Result<Certificate> read_certificate(const std::string& pem, const std::string& what) {
  WARREN_TRY_ASSIGN(const Memory memory, open_pem(pem, what));
  Certificate certificate(PEM_read_bio_X509(memory.get(), nullptr, no_passphrase, nullptr));
  if (!certificate) return openssl_error("read the " + what, base::ErrorKind::Invalid);
  return certificate;
}

bool add_extension(X509* issuer, X509* certificate, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool add_name(X509_NAME* name, const char* field, std::string_view value) {
  return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(value.data()),
                                    static_cast<int>(value.size()), -1, 0) == 1;
}

bool set_validity(X509* certificate, base::WallTime now, int days) {
  return ASN1_TIME_set(X509_getm_notBefore(certificate), now.seconds() - kDay) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), now.seconds() + days * kDay) != nullptr;
}

std::string serial_text(const ASN1_INTEGER* serial) {
  const Number number(ASN1_INTEGER_to_BN(serial, nullptr));
  if (!number) return {};
  char* hex = BN_bn2hex(number.get());
  std::string text = hex == nullptr ? std::string() : hex;
  OPENSSL_free(hex);
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

base::Result<base::WallTime> wall_time(const ASN1_TIME* time) {
  const Time epoch(ASN1_TIME_set(nullptr, 0));
  int days = 0;
  int seconds = 0;
  if (!epoch || ASN1_TIME_diff(&days, &seconds, epoch.get(), time) != 1) {
    return openssl_error("read a certificate's time", base::ErrorKind::Invalid);
  }
  constexpr std::int64_t kSecond = 1'000'000'000;
  constexpr std::int64_t kLast = INT64_MAX / kSecond;
  return base::WallTime{std::clamp(days * kDay + seconds, -kLast, kLast) * kSecond};
}

}  // namespace warren::pki
