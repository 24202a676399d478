// ByteQueue: bytes that wait for room on the other side, first in, first out.
#pragma once

#include <vector>

#include "base/bytes.hpp"

namespace warren::proxy {

class ByteQueue {
 public:
  [[nodiscard]] bool empty() const { return begin_ == bytes_.size(); }
  [[nodiscard]] std::size_t size() const { return bytes_.size() - begin_; }
  [[nodiscard]] base::Bytes front() const { return base::Bytes(bytes_).subspan(begin_); }
  void append(base::Bytes more) {
    if (begin_ > bytes_.size() / 2) {
      bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(begin_));
      begin_ = 0;
    }
    bytes_.insert(bytes_.end(), more.begin(), more.end());
  }
  /// Forgets `count` (<= size()) bytes of the front; an empty queue holds no memory.
  void pop(std::size_t count) {
    begin_ += count;
    if (!empty()) return;
    std::vector<std::uint8_t>().swap(bytes_);
    begin_ = 0;
  }

 private:
  std::vector<std::uint8_t> bytes_;
  std::size_t begin_ = 0;
};

}  // namespace warren::proxy
