#include "server/rate_limit.hpp"

#include <algorithm>
#include <array>
#include <chrono>

namespace warren::server {

namespace {
/// A sweep of the whole table at most this often, however many strangers knock.
constexpr base::Duration kSweepEvery = std::chrono::seconds(1);
}  // namespace

double RateLimit::tokens_at(const Bucket& bucket, base::Instant now) const {
  const double seconds = static_cast<double>((now - bucket.filled).count()) / 1e9;
  return std::min(burst_, bucket.tokens + std::max(0.0, seconds) * per_second_);
}

void RateLimit::forget_full(base::Instant now) {
  if (swept_.ns != 0 && now - swept_ < kSweepEvery) return;
  swept_ = now;
  std::erase_if(buckets_,
                [&](const auto& entry) { return tokens_at(entry.second, now) >= burst_; });
}

bool RateLimit::allow(const base::IpAddress& source, base::Instant now) {
  auto found = buckets_.find(source);
  if (found == buckets_.end()) {
    if (buckets_.size() >= tracked_sources_) forget_full(now);
    if (buckets_.size() >= tracked_sources_) return false;
    found = buckets_.emplace(source, Bucket{.tokens = burst_, .filled = now}).first;
  }
  Bucket& bucket = found->second;
  bucket.tokens = tokens_at(bucket, now);
  bucket.filled = now;
  if (bucket.tokens < 1.0) return false;
  bucket.tokens -= 1.0;
  return true;
}

void RateLimit::give_back(const base::IpAddress& source) {
  const auto found = buckets_.find(source);
  if (found == buckets_.end()) return;
  found->second.tokens = std::min(burst_, found->second.tokens + 1.0);
}

base::IpAddress source_of(const base::IpAddress& address) {
  if (address.is_v4()) return address;
  static constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const base::Bytes bytes = address.bytes();
  if (std::equal(kMapped.begin(), kMapped.end(), bytes.begin())) {
    return base::IpAddress::v4({bytes[12], bytes[13], bytes[14], bytes[15]});
  }
  return base::Prefix{.address = address, .length = 64}.network().address;
}

}  // namespace warren::server
