// A member's certificate on disk: NAME.crt, its key NAME.key, and NAME.ca.crt with the authorities
// of the network, all 0600, beside its profile or where the user wants them. The key is made here
// and never leaves.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/types.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace warren::client {

struct CertificateFiles {
  std::string certificate;
  std::string key;
  std::string authorities;
};
[[nodiscard]] CertificateFiles certificate_files(const std::string& directory,
                                                 const std::string& name);

/// A request (PEM) for a certificate in the name of `peer`, when one is needed: there is none, two
/// thirds of its life are over, or it is of another name, of another key, or not of the network's
/// current authority. nullopt: the one that is there is good. Makes the key where there is none.
[[nodiscard]] base::Result<std::optional<std::string>> needed_request(const CertificateFiles& files,
                                                                      const std::string& peer,
                                                                      base::WallTime now);
/// Writes the authorities and the certificate that a gateway answered with; what it left out, or
/// what is there already, stays. Invalid for what is malformed, and for a certificate that is not
/// of our key or not of these authorities: nothing is changed then.
[[nodiscard]] base::Status keep_certificate(const CertificateFiles& files,
                                            const api::EnrolAnswer& answer);
/// A key and a request for it, for files that are not there yet (Conflict otherwise).
struct NewCertificate {
  CertificateFiles files;
  std::string key_pem;
  std::string request_pem;
};
[[nodiscard]] base::Result<NewCertificate> new_certificate(const std::string& directory,
                                                           const std::string& name);
/// As keep_certificate with a key that is new, which is written first.
[[nodiscard]] bool keep_new_certificate(const CertificateFiles& files, const std::string& key_pem,
                                        const api::EnrolAnswer& answer);
/// Conflict, naming the file, where one of them is there.
[[nodiscard]] base::Status check_no_certificate(const CertificateFiles& files);
/// Removes what is there of them and says what that was.
std::vector<std::string> remove_certificate(const CertificateFiles& files);

}  // namespace warren::client
