// Netlink messages: one built with nested attributes, and views over received ones.
//
// Source: RFC 3549 section 2.2, linux/netlink.h, linux/rtnetlink.h.
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace warren::os {

/// A request under construction: a header, a family-specific body, attributes.
class NetlinkRequest {
 public:
  NetlinkRequest(std::uint16_t type, std::uint16_t flags);

  /// Appends the fixed body (ifinfomsg, ifaddrmsg …). Once, before any attribute.
  template <typename Body>
  NetlinkRequest& body(const Body& value) {
    return raw({reinterpret_cast<const std::uint8_t*>(&value), sizeof value});
  }
  NetlinkRequest& attribute(std::uint16_t type, base::Bytes value);
  /// A string attribute with its terminating zero.
  NetlinkRequest& text(std::uint16_t type, std::string_view value);
  NetlinkRequest& u32(std::uint16_t type, std::uint32_t value);
  /// Everything that `fill` appends becomes the content of one attribute. `body` inside is allowed.
  NetlinkRequest& nested(std::uint16_t type, const std::function<void(NetlinkRequest&)>& fill);
  /// The finished message with its sequence number.
  [[nodiscard]] base::Bytes finish(std::uint32_t sequence);

 private:
  NetlinkRequest& raw(base::Bytes bytes);

  std::vector<std::uint8_t> buffer_;
};

/// One received message: its header's type and flags, and what follows the header.
struct NetlinkMessage {
  std::uint16_t type = 0;
  std::uint16_t flags = 0;
  std::uint32_t sequence = 0;
  base::Bytes payload;
};

/// Calls `each` for every whole message of a datagram; stops at a malformed one (the kernel sends
/// none) and answers false then.
bool for_each_message(base::Bytes datagram, const std::function<void(const NetlinkMessage&)>& each);
/// Calls `each(type, value)` for every attribute; the nested bit is removed from the type.
void for_each_attribute(base::Bytes attributes,
                        const std::function<void(std::uint16_t, base::Bytes)>& each);

/// Copies the fixed body off the front of a payload; nullopt when it is too short.
template <typename Body>
[[nodiscard]] std::optional<Body> body_of(base::Bytes payload) {
  if (payload.size() < sizeof(Body)) return std::nullopt;
  Body out;
  std::memcpy(&out, payload.data(), sizeof out);
  return out;
}
/// What follows the fixed body, aligned as attributes are.
template <typename Body>
[[nodiscard]] base::Bytes attributes_of(base::Bytes payload) {
  constexpr std::size_t kAt = NLMSG_ALIGN(sizeof(Body));
  return payload.size() > kAt ? payload.subspan(kAt) : base::Bytes{};
}
/// A host-order integer attribute; 0 when its size is wrong.
[[nodiscard]] std::uint32_t u32_of(base::Bytes value);
/// A string attribute up to its terminating zero.
[[nodiscard]] std::string text_of(base::Bytes value);

}  // namespace warren::os
