// The file of a backup (docs/formats/backup.md): named contents in one archive, plain with a
// checksum, or sealed with a passphrase. Pure: bytes in, bytes out.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace warren::backup {

inline constexpr std::size_t kMaxFiles = 1000;
inline constexpr std::size_t kMaxNameSize = 200;
inline constexpr std::uint64_t kMaxBytes = std::uint64_t{4} << 30;  ///< of a whole archive

struct File {
  std::string name;  ///< "identity.key", "settings/conf.d/a.yaml"
  std::string content;
  bool operator==(const File&) const = default;
};
struct Contents {
  base::WallTime made;
  std::string program;  ///< "warren 0.1.0"
  std::vector<File> files;
  bool operator==(const Contents&) const = default;
  [[nodiscard]] const File* find(std::string_view name) const;
};

enum class Protection : std::uint8_t { None = 0, Passphrase = 1 };

/// The first kHeaderSize bytes.
inline constexpr std::size_t kHeaderSize = 56;
struct Header {
  Protection protection = Protection::None;
  /// Of scrypt; 0 without a passphrase.
  std::uint8_t log2_n = 0;
  std::uint8_t r = 0;
  std::uint8_t p = 0;
  std::uint32_t chunk_size = 0;
  std::array<std::uint8_t, 32> salt{};
  bool operator==(const Header&) const = default;
};
[[nodiscard]] std::array<std::uint8_t, kHeaderSize> write_header(const Header& header);
/// Invalid: no backup, cut off, of another version, or with values that no version writes (they
/// bound the memory and the time that opening takes).
[[nodiscard]] base::Result<Header> read_header(base::Bytes file);

/// How hard a passphrase is to try; the default takes 128 MiB and about half a second.
struct Effort {
  std::uint8_t log2_n = 17;
};

/// A whole file. Asserts that the names are good and no more than the limits.
[[nodiscard]] std::string write_plain(const Contents& contents);
[[nodiscard]] base::Result<std::string> write_sealed(const Contents& contents,
                                                     std::string_view passphrase,
                                                     base::RandomSource& random,
                                                     Effort effort = {});
/// Reads either. Invalid: no backup, cut off, changed, too large; a passphrase is missing, was not
/// asked for, or is wrong (which shows as a change).
[[nodiscard]] base::Result<Contents> read(base::Bytes file,
                                          const std::optional<std::string>& passphrase);

/// Relative, of letters, digits and "._-/", without empty, "." and ".." parts.
[[nodiscard]] bool is_good_name(std::string_view name);

}  // namespace warren::backup
