// A database as one piece: copied while the daemon writes, and looked at before it is believed.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.hpp"

namespace warren::store_sqlite {

/// The whole database at one instant, between two commits, whoever writes meanwhile. NotFound:
/// there is none. The answer holds private keys.
[[nodiscard]] base::Result<std::string> snapshot(const std::string& path);

struct Inspection {
  std::uint64_t networks = 0;
  std::uint64_t peers = 0;          ///< invited and enrolled
  std::uint64_t audit_records = 0;  ///< that the chain covers
};
/// Checks that the file is a database that a daemon can serve: whole, of no newer version
/// (Conflict), a state that may exist, an audit whose chain holds. An older one is brought up to
/// date. For a file that nobody else has open.
[[nodiscard]] base::Result<Inspection> inspect(const std::string& path);

}  // namespace warren::store_sqlite
