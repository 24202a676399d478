// BLAKE2s (RFC 7693) of our own: a handshake compresses about ninety blocks, and OpenSSL's calls
// around one cost as much as the block (docs/design/0006-aead.md). Private to this module's .cpp
// files.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.hpp"

namespace warren::crypto {

inline constexpr std::size_t kBlake2sBlockSize = 64;

/// A hash on its way. Copyable, so that what several messages begin with is hashed once; wiped when
/// it dies. Time depends on sizes alone.
class Blake2s {
 public:
  /// `digest_size` is 1..32 bytes; `key` is at most 32, and none when empty.
  explicit Blake2s(std::size_t digest_size = 32, base::Bytes key = {});
  Blake2s(const Blake2s&) = default;
  Blake2s& operator=(const Blake2s&) = delete;
  ~Blake2s();

  void update(base::Bytes bytes);
  /// Compresses a full block that waits to learn whether it is the last. At least one byte must
  /// follow.
  void expect_more();
  /// `out` has the digest's size. Nothing may be called after it.
  void finish(base::MutableBytes out);

 private:
  void compress_block(std::uint32_t last);

  std::array<std::uint32_t, 8> state_;
  std::uint64_t hashed_ = 0;  ///< bytes in the blocks that are compressed
  std::array<std::uint8_t, kBlake2sBlockSize> block_;
  std::size_t filled_ = 0;  ///< of `block_`; a full one waits, because the last is marked
};

}  // namespace warren::crypto
