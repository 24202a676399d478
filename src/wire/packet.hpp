// Packet: a pooled buffer with room in front and behind, so that a header is added by moving a
// pointer. Nothing on the packet path allocates: a slot returns to its pool when the Packet dies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "base/bytes.hpp"

namespace warren::wire {

class PacketPool;

/// Room kept in front of received data: a virtio-net header (12) and a WireGuard transport header
/// (16), with space for an outer header of a stream transport later.
inline constexpr std::size_t kHeadroom = 64;
/// Room kept behind: padding to 16 and the Poly1305 tag.
inline constexpr std::size_t kTailroom = 64;

/// A move-only view of one pool slot: `bytes()` is the current content. A default-constructed
/// Packet is empty and owns nothing. Belongs to one thread, like its pool.
class Packet {
 public:
  Packet() = default;
  Packet(Packet&& other) noexcept { swap(other); }
  Packet& operator=(Packet&& other) noexcept {
    if (this != &other) {
      release();
      swap(other);
    }
    return *this;
  }
  ~Packet() { release(); }

  [[nodiscard]] explicit operator bool() const { return slot_ != nullptr; }
  [[nodiscard]] base::MutableBytes bytes() { return {slot_ + begin_, size_}; }
  [[nodiscard]] base::Bytes bytes() const { return {slot_ + begin_, size_}; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t headroom() const { return begin_; }
  [[nodiscard]] std::size_t tailroom() const { return capacity_ - begin_ - size_; }

  /// Grows by `count` bytes at the front / back (contents unspecified); needs the room.
  void push_front(std::size_t count) {
    WARREN_ASSERT(count <= headroom());
    begin_ -= count;
    size_ += count;
  }
  void push_back(std::size_t count) {
    WARREN_ASSERT(count <= tailroom());
    size_ += count;
  }
  /// Shrinks by `count` bytes at the front / back.
  void pop_front(std::size_t count) {
    WARREN_ASSERT(count <= size_);
    begin_ += count;
    size_ -= count;
  }
  void pop_back(std::size_t count) {
    WARREN_ASSERT(count <= size_);
    size_ -= count;
  }

 private:
  friend class PacketPool;
  void release();
  void swap(Packet& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(slot_, other.slot_);
    std::swap(capacity_, other.capacity_);
    std::swap(begin_, other.begin_);
    std::swap(size_, other.size_);
  }

  PacketPool* pool_ = nullptr;
  std::uint8_t* slot_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t size_ = 0;
};

/// A free list of equal slots. Grows up to `limit` slots on demand, then `take` gives empty
/// packets (the caller drops and counts). Must outlive its packets. Not thread-safe.
class PacketPool {
 public:
  /// `content` is the largest content in bytes; headroom and tailroom come on top.
  PacketPool(std::size_t content, std::size_t limit) : content_(content), limit_(limit) {}
  ~PacketPool();
  PacketPool(const PacketPool&) = delete;
  PacketPool& operator=(const PacketPool&) = delete;

  /// A packet of `size` (<= content) unspecified bytes with kHeadroom in front; an empty Packet
  /// when the limit is reached.
  [[nodiscard]] Packet take(std::size_t size);
  /// A packet holding a copy of `bytes`; empty when too large or the limit is reached.
  [[nodiscard]] Packet copy_of(base::Bytes bytes);
  [[nodiscard]] std::size_t content_size() const { return content_; }
  [[nodiscard]] std::size_t limit() const { return limit_; }
  [[nodiscard]] std::size_t in_use() const { return slots_ - free_.size(); }
  /// Gives unused slots back to the system.
  void trim();

 private:
  friend class Packet;
  void give_back(std::uint8_t* slot) { free_.push_back(slot); }

  std::size_t content_;
  std::size_t limit_;
  std::size_t slots_ = 0;
  std::vector<std::uint8_t*> free_;
};

}  // namespace warren::wire
