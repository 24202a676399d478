// One question to a name server, as a member asks it (RFC 1035).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "os/fd.hpp"

namespace warren::services {

/// The addresses that `server`, asked from inside a network namespace, has for a name; of the
/// server's own family. Empty: the name has none. Unavailable: it did not answer in time.
[[nodiscard]] base::Result<std::vector<base::IpAddress>> ask_name(const os::Fd& netns,
                                                                  const base::IpAddress& server,
                                                                  std::string_view name,
                                                                  base::Duration at_most);

/// One of many questions that are asked at once.
struct NameQuestion {
  const os::Fd* netns = nullptr;
  base::IpAddress server;
  std::string name;  ///< empty: the root
};
struct NameAnswer {
  bool came = false;  ///< whatever it says: somebody is there
  std::string why;    ///< it did not come, or says no more than this
  std::vector<base::IpAddress> addresses;
};
/// Asks all, and waits for all together; the answers are in the order of the questions.
[[nodiscard]] std::vector<NameAnswer> ask_names(const std::vector<NameQuestion>& questions,
                                                base::Duration at_most);

// The two halves of it, without the socket.
[[nodiscard]] std::vector<std::uint8_t> write_question(std::uint16_t id, std::string_view name,
                                                       base::Family family);
/// Invalid for what is no answer to the question with this id.
[[nodiscard]] base::Result<std::vector<base::IpAddress>> read_answer(base::Bytes message,
                                                                     std::uint16_t id,
                                                                     base::Family family);

}  // namespace warren::services
