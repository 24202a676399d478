// A queue whose memory is kept: it grows to the largest size ever needed and then never allocates.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "base/assert.hpp"

namespace warren::wg {

/// T is default-constructible and movable; a taken element is left in its moved-from state.
template <typename T>
class Ring {
 public:
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }

  void push(T value) { emplace() = std::move(value); }
  /// A new last element in whatever state its slot is in, to be filled by the caller.
  T& emplace() {
    if (size_ == slots_.size()) grow();
    ++size_;
    return slots_[(first_ + size_ - 1) % slots_.size()];
  }
  /// Needs a non-empty queue.
  [[nodiscard]] T pop() {
    WARREN_ASSERT(size_ != 0);
    T value = std::move(slots_[first_]);
    first_ = (first_ + 1) % slots_.size();
    --size_;
    return value;
  }
  /// Drops the elements for which `unwanted` is true; the others keep their order.
  template <typename Predicate>
  void erase_if(Predicate unwanted) {
    for (std::size_t left = size_; left != 0; --left) {
      T value = pop();
      if (!unwanted(std::as_const(value))) push(std::move(value));
    }
  }
  /// Gives the memory of an empty queue back if it has grown beyond the smallest size.
  void release_memory() {
    if (empty() && slots_.size() > kSmallest) slots_ = std::vector<T>();
  }
  void clear() {
    while (!empty()) static_cast<void>(pop());
  }

 private:
  static constexpr std::size_t kSmallest = 8;

  void grow() {
    std::vector<T> larger(std::max(kSmallest, slots_.size() * 2));
    for (std::size_t i = 0; i < size_; ++i) {
      larger[i] = std::move(slots_[(first_ + i) % slots_.size()]);
    }
    slots_ = std::move(larger);
    first_ = 0;
  }

  std::vector<T> slots_;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace warren::wg
