// Rehearsal: somebody to connect to who hangs up at once.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include "base/result.hpp"
#include "os/fd.hpp"

namespace warren::app {

/// A listener on 127.0.0.1 that closes every connection at its first bytes, while this lives.
class Rehearsal {
 public:
  Rehearsal() = default;
  ~Rehearsal();
  Rehearsal(const Rehearsal&) = delete;
  Rehearsal& operator=(const Rehearsal&) = delete;

  /// Fails where this machine's loopback leads nowhere.
  [[nodiscard]] base::Status start();
  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// Whether anybody began to speak.
  [[nodiscard]] bool was_spoken_to() const { return spoken_to_; }

 private:
  os::Fd listener_;
  std::uint16_t port_ = 0;
  std::atomic<bool> spoken_to_ = false;
  std::thread thread_;
};

}  // namespace warren::app
