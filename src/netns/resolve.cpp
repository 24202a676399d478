#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <memory>

#include "netns/run.hpp"

namespace warren::netns {

base::Result<base::Endpoint> resolve(const base::HostPort& at) {
  const std::string shown = at.host + ":" + std::to_string(at.port);
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_DGRAM;
  wanted.ai_flags = AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int why = getaddrinfo(at.host.c_str(), std::to_string(at.port).c_str(), &wanted, &list);
  if (why != 0) {
    const bool unknown = why == EAI_NONAME || why == EAI_NODATA;
    return base::make_error(
        unknown ? base::ErrorKind::NotFound : base::ErrorKind::Unavailable,
        "look up the endpoint " + shown + ": " + gai_strerror(why),
        unknown ? "check the spelling of Endpoint, or write its address"
                : "check that this machine reaches its name server, or write the address");
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, freeaddrinfo);
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_family == AF_INET) {
      sockaddr_in v4{};
      std::memcpy(&v4, entry->ai_addr, sizeof v4);
      std::array<std::uint8_t, 4> bytes;
      std::memcpy(bytes.data(), &v4.sin_addr, bytes.size());
      return base::Endpoint{base::IpAddress::v4(bytes), at.port, 0};
    }
    if (entry->ai_family == AF_INET6) {
      sockaddr_in6 v6{};
      std::memcpy(&v6, entry->ai_addr, sizeof v6);
      std::array<std::uint8_t, 16> bytes;
      std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
      return base::Endpoint{base::IpAddress::v6(bytes), at.port, v6.sin6_scope_id};
    }
  }
  return base::make_error(base::ErrorKind::NotFound,
                          "look up the endpoint " + shown + ": it has no IP address");
}

}  // namespace warren::netns
