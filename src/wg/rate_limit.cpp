#include "wg/rate_limit.hpp"

#include <algorithm>
#include <chrono>

#include "wg/limits.hpp"

namespace warren::wg {

namespace {

constexpr base::Duration kCost =
    base::Duration(std::chrono::seconds(1)) / static_cast<int>(kSourceHandshakesPerSecond);
constexpr base::Duration kFull = kCost * static_cast<int>(kSourceHandshakeBurst);

base::IpAddress bucket_of(const base::IpAddress& source) {
  if (source.is_v4()) return source;
  return base::Prefix{source, 64}.network().address;
}

}  // namespace

bool RateLimit::allow(const base::IpAddress& source, base::Instant now) {
  const base::IpAddress key = bucket_of(source);
  auto found = buckets_.find(key);
  if (found == buckets_.end()) {
    if (buckets_.size() >= kMaxSources) forget_idle(now);
    if (buckets_.size() >= kMaxSources) return false;
    found = buckets_.emplace(key, Bucket{.credit = kFull, .updated = now}).first;
  }
  Bucket& bucket = found->second;
  bucket.credit = std::min(kFull, bucket.credit + std::max(now - bucket.updated, {}));
  bucket.updated = now;
  if (bucket.credit < kCost) return false;
  bucket.credit -= kCost;
  return true;
}

// At most once a second: a flood of new sources must not make every message pay for a sweep.
void RateLimit::forget_idle(base::Instant now) {
  if (now - last_sweep_ < std::chrono::seconds(1)) return;
  last_sweep_ = now;
  std::erase_if(buckets_, [now](const auto& entry) {
    return now - entry.second.updated >= kFull - entry.second.credit;
  });
}

}  // namespace warren::wg
