// Wakeup: wakes another thread's Loop.
#pragma once

#include "base/result.hpp"
#include "os/fd.hpp"

namespace warren::os {

/// A descriptor that is readable from signal() to clear(); any number of signals count as one.
class Wakeup {
 public:
  [[nodiscard]] static base::Result<Wakeup> create();
  [[nodiscard]] int descriptor() const { return event_.get(); }
  /// From any thread.
  void signal() const;
  void clear() const;

 private:
  explicit Wakeup(Fd event) : event_(std::move(event)) {}
  Fd event_;
};

}  // namespace warren::os
