// The gateway's identity: one ECDSA P-256 key whose SPKI hash is pinned by tokens. Certificates of
// it renew; the pin stays.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/result.hpp"
#include "base/time.hpp"

namespace warren::pki {

struct Identity {
  std::string private_key_pem;         ///< PKCS#8; the caller stores it 0600
  std::array<std::uint8_t, 32> pin{};  ///< SHA-256 of the DER SubjectPublicKeyInfo
};
/// A fresh key.
[[nodiscard]] base::Result<Identity> create_identity();
/// Reads a PEM key back.
[[nodiscard]] base::Result<Identity> load_identity(std::string private_key_pem);
/// A self-signed certificate (PEM) of the key, valid from a day before `now` for `days`; TLS server
/// use, subject "warren gateway".
[[nodiscard]] base::Result<std::string> self_signed_certificate(const Identity& identity,
                                                                base::WallTime now, int days);
/// SHA-256 of the SPKI of a certificate in DER: what a client compares with the token's pin.
[[nodiscard]] base::Result<std::array<std::uint8_t, 32>> certificate_pin(const std::uint8_t* der,
                                                                         std::size_t size);

}  // namespace warren::pki
