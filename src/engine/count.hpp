// Count: a number that one thread adds to and any thread may read.
#pragma once

#include <atomic>
#include <cstdint>

namespace warren::engine {

class Count {
 public:
  void add(std::uint64_t more) {
    if (more == 0) return;
    value_.store(value_.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_ = 0;
};

}  // namespace warren::engine
