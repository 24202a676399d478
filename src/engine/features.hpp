// The offloads of this host or of a running engine, as words.
#pragma once

#include <string>

#include "os/tun.hpp"
#include "os/udp.hpp"

namespace warren::engine {

/// "checksum tso4 tso6 uso4 uso6", or "none".
[[nodiscard]] std::string to_text(const os::TunOffloads& offloads);
/// "segment gro", or "none".
[[nodiscard]] std::string to_text(const os::UdpOffloads& offloads);

}  // namespace warren::engine
