// A stack whose tunnel leads into the test, and services around it.
#pragma once

#include <sys/socket.h>

#include <random>

#include "os/clock.hpp"
#include "os/stream.hpp"
#include "os/unix_socket.hpp"
#include "proxy/connection.hpp"
#include "proxy/limits.hpp"

namespace warren::proxy {

inline constexpr const char* kWord = "secret";

struct World {
  explicit World(std::vector<base::IpAddress> dns = {}) : resolver_dns(std::move(dns)) {
    settings.addresses = {*base::Prefix::parse("10.0.0.2/24"), *base::Prefix::parse("fd00::2/64")};
    settings.routes = {*base::Prefix::parse("10.0.0.0/8"), *base::Prefix::parse("fd00::/16")};
    settings.dns_servers = resolver_dns;
    settings.password = kWord;
  }

  os::SystemRandom random;
  std::vector<base::IpAddress> resolver_dns;
  std::vector<std::vector<std::uint8_t>> sent;  ///< packets for the tunnel
  bool tunnel_full = false;
  ipc::StackSettings settings;
  std::unique_ptr<os::Loop> loop = std::move(*os::Loop::create());
  Stack stack{
      {.addresses = {*base::Prefix::parse("10.0.0.2/24"), *base::Prefix::parse("fd00::2/64")},
       .mtu = 1400},
      random,
      [this](base::Bytes packet) {
        if (tunnel_full) return false;
        sent.emplace_back(packet.begin(), packet.end());
        return true;
      }};
  Resolver resolver{*loop, stack, random, {.servers = resolver_dns, .search = {}}};
  Services services{.loop = *loop,
                    .stack = stack,
                    .resolver = resolver,
                    .settings = settings,
                    .relays = {},
                    .attention = [](Connection&) {},
                    .room = std::vector<std::uint8_t>(65536)};

  void turn() { std::ignore = loop->run_once(os::now()); }
};

/// A connection and its client's end.
struct Client {
  explicit Client(World& world_of) : world(world_of) {
    auto pair = std::move(*os::unix_pair(os::UnixType::Stream));
    std::ignore = pair.first.set_nonblocking();
    std::ignore = pair.second.set_nonblocking();
    end = std::move(pair.first);
    connection = std::make_unique<Connection>(std::move(pair.second), world.services);
    std::ignore = connection->start();
  }
  void say(std::string_view text) {
    std::ignore = os::write_some(end, base::as_bytes(text));
    world.turn();
  }
  /// What has come so far.
  std::string heard() {
    world.turn();
    std::array<std::uint8_t, 4096> room;
    const auto got = os::read_some(end, room);
    if (!got || !*got) return "";
    return {reinterpret_cast<const char*>(room.data()), **got};
  }

  World& world;
  os::Fd end;
  std::unique_ptr<Connection> connection;
};

}  // namespace warren::proxy
