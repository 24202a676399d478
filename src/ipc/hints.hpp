// The hints table: a memfd that engine and opener both hold, so that a crashed engine's successor
// knows where peers were and which timestamps were used. It never holds a secret.
//
// Fixed layout (docs/formats/hints.md): a header and `capacity` slots of 128 bytes, open addressing
// by public key. Each slot carries a checksum; a slot torn by a crash reads as absent. Works on
// mapped memory that the caller owns; no allocation.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "base/key.hpp"
#include "base/time.hpp"

namespace warren::ipc {

struct Hint {
  std::optional<base::Endpoint> endpoint;
  std::array<std::uint8_t, 12> last_sent_timestamp{};
  std::array<std::uint8_t, 12> last_accepted_timestamp{};
  base::Instant last_activity{};
};

/// Slots of a table that follows its peers: 2 MiB, of which only what is used takes memory, and
/// 128 MiB for half a million peers.
inline constexpr std::size_t kMinHints = std::size_t{1} << 14;
inline constexpr std::size_t kMaxHints = std::size_t{1} << 20;

class HintsTable {
 public:
  /// Bytes needed for a table of `capacity` peers.
  [[nodiscard]] static std::size_t size_for(std::size_t capacity);
  /// Formats fresh (zeroed) memory.
  static void format(base::MutableBytes memory);
  /// nullopt when the memory is not a table of this version or has the wrong size.
  [[nodiscard]] static std::optional<HintsTable> open(base::MutableBytes memory);

  /// Room for this many peers and as many more, within kMinHints and kMaxHints.
  [[nodiscard]] static std::size_t capacity_for(std::size_t peers);
  /// False when the table is full, or so nearly that no slot is found in a bounded search.
  bool put(const base::PublicKey& peer, const Hint& hint);
  [[nodiscard]] std::optional<Hint> get(const base::PublicKey& peer) const;
  void erase(const base::PublicKey& peer);

 private:
  explicit HintsTable(base::MutableBytes memory) : memory_(memory) {}
  [[nodiscard]] std::size_t capacity() const;
  [[nodiscard]] base::MutableBytes slot(std::size_t index) const;
  [[nodiscard]] std::optional<std::size_t> find(const base::PublicKey& peer) const;
  base::MutableBytes memory_;
};

}  // namespace warren::ipc
