// SharedKey: one direction's key of a session, which its session shares with the batches that other
// threads are sealing or opening. It is wiped and freed when the last of them lets go, so that
// ending a session never waits for a thread and never takes a key from under one.
//
// The one counted thing of this module; everything else is named by ids. Taken once per run of
// packets, not per packet.
#pragma once

#include <atomic>
#include <utility>

#include "crypto/crypto.hpp"

namespace warren::wg {

class SharedKey {
 public:
  SharedKey() = default;
  explicit SharedKey(const crypto::AeadKey& key) : held_(new Held(key)) {}
  SharedKey(const SharedKey& other) : held_(other.held_) {
    if (held_ != nullptr) held_->holders.fetch_add(1, std::memory_order_relaxed);
  }
  SharedKey(SharedKey&& other) noexcept : held_(std::exchange(other.held_, nullptr)) {}
  SharedKey& operator=(SharedKey other) noexcept {
    std::swap(held_, other.held_);
    return *this;
  }
  ~SharedKey() {
    // The last one must see all that the others did with the key before it frees it.
    if (held_ != nullptr && held_->holders.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      delete held_;
    }
  }

  /// Names the key as long as anybody holds it; nullptr when this holds none.
  [[nodiscard]] const crypto::Aead* get() const { return held_ == nullptr ? nullptr : &held_->key; }
  [[nodiscard]] std::uint32_t holders() const {
    return held_ == nullptr ? 0 : held_->holders.load(std::memory_order_relaxed);
  }
  bool operator==(const SharedKey&) const = default;

 private:
  struct Held {
    explicit Held(const crypto::AeadKey& bytes) : key(bytes) {}

    crypto::Aead key;
    std::atomic<std::uint32_t> holders = 1;
  };

  Held* held_ = nullptr;
};

}  // namespace warren::wg
