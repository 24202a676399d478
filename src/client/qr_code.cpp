// QR codes by libqrencode; the PNG around them by zlib (its chunks and checksums are written here:
// a one-bit grey image needs a header, one compressed block of rows and an end).
#include "client/qr_code.hpp"

#include <cerrno>
#include <memory>
#include <utility>

#include <qrencode.h>
#include <zlib.h>

#include "crypto/secret.hpp"

namespace warren::client {
namespace {

constexpr std::size_t kQuietModules = 4;  // ISO/IEC 18004, 5.3.8
constexpr std::size_t kPixels = 8;        // to a module, and bits to a byte: a module is 8 bytes

void append_u32(std::string& out, std::uint32_t value) {
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>((value >> shift) & 0xff);
}

const Bytef* zlib_bytes(const std::string& text) {
  return reinterpret_cast<const Bytef*>(text.data());
}

void append_chunk(std::string& out, const std::string& type, const std::string& data) {
  append_u32(out, static_cast<std::uint32_t>(data.size()));
  const std::string summed = type + data;
  out += summed;
  append_u32(out, static_cast<std::uint32_t>(
                      ::crc32(0, zlib_bytes(summed), static_cast<uInt>(summed.size()))));
}

}  // namespace

base::Result<QrCode> QrCode::create(std::string_view text) {
  const std::unique_ptr<QRcode, void (*)(QRcode*)> code(
      ::QRcode_encodeData(static_cast<int>(text.size()),
                          reinterpret_cast<const unsigned char*>(text.data()), 0, QR_ECLEVEL_L),
      ::QRcode_free);
  if (!code) {
    if (errno != ERANGE) return base::os_error("make a QR code");
    return base::make_error(
        base::ErrorKind::Invalid,
        "make a QR code: " + std::to_string(text.size()) + " bytes are more than one can hold",
        "export a conf instead: --format wg");
  }
  const auto side = static_cast<std::size_t>(code->width);
  std::vector<std::uint8_t> dark(side * side);
  for (std::size_t i = 0; i < dark.size(); ++i) dark[i] = code->data[i] & 1U;
  crypto::wipe({code->data, dark.size()});
  return QrCode(side, std::move(dark));
}

QrCode::~QrCode() { crypto::wipe(dark_); }

std::size_t QrCode::full_side() const { return side_ + 2 * kQuietModules; }

bool QrCode::is_dark(std::size_t x, std::size_t y) const {
  const bool inside = x >= kQuietModules && y >= kQuietModules && x < side_ + kQuietModules &&
                      y < side_ + kQuietModules;
  return inside && dark_[(y - kQuietModules) * side_ + (x - kQuietModules)] != 0;
}

std::string QrCode::text() const {
  std::string out;
  for (std::size_t y = 0; y < full_side(); y += 2) {
    for (std::size_t x = 0; x < full_side(); ++x) {
      const bool upper = !is_dark(x, y);
      const bool lower = y + 1 < full_side() && !is_dark(x, y + 1);
      out += upper && lower ? "█" : upper ? "▀" : lower ? "▄" : " ";
    }
    out += '\n';
  }
  return out;
}

std::string QrCode::png() const {
  std::string rows;
  for (std::size_t y = 0; y < full_side() * kPixels; ++y) {
    rows += '\0';  // no filter
    for (std::size_t x = 0; x < full_side(); ++x) rows += is_dark(x, y / kPixels) ? '\0' : '\xff';
  }
  uLongf size = ::compressBound(static_cast<uLong>(rows.size()));
  std::string packed(size, '\0');
  // It cannot fail: the buffer is as large as zlib asks for, and it runs out of memory as we do.
  ::compress(reinterpret_cast<Bytef*>(packed.data()), &size, zlib_bytes(rows),
             static_cast<uLong>(rows.size()));
  packed.resize(size);

  std::string header;
  const auto pixels = static_cast<std::uint32_t>(full_side() * kPixels);
  append_u32(header, pixels);
  append_u32(header, pixels);
  header.append({1, 0, 0, 0, 0});  // one bit, grey, deflate, no filter, not interlaced
  std::string out = "\x89PNG\r\n\x1a\n";
  append_chunk(out, "IHDR", header);
  append_chunk(out, "IDAT", packed);
  append_chunk(out, "IEND", "");
  return out;
}

}  // namespace warren::client
