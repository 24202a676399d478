// Signals as a readable descriptor.
#pragma once

#include <initializer_list>
#include <optional>

#include "base/result.hpp"
#include "os/fd.hpp"

namespace warren::os {

/// Takes signals out of asynchronous delivery: they are blocked in the calling thread (make one
/// before any other thread starts) and wait in the descriptor.
class SignalQueue {
 public:
  [[nodiscard]] static base::Result<SignalQueue> create(std::initializer_list<int> signals);
  /// Readable while a signal waits.
  [[nodiscard]] int descriptor() const { return fd_.get(); }
  /// The next waiting signal; nullopt when none waits.
  [[nodiscard]] std::optional<int> poll();

 private:
  explicit SignalQueue(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace warren::os
