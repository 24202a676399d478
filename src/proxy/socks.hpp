// SOCKS5 messages: RFC 1928 (protocol) and RFC 1929 (user name and password).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "proxy/target.hpp"

namespace warren::proxy::socks {

inline constexpr std::uint8_t kVersion = 5;
inline constexpr std::uint8_t kVersion4 = 4;
inline constexpr std::uint8_t kPasswordMethod = 2;
inline constexpr std::uint8_t kNoMethod = 0xff;

/// How a parser found its input: `used` bytes belong to the message when it is Whole.
enum class Input : std::uint8_t { Partial, Whole, Malformed };

struct Greeting {
  Input input = Input::Partial;
  std::size_t used = 0;
  bool offers_password = false;
};
[[nodiscard]] Greeting parse_greeting(base::Bytes bytes);

struct Login {
  Input input = Input::Partial;
  std::size_t used = 0;
  std::string name;
  std::string password;
};
[[nodiscard]] Login parse_login(base::Bytes bytes);

enum class Command : std::uint8_t { Connect = 1, Bind = 2, Associate = 3 };
/// What RFC 1928 section 6 calls REP.
enum class Reply : std::uint8_t {
  Done = 0,
  GeneralFailure = 1,
  NotAllowed = 2,
  NetworkUnreachable = 3,
  HostUnreachable = 4,
  Refused = 5,
  TtlExpired = 6,
  CommandNotSupported = 7,
  AddressTypeNotSupported = 8,
};
struct Request {
  Input input = Input::Partial;
  std::size_t used = 0;
  std::uint8_t command = 0;
  Target target;
  /// With Malformed: what to say.
  Reply reply = Reply::GeneralFailure;
};
[[nodiscard]] Request parse_request(base::Bytes bytes);

[[nodiscard]] Reply reply_for(Failure failure);
[[nodiscard]] std::vector<std::uint8_t> write_reply(Reply reply, const base::Endpoint& bound);

/// A datagram of a UDP association.
struct Datagram {
  Target target;
  base::Bytes payload;
};
/// nullopt: malformed, or a fragment (which a relay may drop: section 7).
[[nodiscard]] std::optional<Datagram> parse_datagram(base::Bytes bytes);
/// The header for a datagram from `remote`.
[[nodiscard]] std::vector<std::uint8_t> write_datagram_header(const base::Endpoint& remote);

}  // namespace warren::proxy::socks
