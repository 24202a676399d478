#include "wire/packet.hpp"

namespace warren::wire {

void Packet::release() {
  if (slot_ != nullptr) pool_->give_back(slot_);
  slot_ = nullptr;
  size_ = 0;
}

PacketPool::~PacketPool() {
  WARREN_ASSERT(in_use() == 0);
  trim();
}

Packet PacketPool::take(std::size_t size) {
  Packet packet;
  if (size > content_) return packet;
  const std::size_t capacity = kHeadroom + content_ + kTailroom;
  if (free_.empty()) {
    if (slots_ == limit_) return packet;
    free_.push_back(new std::uint8_t[capacity]);
    ++slots_;
    free_.reserve(slots_);
  }
  packet.pool_ = this;
  packet.slot_ = free_.back();
  free_.pop_back();
  packet.capacity_ = capacity;
  packet.begin_ = kHeadroom;
  packet.size_ = size;
  return packet;
}

Packet PacketPool::copy_of(base::Bytes bytes) {
  Packet packet = take(bytes.size());
  if (packet && !bytes.empty()) std::memcpy(packet.bytes().data(), bytes.data(), bytes.size());
  return packet;
}

void PacketPool::trim() {
  for (std::uint8_t* slot : free_) delete[] slot;
  slots_ -= free_.size();
  free_.clear();
}

}  // namespace warren::wire
