// The TLS of the listeners: 1.3 only, one self-signed certificate of the identity key.
#pragma once

#include <memory>
#include <string>

#include "base/result.hpp"

struct ssl_ctx_st;

namespace warren::server {

struct TlsContextFree {
  void operator()(ssl_ctx_st* context) const;
};
using TlsContext = std::unique_ptr<ssl_ctx_st, TlsContextFree>;

/// A server context. No tickets and no session cache: every connection proves the key. Invalid when
/// key and certificate do not belong together.
[[nodiscard]] base::Result<TlsContext> make_tls_context(const std::string& certificate_pem,
                                                        const std::string& private_key_pem);

}  // namespace warren::server
