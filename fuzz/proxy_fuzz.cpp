// What a client, a name server and a member of the network can say to `warren proxy`: SOCKS5, HTTP,
// DNS, packets before the stack.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <tuple>

#include "proxy/dns_message.hpp"
#include "proxy/http_request.hpp"
#include "proxy/inner_filter.hpp"
#include "proxy/socks.hpp"

namespace {

using namespace warren;
using namespace warren::proxy;

void require(bool truth) {
  if (!truth) std::abort();
}

void parse_socks(base::Bytes bytes) {
  const auto greeting = socks::parse_greeting(bytes);
  const auto login = socks::parse_login(bytes);
  const auto request = socks::parse_request(bytes);
  require(greeting.used <= bytes.size() && login.used <= bytes.size());
  require(request.used <= bytes.size());
  // What is whole stays what it is, whatever follows.
  if (request.input == socks::Input::Whole) {
    require(socks::parse_request(bytes.first(request.used)).target == request.target);
  }
  const auto datagram = socks::parse_datagram(bytes);
  constexpr std::uint8_t kName = 3;  // an address may be written as a name, and is shorter so
  if (!datagram || bytes[3] == kName) return;
  const auto header = socks::write_datagram_header(
      {.address = *datagram->target.address, .port = datagram->target.port});
  require(header.size() + datagram->payload.size() == bytes.size());
}

void parse_http(base::Bytes bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto parsed = http::parse_request(text, 2048);
  if (parsed.state != http::Parsed::State::Whole) return;
  require(parsed.used <= text.size());
  if (parsed.request.connect) return;
  // The head that is passed on has one end, and no second request in it.
  const std::string& head = parsed.request.head;
  require(head.find("\r\n\r\n") == head.size() - 4);
  require(head.find('\0') == std::string::npos);
}

void parse_dns(base::Bytes bytes) {
  for (const auto type : {dns::Type::A, dns::Type::Aaaa}) {
    const auto answer = dns::parse_answer(bytes, {.id = 0, .name = "a.b", .type = type}, 4);
    if (answer) require(answer->addresses.size() <= 4);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const base::Bytes bytes(data, size);
  parse_socks(bytes);
  parse_http(bytes);
  parse_dns(bytes);
  const std::array own = {*base::IpAddress::parse("10.0.0.2"), *base::IpAddress::parse("fd00::2")};
  std::ignore = is_for_us(bytes, own);
  return 0;
}
