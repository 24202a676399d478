// Contents that only the owner of a key can read: CMS (RFC 5652, RFC 5083), as `openssl cms` reads
// and writes it.
#pragma once

#include <string>

#include "base/result.hpp"

namespace warren::pki {

/// DER: AuthEnvelopedData with AES-256-GCM to the certificates of a PEM text, or to one public key
/// in PEM ("BEGIN PUBLIC KEY"). `openssl cms -decrypt -binary -inform DER -inkey KEY` opens it.
/// Invalid: the PEM holds neither.
[[nodiscard]] base::Result<std::string> seal_envelope(const std::string& content,
                                                      const std::string& recipient_pem);
/// Opens one with a private key in PEM. Invalid: it is no envelope, was changed or cut off, or is
/// to somebody else.
[[nodiscard]] base::Result<std::string> open_envelope(const std::string& der,
                                                      const std::string& private_key_pem);

}  // namespace warren::pki
