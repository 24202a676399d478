#include "client/certificate_files.hpp"

#include <unistd.h>

#include "model/conf_key.hpp"
#include "os/file.hpp"
#include "pki/authority.hpp"

namespace warren::client {

namespace {

constexpr std::size_t kMaxFile = 65'536;
constexpr std::size_t kMaxAuthorities = 32;

base::Error malformed(const std::string& what) {
  return base::make_error(base::ErrorKind::Invalid,
                          "the gateway's answer has " + what + " that cannot be used",
                          "use the same version of warren on both sides");
}

/// Whether one of these authorities issued it. At the end of its life, because clocks differ and
/// none of its authorities ends before it.
bool is_of(const std::string& certificate_pem, const std::string& authorities_pem) {
  const auto facts = pki::certificate_facts(certificate_pem);
  if (!facts) return false;
  const base::WallTime within{facts->not_after.ns - 1'000'000'000};
  return pki::verify_certificate(certificate_pem, authorities_pem, "", pki::CertificateUse::Client,
                                 within)
      .has_value();
}

/// Only certificates, and only as many as make sense: nothing else of the text reaches a file.
base::Result<std::string> checked_authorities(const std::string& pem) {
  std::string checked;
  const std::vector<std::string> all = pki::certificates_of(pem);
  if (all.empty() || all.size() > kMaxAuthorities) return malformed("authorities");
  for (const std::string& one : all) {
    const auto facts = pki::certificate_facts(one);
    if (!facts || !facts->is_authority) return malformed("authorities");
    checked += one;
  }
  return checked;
}

base::Status write_if_other(const std::string& path, const std::string& content) {
  const auto there = os::read_file(path, kMaxFile);
  if (there && *there == content) return {};
  return os::write_file_atomically(path, content, 0600);
}

bool is_good(const std::string& certificate, const std::string& key, const std::string& authorities,
             const std::string& peer, base::WallTime now) {
  const auto facts = pki::certificate_facts(certificate);
  const std::vector<std::string> known = pki::certificates_of(authorities);
  if (!facts || known.empty()) return false;
  const std::string name = "CN=" + peer + ",";  // RFC 2253: the last component comes first
  return facts->subject.starts_with(name) && pki::is_key_of(key, certificate) &&
         !pki::is_renewal_due(facts->not_before, facts->not_after, now) &&
         is_of(certificate, known.front());
}

}  // namespace

CertificateFiles certificate_files(const std::string& directory, const std::string& name) {
  const std::string base = directory + "/" + name;
  return {.certificate = base + ".crt", .key = base + ".key", .authorities = base + ".ca.crt"};
}

base::Result<std::optional<std::string>> needed_request(const CertificateFiles& files,
                                                        const std::string& peer,
                                                        base::WallTime now) {
  auto key = os::read_file(files.key, kMaxFile);
  if (!key && key.error().kind != base::ErrorKind::NotFound) return std::move(key).error();
  if (key) {
    const auto certificate = os::read_file(files.certificate, kMaxFile);
    const auto authorities = os::read_file(files.authorities, kMaxFile);
    const bool good =
        certificate && authorities && is_good(*certificate, *key, *authorities, peer, now);
    base::Result<std::string> request(std::string{});
    if (!good) request = pki::request_for(*key, peer);
    model::wipe_text(*key);
    if (good) return std::optional<std::string>();
    if (!request) return std::move(request).error().within(files.key);
    return std::optional(std::move(*request));
  }
  WARREN_TRY_ASSIGN(pki::RequestedCertificate made, pki::create_request(peer));
  const base::Status stored = os::write_file_atomically(files.key, made.private_key_pem, 0600);
  model::wipe_text(made.private_key_pem);
  if (!stored) return base::Error(stored.error()).within("store the certificate's key");
  return std::optional(std::move(made.request_pem));
}

base::Status keep_certificate(const CertificateFiles& files, const api::EnrolAnswer& answer) {
  if (!answer.authorities || answer.authorities->empty()) return {};  // a gateway without any
  WARREN_TRY_ASSIGN(const std::string authorities, checked_authorities(*answer.authorities));
  if (answer.certificate && !answer.certificate->empty()) {
    const std::vector<std::string> given = pki::certificates_of(*answer.certificate);
    if (given.size() != 1) return malformed("a certificate");
    auto key = os::read_file(files.key, kMaxFile);
    if (!key) return std::move(key).error();
    const bool ours = pki::is_key_of(*key, given.front()) && is_of(given.front(), authorities);
    model::wipe_text(*key);
    if (!ours) return malformed("a certificate");
    WARREN_TRY(write_if_other(files.authorities, authorities));
    return write_if_other(files.certificate, given.front());
  }
  return write_if_other(files.authorities, authorities);
}

base::Result<NewCertificate> new_certificate(const std::string& directory,
                                             const std::string& name) {
  if (::access(directory.c_str(), W_OK | X_OK) != 0) {
    return base::os_error("keep a certificate in " + directory);
  }
  NewCertificate made{
      .files = certificate_files(directory, name), .key_pem = {}, .request_pem = {}};
  WARREN_TRY(check_no_certificate(made.files));
  WARREN_TRY_ASSIGN(pki::RequestedCertificate requested, pki::create_request(name));
  made.key_pem = std::move(requested.private_key_pem);
  made.request_pem = std::move(requested.request_pem);
  return made;
}

bool keep_new_certificate(const CertificateFiles& files, const std::string& key_pem,
                          const api::EnrolAnswer& answer) {
  return os::write_file_atomically(files.key, key_pem, 0600).has_value() &&
         keep_certificate(files, answer).has_value();
}

base::Status check_no_certificate(const CertificateFiles& files) {
  for (const std::string& path : {files.certificate, files.key, files.authorities}) {
    if (::access(path.c_str(), F_OK) != 0) continue;
    return base::make_error(base::ErrorKind::Conflict, "there is a file " + path + " already",
                            "move it away, or choose another name or folder");
  }
  return {};
}

std::vector<std::string> remove_certificate(const CertificateFiles& files) {
  std::vector<std::string> removed;
  for (const std::string& path : {files.certificate, files.key, files.authorities}) {
    if (::unlink(path.c_str()) == 0) removed.push_back(path);
  }
  return removed;
}

}  // namespace warren::client
