// Questions to a name server and its answers: RFC 1035, section 4; AAAA: RFC 3596.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hpp"
#include "base/bytes.hpp"

namespace warren::proxy::dns {

inline constexpr std::uint16_t kPort = 53;
enum class Type : std::uint16_t { A = 1, Aaaa = 28 };

struct Question {
  std::uint16_t id = 0;
  std::string name;  ///< labels of 1 to 63 bytes, 253 in all; a dot at the end is allowed
  Type type = Type::A;
};
/// With recursion desired. Empty when the name cannot be written.
[[nodiscard]] std::vector<std::uint8_t> write_question(const Question& question);

struct Answer {
  enum class Outcome : std::uint8_t {
    Found,     ///< `addresses` has some
    NoName,    ///< the name does not exist, or has no address of this type
    NoServer,  ///< the server fails or refuses: ask another
  } outcome = Outcome::NoServer;
  std::vector<base::IpAddress> addresses;  ///< at most `most`
  std::uint32_t ttl_s = 0;                 ///< the least of those used
};
/// nullopt: not an answer to this question, or malformed. Aliases (CNAME) are followed within the
/// message. What a truncated answer does hold is used.
[[nodiscard]] std::optional<Answer> parse_answer(base::Bytes message, const Question& question,
                                                 std::size_t most);

}  // namespace warren::proxy::dns
