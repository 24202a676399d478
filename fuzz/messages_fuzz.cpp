// Every parser of a WireGuard message on any datagram: at most the one of its type takes it, and
// what it took is written back byte for byte.
#include <algorithm>
#include <vector>

#include "base/assert.hpp"
#include "wg/messages.hpp"

namespace {

using warren::base::Bytes;

template <std::size_t N, typename Message, typename Write>
void expect_written_back(const Message& message, Write write, Bytes datagram) {
  std::array<std::uint8_t, N> out{};
  write(message, out);
  WARREN_ASSERT(datagram.size() >= N && std::ranges::equal(out, datagram.first(N)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace wg = warren::wg;
  const Bytes datagram(data, size);
  const auto type = wg::message_type(datagram);
  const auto initiation = wg::parse_initiation(datagram);
  const auto response = wg::parse_response(datagram);
  const auto cookie = wg::parse_cookie_reply(datagram);
  const auto transport = wg::parse_transport(datagram);
  WARREN_ASSERT(initiation.has_value() == (type == wg::MessageType::Initiation));
  WARREN_ASSERT(response.has_value() == (type == wg::MessageType::Response));
  WARREN_ASSERT(cookie.has_value() == (type == wg::MessageType::Cookie));
  WARREN_ASSERT(transport.has_value() == (type == wg::MessageType::Transport));
  if (initiation) {
    WARREN_ASSERT(size == wg::kInitiationSize);
    expect_written_back<wg::kInitiationSize>(*initiation, wg::write_initiation, datagram);
  }
  if (response) {
    WARREN_ASSERT(size == wg::kResponseSize);
    expect_written_back<wg::kResponseSize>(*response, wg::write_response, datagram);
  }
  if (cookie) {
    WARREN_ASSERT(size == wg::kCookieSize);
    expect_written_back<wg::kCookieSize>(*cookie, wg::write_cookie_reply, datagram);
  }
  if (transport) {
    WARREN_ASSERT(size >= wg::kTransportOverhead);
    expect_written_back<wg::kTransportHeaderSize>(*transport, wg::write_transport_header, datagram);
  }
  return 0;
}
