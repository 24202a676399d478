// The head of a request to an HTTP proxy: RFC 9110 and 9112.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/target.hpp"

namespace warren::proxy::http {

struct Request {
  bool connect = false;  ///< CONNECT: a tunnel; else a request to be passed on
  Target target;
  std::string credentials;  ///< of "Proxy-Authorization: Basic …", still in base64
  /// What goes to the origin server in place of the head: the path instead of the whole address,
  /// without what is meant for a proxy, and with "Connection: close", since what follows on this
  /// connection may be for another server. Empty for CONNECT.
  std::string head;
  /// Bytes that follow the head; nullopt: until the client ends (chunked).
  std::optional<std::uint64_t> body = 0;
};

/// What a client has sent so far.
struct Parsed {
  enum class State : std::uint8_t { Partial, Whole, Refused } state = State::Partial;
  std::size_t used = 0;                  ///< bytes of the head when Whole
  Failure failure = Failure::Malformed;  ///< when Refused
  Request request;
};
/// Refuses a head that is longer than `max_head`, a target without "http://" (nothing is decrypted
/// here), and whatever could mean two things (two lengths, both kinds of body, folded lines).
[[nodiscard]] Parsed parse_request(std::string_view text, std::size_t max_head);

/// A whole answer of the proxy itself; the connection ends behind it.
[[nodiscard]] std::string write_failure(Failure failure);
/// To CONNECT, when the tunnel stands.
inline constexpr std::string_view kEstablished = "HTTP/1.1 200 Connection established\r\n\r\n";

}  // namespace warren::proxy::http
