// Rehearsal: somebody to connect to who hangs up at once.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include "base/result.hpp"
#include "os/fd.hpp"

namespace warren::app {

/// A listener on 127.0.0.1 that accepts and closes every connection while this lives.
class Rehearsal {
 public:
  Rehearsal() = default;
  ~Rehearsal();
  Rehearsal(const Rehearsal&) = delete;
  Rehearsal& operator=(const Rehearsal&) = delete;

  [[nodiscard]] base::Status start();
  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// Whether anybody came.
  [[nodiscard]] bool was_visited() const { return visited_; }

 private:
  os::Fd listener_;
  std::uint16_t port_ = 0;
  std::atomic<bool> visited_ = false;
  std::thread thread_;
};

}  // namespace warren::app
