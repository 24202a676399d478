// Fd: the only holder of a file descriptor. Closed when it dies, close-on-exec from birth.
#pragma once

#include <utility>

#include "base/result.hpp"

namespace warren::os {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int number) : number_(number) {}
  Fd(Fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      number_ = std::exchange(other.number_, -1);
    }
    return *this;
  }
  ~Fd() { reset(); }

  [[nodiscard]] int get() const { return number_; }
  [[nodiscard]] explicit operator bool() const { return number_ >= 0; }
  [[nodiscard]] int release() { return std::exchange(number_, -1); }
  void reset();
  /// A second descriptor of the same open file (F_DUPFD_CLOEXEC).
  [[nodiscard]] base::Result<Fd> duplicate() const;
  /// Clears close-on-exec, for a child that inherits it.
  [[nodiscard]] base::Status make_inheritable() const;
  [[nodiscard]] base::Status set_nonblocking() const;

 private:
  int number_ = -1;
};

}  // namespace warren::os
