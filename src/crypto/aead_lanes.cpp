#include "crypto/aead_lanes.hpp"

#include <algorithm>
#include <array>

namespace warren::crypto {

namespace {

/// The packets of one batch, longest first.
class Order {
 public:
  explicit Order(std::span<AeadJob> jobs) : count_(jobs.size()) {
    for (std::size_t i = 0; i < count_; ++i) jobs_[i] = &jobs[i];
    const auto longer = [](const AeadJob* a, const AeadJob* b) {
      return a->text.size() > b->text.size();
    };
    const auto end = jobs_.begin() + static_cast<std::ptrdiff_t>(count_);
    if (!std::is_sorted(jobs_.begin(), end, longer)) std::sort(jobs_.begin(), end, longer);
  }
  [[nodiscard]] std::span<AeadJob*> jobs() { return std::span(jobs_).first(count_); }

 private:
  std::size_t count_;
  std::array<AeadJob*, kAeadBatch> jobs_;
};

struct Secrets {
  PolyKeys keys;
  PolyTags tags;

  void forget() { wipe({reinterpret_cast<std::uint8_t*>(this), sizeof *this}); }
};

void write_tags(Group group, const PolyTags& tags) {
  for (std::size_t i = 0; i < group.size(); ++i) {
    std::memcpy(group[i]->tag, &tags.low[i], 8);
    std::memcpy(group[i]->tag + 8, &tags.high[i], 8);
  }
}

bool equal(const std::uint8_t* tag, std::uint64_t low, std::uint64_t high) {
  std::uint64_t low_there = 0;
  std::uint64_t high_there = 0;
  std::memcpy(&low_there, tag, 8);
  std::memcpy(&high_there, tag + 8, 8);
  return ((low_there ^ low) | (high_there ^ high)) == 0;
}

void open_group(const VectorUnit& unit, std::span<AeadJob* const> group, Secrets& secrets) {
  unit.poly_keys(group, secrets.keys);
  unit.macs(group, secrets.keys, secrets.tags);
  std::array<const AeadJob*, kLanes> good;
  std::size_t count = 0;
  for (std::size_t i = 0; i < group.size(); ++i) {
    AeadJob& job = *group[i];
    job.authentic = equal(job.tag, secrets.tags.low[i], secrets.tags.high[i]);
    if (job.authentic) good[count++] = &job;
  }
  if (count != 0) unit.crypt(std::span(good).first(count));
}

}  // namespace

void seal_in_lanes(const VectorUnit& unit, std::span<AeadJob> jobs) {
  Secrets secrets;
  while (!jobs.empty()) {
    const std::size_t count = std::min(jobs.size(), kAeadBatch);
    Order order(jobs.first(count));
    for (std::span<AeadJob*> rest = order.jobs(); !rest.empty();) {
      const auto group = rest.first(std::min(rest.size(), kLanes));
      unit.poly_keys(group, secrets.keys);
      unit.crypt(group);
      unit.macs(group, secrets.keys, secrets.tags);
      write_tags(group, secrets.tags);
      rest = rest.subspan(group.size());
    }
    jobs = jobs.subspan(count);
  }
  secrets.forget();
}

void open_in_lanes(const VectorUnit& unit, std::span<AeadJob> jobs) {
  Secrets secrets;
  while (!jobs.empty()) {
    const std::size_t count = std::min(jobs.size(), kAeadBatch);
    Order order(jobs.first(count));
    for (std::span<AeadJob*> rest = order.jobs(); !rest.empty();) {
      const auto group = rest.first(std::min(rest.size(), kLanes));
      open_group(unit, group, secrets);
      rest = rest.subspan(group.size());
    }
    jobs = jobs.subspan(count);
  }
  secrets.forget();
}

bool one_key(Group group) {
  return std::ranges::all_of(group, [&](const AeadJob* job) { return job->key == group[0]->key; });
}

}  // namespace warren::crypto
