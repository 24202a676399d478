// A session: the keys that one handshake gave, for sending and for receiving, with their counters.
// Source: whitepaper sections 5.4.6 and 6.1.
#pragma once

#include <cstdint>

#include "base/time.hpp"
#include "crypto/crypto.hpp"
#include "wg/handshake.hpp"
#include "wg/replay.hpp"
#include "wg/shared_key.hpp"
#include "wire/packet.hpp"

namespace warren::wg {

enum class Role : std::uint8_t { Initiator, Responder };
enum class OpenResult : std::uint8_t { Opened, BadTag, Replayed };

class Session {
 public:
  Session(const SessionKeys& keys, Index local, Index remote, Role role, base::Instant born)
      : send_(keys.send),
        receive_(keys.receive),
        local_index_(local),
        remote_index_(remote),
        role_(role),
        born_(born) {}

  /// Turns an IP packet into a transport message in place, with `padding` zero bytes behind it.
  /// Needs headroom of kTransportHeaderSize and tailroom of padding + tag. The caller has checked
  /// that next_counter() is below the limit. No counter is ever used twice.  HOT PATH
  void seal(wire::Packet& packet, std::size_t padding);
  /// Turns a transport message of this session into its padded packet in place. The counter is
  /// marked as seen only if the message authenticates.  HOT PATH
  [[nodiscard]] OpenResult open(wire::Packet& packet, std::uint64_t counter);

  // The same in steps, for batches whose cryptography happens elsewhere.

  [[nodiscard]] const SharedKey& send_key() const { return send_; }
  [[nodiscard]] const SharedKey& receive_key() const { return receive_; }
  /// Takes `count` counters out of use and returns the first: whoever reserved them may seal one
  /// message with each. The caller has checked the limit for the whole range.
  [[nodiscard]] std::uint64_t reserve(std::uint64_t count);
  /// Whether a message with this counter is worth decrypting.
  [[nodiscard]] bool would_accept(std::uint64_t counter) const {
    return window_.would_accept(counter);
  }
  /// Marks the counter of an authentic message as seen; false for a replay.
  [[nodiscard]] bool accept(std::uint64_t counter) { return window_.accept(counter); }

  [[nodiscard]] std::uint64_t next_counter() const { return next_counter_; }
  [[nodiscard]] Index local_index() const { return local_index_; }
  [[nodiscard]] Index remote_index() const { return remote_index_; }
  [[nodiscard]] Role role() const { return role_; }
  [[nodiscard]] base::Duration age(base::Instant now) const { return now - born_; }

 private:
  SharedKey send_;
  SharedKey receive_;
  std::uint64_t next_counter_ = 0;
  Index local_index_;
  Index remote_index_;
  Role role_;
  base::Instant born_;
  ReplayWindow window_;
};

/// Zero bytes to put behind a packet: up to a multiple of 16, but never beyond `mtu`, so that a
/// full packet does not outgrow the path because of its padding. An `mtu` of 0 is no limit.
[[nodiscard]] std::size_t padding_of(std::size_t packet_size, std::size_t mtu);

}  // namespace warren::wg
