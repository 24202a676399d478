// The documents of authorities and certificates. Part of api/types.hpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace warren::api {

/// An authority of a network. `current` signs; a retiring one is still accepted.
struct AuthorityView {
  std::uint32_t number = 0;
  bool current = false;
  bool brought = false;  ///< somebody gave it; otherwise the gateway made it
  struct Facts {
    std::string subject;
    std::string issuer;
    std::string fingerprint;  ///< SHA-256, hex
    std::int64_t not_before = 0;
    std::int64_t not_after = 0;
  };
  std::vector<Facts> chain;         ///< its own certificate first
  std::string certificates;         ///< the same as PEM
  std::uint32_t good = 0;           ///< certificates of it that are neither over nor revoked
  std::uint32_t revoked = 0;        ///< on its list
  std::uint64_t list_number = 0;    ///< of its last list
  std::vector<std::string> awaits;  ///< of a retiring one: whose certificates are still of it
};
struct AuthorityList {
  std::string network;
  std::vector<AuthorityView> authorities;  ///< the current one first
};
struct AuthorityRotate {
  std::optional<std::string> ca_certificates;  ///< the next one is brought, as in NetworkCreate
  std::optional<std::string> ca_key;
  std::optional<bool> drop_old;  ///< at once: whatever the old ones signed is refused
};
struct CertificateSign {
  std::string certificate_request;  ///< PKCS#10, PEM
  std::optional<bool> server;       ///< for TLS servers, with these names; else for clients
  std::vector<std::string> dns_names;
  std::vector<std::string> addresses;
  std::optional<std::string> peer;  ///< whose it is: revoked with it
  std::optional<std::uint32_t> days;
};
struct SignedCertificate {
  std::string network;
  std::string name;
  std::string serial;
  std::int64_t not_after = 0;
  std::string certificate;  ///< PEM
  std::string authorities;  ///< PEM, the current one first
};
struct CertificateView {
  std::string serial;
  std::uint32_t authority = 0;
  std::string name;
  std::string role;
  bool of_peer = false;
  std::int64_t issued = 0;
  std::int64_t not_after = 0;
  std::int64_t revoked = 0;  ///< 0: it is good
};
struct CertificateList {
  std::string network;
  std::vector<CertificateView> certificates;
};

/// What runs out, or is about to.
struct DoctorReport {
  struct Finding {
    std::string network;  ///< empty: the gateway's own
    std::string what;     ///< "authority 1", "certificate of ann"
    std::string state;    ///< "good", "weak", "bad"
    std::string text;
    std::string remedy;
    std::int64_t days_left = 0;
  };
  std::vector<Finding> findings;
};

}  // namespace warren::api
