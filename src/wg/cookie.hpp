// The two macs that end a handshake message, and cookie replies (whitepaper sections 5.3, 5.4.4,
// 5.4.7). mac1 proves that the sender knows our public key, so that strangers get no answer at all;
// mac2 proves, when we are under load, that it receives what is sent to its address.
#pragma once

#include <optional>

#include "base/address.hpp"
#include "base/random.hpp"
#include "base/time.hpp"
#include "crypto/crypto.hpp"
#include "wg/messages.hpp"

namespace warren::wg {

/// The receiver's side: one per interface key. The secret behind the cookies is replaced when it
/// is older than `secret_lifetime`; cookies made with the old one are then refused.
class CookieChecker {
 public:
  CookieChecker(const base::PublicKey& ours, base::Duration secret_lifetime);

  /// `datagram` is a whole handshake message.
  [[nodiscard]] bool mac1_ok(base::Bytes datagram) const;
  /// Whether mac2 was made with a cookie we gave to `from` and that is still good.
  [[nodiscard]] bool mac2_ok(base::Bytes datagram, const base::Endpoint& from,
                             base::Instant now) const;
  /// The reply that gives `from` its cookie. `sender` is the index that the refused `datagram`
  /// names as its sender.
  [[nodiscard]] CookieReply reply(base::Bytes datagram, Index sender, const base::Endpoint& from,
                                  base::Instant now, base::RandomSource& random);

 private:
  [[nodiscard]] Cookie cookie_of(const base::Endpoint& from) const;

  crypto::Hash mac1_key_;
  crypto::Secret<32> reply_key_;
  crypto::Secret<32> secret_;
  std::optional<base::Instant> secret_born_;
  base::Duration secret_lifetime_;
};

/// The sender's side: one per peer.
class CookieGenerator {
 public:
  CookieGenerator(const base::PublicKey& theirs, base::Duration secret_lifetime);

  /// Writes mac1, and mac2 if we hold a fresh cookie, into the end of a whole handshake message.
  void add_macs(base::MutableBytes datagram, base::Instant now);
  /// False when the reply does not belong to the last message that went through add_macs.
  [[nodiscard]] bool consume(const CookieReply& reply, base::Instant now);

 private:
  crypto::Hash mac1_key_;
  crypto::Secret<32> reply_key_;
  std::optional<crypto::Mac> last_mac1_;
  Cookie cookie_{};
  std::optional<base::Instant> cookie_born_;
  base::Duration cookie_lifetime_;
};

}  // namespace warren::wg
