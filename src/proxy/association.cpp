#include "proxy/association.hpp"

#include <netinet/in.h>

#include <cstring>

#include "os/clock.hpp"
#include "proxy/limits.hpp"
#include "proxy/socks.hpp"

namespace warren::proxy {

namespace {

base::Endpoint endpoint_of(const sockaddr_storage& from) {
  if (from.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &from, sizeof v6);
    const base::Bytes bytes(v6.sin6_addr.s6_addr, 16);
    return {.address = *base::IpAddress::from_bytes(bytes), .port = ntohs(v6.sin6_port)};
  }
  sockaddr_in v4{};
  std::memcpy(&v4, &from, sizeof v4);
  return {.address = base::IpAddress::v4(ntohl(v4.sin_addr.s_addr)), .port = ntohs(v4.sin_port)};
}

/// One datagram; -1 when none waits.
ssize_t receive(const os::Fd& relay, base::MutableBytes room, sockaddr_storage& from,
                socklen_t& size) {
  size = sizeof from;
  auto* const address = reinterpret_cast<sockaddr*>(&from);
  return recvfrom(relay.get(), room.data(), room.size(), MSG_DONTWAIT, address, &size);
}

}  // namespace

base::Result<std::unique_ptr<Association>> Association::create(Services& services,
                                                               std::uint16_t port) {
  if (services.relays.empty()) {
    return base::make_error(base::ErrorKind::Unavailable, "every UDP relay is in use");
  }
  Relay relay = std::move(services.relays.back());
  services.relays.pop_back();
  std::unique_ptr<Association> made(new Association(services, std::move(relay), port));
  // What was sent to the relay before is of another client.
  sockaddr_storage from{};
  socklen_t size = 0;
  while (receive(made->relay_.socket, services.room, from, size) >= 0) {
  }
  WARREN_TRY(services.loop.watch(made->relay_.socket.get(),
                                 [one = made.get()](os::Ready) { one->handle_relay(); }));
  return made;
}

Association::Association(Services& services, Relay relay, std::uint16_t port)
    : services_(services),
      relay_(std::move(relay)),
      announced_port_(port),
      last_activity_(os::now()) {}

Association::~Association() {
  for (const Resolver::LookupId lookup : lookups_) services_.resolver.cancel(lookup);
  services_.loop.forget(relay_.socket.get());
  services_.relays.push_back(std::move(relay_));
}

bool Association::is_client(const sockaddr_storage& from, socklen_t size) {
  if (client_size_ != 0) {
    return size == client_size_ && endpoint_of(from) == endpoint_of(client_);
  }
  if (announced_port_ != 0 && endpoint_of(from).port != announced_port_) return false;
  client_ = from;
  client_size_ = size;
  return true;
}

void Association::handle_relay() {
  for (std::size_t i = 0; i < kDatagramsPerTurn; ++i) {
    sockaddr_storage from{};
    socklen_t size = 0;
    const ssize_t got = receive(relay_.socket, services_.room, from, size);
    if (got < 0) return;
    if (!is_client(from, size)) continue;
    handle_datagram(base::Bytes(services_.room).first(static_cast<std::size_t>(got)));
  }
}

void Association::handle_datagram(base::Bytes datagram) {
  const auto parsed = socks::parse_datagram(datagram);
  if (!parsed) return;
  last_activity_ = os::now();
  if (parsed->target.address) {
    return send_to({.address = *parsed->target.address, .port = parsed->target.port},
                   parsed->payload);
  }
  if (services_.refusal_of(parsed->target.name) || lookups_.size() >= kMaxWaitingDatagrams) return;
  std::vector<std::uint8_t> kept(parsed->payload.begin(), parsed->payload.end());
  lookups_.insert(services_.resolver.lookup(
      parsed->target.name, [this, port = parsed->target.port, payload = std::move(kept)](
                               Resolver::LookupId lookup, const Resolver::Outcome& outcome) {
        lookups_.erase(lookup);
        for (const base::IpAddress& address : outcome.addresses) {
          if (services_.refusal_of(address)) continue;
          return send_to({.address = address, .port = port}, payload);
        }
      }));
}

void Association::send_to(const base::Endpoint& remote, base::Bytes payload) {
  if (services_.refusal_of(remote.address)) return;
  std::unique_ptr<UdpPipe>& pipe = pipes_[remote.address.is_v4() ? 0 : 1];
  if (!pipe) {
    auto opened = UdpPipe::open(
        services_.stack, remote.address.family(),
        [this](const base::Endpoint& from, base::Bytes bytes) { handle_answer(from, bytes); });
    if (!opened) return;
    pipe = std::move(*opened);
  }
  pipe->send(remote, payload);
}

void Association::handle_answer(const base::Endpoint& from, base::Bytes payload) {
  if (client_size_ == 0) return;
  last_activity_ = os::now();
  std::vector<std::uint8_t> out = socks::write_datagram_header(from);
  out.insert(out.end(), payload.begin(), payload.end());
  // A client that does not read loses datagrams.
  std::ignore = sendto(relay_.socket.get(), out.data(), out.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                       reinterpret_cast<const sockaddr*>(&client_), client_size_);
}

}  // namespace warren::proxy
