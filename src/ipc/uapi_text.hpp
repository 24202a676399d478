// Text helpers of the userspace API codec that leave no copy of a key behind.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"

namespace warren::ipc {

/// Makes room for `more` characters; an outgrown buffer is wiped before it is freed.
void reserve_wiped(std::string& text, std::size_t more);
/// Appends "key=value\n".
void append_line(std::string& out, std::string_view key, std::string_view value);
void append_line(std::string& out, std::string_view key, std::uint64_t value);
/// Appends "key=" and the bytes in lower-case hexadecimal, without a temporary.
void append_hex_line(std::string& out, std::string_view key, base::Bytes bytes);

/// One "key=value" line.
struct UapiLine {
  std::string_view key;
  std::string_view value;
};
/// Cuts the next line off `rest`; nullopt when it has no '='. A last line without its newline
/// counts as a line.
[[nodiscard]] std::optional<UapiLine> next_line(std::string_view& rest);

/// A line that has no newline at its end; nullopt when it has no '='.
[[nodiscard]] std::optional<UapiLine> split_line(std::string_view line);

}  // namespace warren::ipc
