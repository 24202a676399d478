// QR codes (ISO/IEC 18004) of a text: for a terminal and as an image.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace warren::client {

/// A square of dark and light modules, without its quiet zone.
class QrCode {
 public:
  /// Byte mode, error correction L. Invalid when the text does not fit (2953 bytes).
  [[nodiscard]] static base::Result<QrCode> create(std::string_view text);
  QrCode(QrCode&&) = default;
  QrCode& operator=(QrCode&&) = default;
  ~QrCode();

  /// UTF-8 half blocks, two rows of modules to a line, with the quiet zone. Light is drawn and dark
  /// is left: right as it stands on a dark terminal; on others the colours must be set around it.
  [[nodiscard]] std::string text() const;
  /// A grey PNG with 8 pixels to a module.
  [[nodiscard]] std::string png() const;

 private:
  QrCode(std::size_t side, std::vector<std::uint8_t> dark) : side_(side), dark_(std::move(dark)) {}
  /// Coordinates that count from the quiet zone's corner.
  [[nodiscard]] bool is_dark(std::size_t x, std::size_t y) const;
  [[nodiscard]] std::size_t full_side() const;

  std::size_t side_ = 0;
  std::vector<std::uint8_t> dark_;  ///< row by row, 0 or 1; wiped: it is the text
};

}  // namespace warren::client
