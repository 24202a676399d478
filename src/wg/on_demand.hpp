// What most peers do not have at most times, kept out of the peer: absent, it costs one pointer.
#pragma once

#include <memory>
#include <utility>

#include "wg/ring.hpp"

namespace warren::wg {

/// An optional whose value lives in memory of its own.
template <typename T>
class Boxed {
 public:
  Boxed() = default;
  Boxed& operator=(T value) {
    emplace(std::move(value));
    return *this;
  }
  T& emplace(T value) {
    value_ = std::make_unique<T>(std::move(value));
    return *value_;
  }
  void reset() { value_.reset(); }

  [[nodiscard]] bool has_value() const { return value_ != nullptr; }
  [[nodiscard]] explicit operator bool() const { return has_value(); }
  [[nodiscard]] T& operator*() { return *value_; }
  [[nodiscard]] const T& operator*() const { return *value_; }
  [[nodiscard]] T* operator->() { return value_.get(); }
  [[nodiscard]] const T* operator->() const { return value_.get(); }

 private:
  std::unique_ptr<T> value_;
};

/// A Ring that gives its memory back whenever it becomes empty.
template <typename T>
class BriefRing {
 public:
  [[nodiscard]] bool empty() const { return ring_ == nullptr; }
  [[nodiscard]] std::size_t size() const { return ring_ ? ring_->size() : 0; }
  void push(T value) {
    if (!ring_) ring_ = std::make_unique<Ring<T>>();
    ring_->push(std::move(value));
  }
  /// Needs a non-empty queue.
  [[nodiscard]] T pop() {
    WARREN_ASSERT(ring_ != nullptr);
    T value = ring_->pop();
    if (ring_->empty()) ring_.reset();
    return value;
  }
  void clear() { ring_.reset(); }

 private:
  std::unique_ptr<Ring<T>> ring_;  ///< never an empty one
};

}  // namespace warren::wg
