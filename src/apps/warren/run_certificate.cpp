#include "apps/warren/run_certificate.hpp"

#include <fmt/core.h>

#include "os/clock.hpp"

namespace warren::app {

namespace {

constexpr const char* kName = "member";

void say_busy() {
  fmt::print(stderr,
             "warren: the gateway has too much to do; asking again for up to two minutes\n");
}

}  // namespace

base::Result<client::RunMember> join_for_run(const model::TokenText& token,
                                             const std::string& directory,
                                             std::optional<client::CertificateFiles>& certificate) {
  os::SystemRandom random;
  if (directory.empty()) return client::join_for_run(token, random, os::wall_now(), say_busy);
  WARREN_TRY_ASSIGN(const client::NewCertificate made, client::new_certificate(directory, kName));
  WARREN_TRY_ASSIGN(client::RunMember member, client::join_for_run(token, random, os::wall_now(),
                                                                   say_busy, made.request_pem));
  certificate = made.files;
  if (!client::keep_new_certificate(made.files, made.key_pem, member.answer)) {
    fmt::print(stderr, "warren: no certificate could be kept in {}; it is asked for again\n",
               directory);
  }
  return member;
}

base::Status check_certificate_dir(const std::string& directory, bool is_token) {
  if (directory.empty() || is_token) return {};
  return base::make_error(
      base::ErrorKind::Invalid, "--certificate-dir is for runs with a token",
      "the certificate of a profile is beside it: NAME.crt, NAME.key, NAME.ca.crt");
}

}  // namespace warren::app
