// The lines of the userspace API, one by one.
#pragma once

#include <limits>
#include <string>
#include <string_view>

#include "ipc/uapi.hpp"
#include "ipc/uapi_text.hpp"

namespace warren::ipc {

[[nodiscard]] base::Error uapi_error(int error_number, std::string message);
/// EINVAL. Never names the value: it may be a key.
[[nodiscard]] base::Error bad_uapi_value(std::string_view key);

template <typename T>
base::Result<T> uapi_number(const UapiLine& line) {
  const auto value = base::parse_number(line.value, 0, std::numeric_limits<T>::max());
  if (!value) return bad_uapi_value(line.key);
  return static_cast<T>(*value);
}
[[nodiscard]] base::Result<crypto::Secret<32>> uapi_secret(const UapiLine& line);
/// `text` is the part of the line that has the prefix.
[[nodiscard]] base::Result<base::Prefix> uapi_prefix(const UapiLine& line, std::string_view text);

[[nodiscard]] base::Result<base::PublicKey> parse_uapi_public_key(const UapiLine& line);
/// A line of a `set` before the first public_key.
[[nodiscard]] base::Status parse_uapi_interface_line(const UapiLine& line, UapiSet& set);
/// A line of a `set` behind the peer's public_key.
[[nodiscard]] base::Status parse_uapi_peer_line(const UapiLine& line, UapiPeer& peer);

}  // namespace warren::ipc
