// A network's certificate authority (RFC 5280): certificates for members and servers, and the list
// of those that are revoked. Pure: keys, certificates and lists are PEM texts; time and serial
// numbers are passed in.
//
// All keys are ECDSA P-256 with SHA-256. A certificate never outlives its authority's own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace warren::pki {

struct Authority {
  std::string certificate_pem;
  std::string private_key_pem;  ///< PKCS#8; the caller stores it 0600
  /// What lies between this certificate and a root, for an authority that is a subordinate; else
  /// empty.
  std::string chain_pem;
};

/// A root for one network: CN "NETWORK authority", path length 0, valid for `days`. The second and
/// later ones of a network (`number`) are called "NETWORK authority 2" and so on.
[[nodiscard]] base::Result<Authority> create_authority(const std::string& network,
                                                       base::RandomSource& random,
                                                       base::WallTime now, int days,
                                                       std::uint32_t number = 1);
/// An authority that somebody brings: the first certificate of `certificates_pem` with its key, the
/// others are its chain, each the issuer of the one before. Invalid, with the reason, when the key
/// is another's or no P-256 key, when the certificate may not sign certificates and lists, has no
/// subject key identifier or is not valid at `now`, and when the chain is broken.
[[nodiscard]] base::Result<Authority> load_authority(const std::string& certificates_pem,
                                                     const std::string& private_key_pem,
                                                     base::WallTime now);

enum class CertificateUse : std::uint8_t { Client, Server };
/// Who a certificate is for. In the subject: O is the network, OU the role, CN the name.
struct Holder {
  std::string network;
  std::string name;
  std::string role;
  CertificateUse use = CertificateUse::Client;
  std::vector<std::string> dns_names;  ///< of a server
  std::vector<std::string> addresses;  ///< of a server, as text
};
struct Issued {
  std::string certificate_pem;
  std::string serial;  ///< 32 hex digits
  base::WallTime not_after;
};

struct RequestedCertificate {
  std::string private_key_pem;
  std::string request_pem;  ///< PKCS#10
};
/// A fresh key and the request for its certificate: what a member makes.
[[nodiscard]] base::Result<RequestedCertificate> create_request(const std::string& name);
/// The request of a key that is there already.
[[nodiscard]] base::Result<std::string> request_for(const std::string& private_key_pem,
                                                    const std::string& name);
/// Whether the key is the one that the certificate is of.
[[nodiscard]] bool is_key_of(const std::string& private_key_pem,
                             const std::string& certificate_pem);
/// Signs the key of a request that proves its possession. Of the request only the key counts: who
/// it is for, the authority says. Invalid for a malformed or wrongly signed request or another
/// kind of key.
[[nodiscard]] base::Result<Issued> sign_request(const Authority& authority,
                                                const std::string& request_pem,
                                                const Holder& holder, base::RandomSource& random,
                                                base::WallTime now, int days);

struct RevokedCertificate {
  std::string serial;  ///< as `Issued` has it
  base::WallTime since;
};
struct RevocationList {
  std::string pem;
  std::string der;
  base::WallTime next_update;
};
/// `number` must grow with each list of an authority (RFC 5280 section 5.2.3).
[[nodiscard]] base::Result<RevocationList> sign_revocations(
    const Authority& authority, const std::vector<RevokedCertificate>& revoked,
    std::uint64_t number, base::WallTime now, int days);

/// What a list says. NotPermitted when it is not signed by that authority.
struct RevocationFacts {
  std::uint64_t number = 0;
  base::WallTime this_update;
  base::WallTime next_update;
  std::vector<std::string> serials;  ///< sorted
};
[[nodiscard]] base::Result<RevocationFacts> read_revocations(
    const std::string& list_pem, const std::string& authority_certificate_pem);

/// The PEM text of a list in DER.
[[nodiscard]] base::Result<std::string> revocations_pem(const std::string& der);

/// The single certificates of a PEM text, in its order.
[[nodiscard]] std::vector<std::string> certificates_of(const std::string& pem);

struct CertificateFacts {
  std::string subject;  ///< RFC 2253
  std::string issuer;
  std::string serial;
  std::string fingerprint;  ///< SHA-256 of the certificate, hex
  base::WallTime not_before;
  base::WallTime not_after;
  bool is_authority = false;
};
[[nodiscard]] base::Result<CertificateFacts> certificate_facts(const std::string& certificate_pem);
/// Two thirds of its life are over, or its life has not begun (the clock was set back).
[[nodiscard]] bool is_renewal_due(base::WallTime not_before, base::WallTime not_after,
                                  base::WallTime now);

/// Whether `certificate_pem` is signed by one of `trusted_pem` (a bundle: during a roll-over the
/// old and the new authority), for that use, valid at `now`, and not on the lists of
/// `revocations_pem` (one per authority; empty: not asked). NotPermitted with OpenSSL's reason.
[[nodiscard]] base::Status verify_certificate(const std::string& certificate_pem,
                                              const std::string& trusted_pem,
                                              const std::string& revocations_pem,
                                              CertificateUse use, base::WallTime now);

}  // namespace warren::pki
