// A token bucket per source address, in a table of bounded size. Pure: the time is passed in.
#pragma once

#include <cstddef>
#include <unordered_map>

#include "base/address.hpp"
#include "base/time.hpp"

namespace warren::server {

class RateLimit {
 public:
  /// Each source may do `burst` things at once and `per_second` in the long run.
  RateLimit(double per_second, double burst, std::size_t tracked_sources)
      : per_second_(per_second), burst_(burst), tracked_sources_(tracked_sources) {}

  /// True when `source` may do one thing now. When the table is full of sources that are still
  /// being held back, an unknown source is refused: memory stays bounded under a flood.
  [[nodiscard]] bool allow(const base::IpAddress& source, base::Instant now);
  /// What was allowed is not counted after all: it was no stranger.
  void give_back(const base::IpAddress& source);
  [[nodiscard]] std::size_t tracked() const { return buckets_.size(); }

 private:
  struct Bucket {
    double tokens = 0;
    base::Instant filled;
  };
  [[nodiscard]] double tokens_at(const Bucket& bucket, base::Instant now) const;
  void forget_full(base::Instant now);

  double per_second_;
  double burst_;
  std::size_t tracked_sources_;
  std::unordered_map<base::IpAddress, Bucket> buckets_;
  base::Instant swept_;
};

/// What counts as one source: an IPv4 address (also when mapped into IPv6), or an IPv6 /64.
[[nodiscard]] base::IpAddress source_of(const base::IpAddress& address);

}  // namespace warren::server
