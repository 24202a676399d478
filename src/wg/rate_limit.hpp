// How many handshake messages one source may send while we are under load: a token bucket per IPv4
// address and per IPv6 /64, in a table of bounded size.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "base/address.hpp"
#include "base/time.hpp"

namespace warren::wg {

class RateLimit {
 public:
  /// Takes one token of the source. False when it has none left, or when the table is full of
  /// other busy sources.
  [[nodiscard]] bool allow(const base::IpAddress& source, base::Instant now);
  [[nodiscard]] std::size_t size() const { return buckets_.size(); }

 private:
  struct Bucket {
    base::Duration credit;  ///< time saved up; one message costs 1/rate
    base::Instant updated;
  };
  void forget_idle(base::Instant now);

  std::unordered_map<base::IpAddress, Bucket> buckets_;
  base::Instant last_sweep_{};
};

}  // namespace warren::wg
