// The audit is a chain: each record carries a hash of itself and of the record before, so that none
// can be changed, removed or slipped in without every later hash being wrong.
//
// Whoever writes the database can also write a whole new chain. That shows only to those who know
// an older head: note the one that `warren audit verify` prints somewhere else, and compare.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/result.hpp"
#include "base/time.hpp"

namespace warren::store {

struct AuditRecord {
  base::WallTime time;
  std::string actor;   ///< "uid 0", "token of laptop", "daemon"
  std::string action;  ///< "network.create", "peer.revoke" …
  std::string target;  ///< "lab/laptop"
  std::string result;  ///< "ok" or the error's message
  bool operator==(const AuditRecord&) const = default;
};

using ChainHash = std::array<std::uint8_t, 32>;

struct AuditEntry {
  std::uint64_t number = 0;  ///< 1, 2, 3 …: never given twice, no gaps
  AuditRecord record;
  ChainHash chain{};  ///< zero in records that are older than the chain
  bool operator==(const AuditEntry&) const = default;
};

/// What the chain covers: the records `before` + 1 to `last`.
struct AuditSpan {
  std::uint64_t before = 0;  ///< those up to here are forgotten, or older than the chain
  ChainHash anchor{};        ///< the hash of record `before`; zero at the very beginning
  std::uint64_t last = 0;
  ChainHash head{};  ///< the hash of record `last`
  bool operator==(const AuditSpan&) const = default;
};

/// SHA-256 over the hash before, the time (64 bits, big endian, nanoseconds) and the four texts,
/// each after its length (32 bits, big endian).
[[nodiscard]] ChainHash chain_after(const ChainHash& previous, const AuditRecord& record);

/// Checks a span, entry by entry in the order of their numbers.
class ChainCheck {
 public:
  explicit ChainCheck(const AuditSpan& span);
  /// Failed, naming the first record that is not what was written.
  [[nodiscard]] base::Status add(const AuditEntry& entry);
  /// Failed when records are missing at the end.
  [[nodiscard]] base::Status finish() const;

 private:
  AuditSpan span_;
  std::uint64_t number_;
  ChainHash hash_;
};

}  // namespace warren::store
