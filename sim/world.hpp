// World: a virtual clock, hosts that each run one node::Node, and the network between them.
//
// Everything happens inside run_for(): the earliest of "a datagram arrives" and "a node's deadline"
// is taken next, so time passes only where something happens.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

#include "node/node.hpp"
#include "sim/random.hpp"
#include "wire/packet.hpp"

namespace warren::sim {

struct HostId {
  std::size_t value = 0;
  auto operator<=>(const HostId&) const = default;
};

/// How the network treats each datagram.
struct Conditions {
  unsigned loss_percent = 0;
  unsigned duplicate_percent = 0;
  base::Duration delay = std::chrono::milliseconds(10);
  base::Duration jitter = {};  ///< up to this much more, evenly: reorders when above the spacing
};

/// An inner packet that a host got out of its tunnel.
struct Arrival {
  base::Instant at;
  base::IpAddress source;
  std::uint64_t payload = 0;
  std::uint8_t traffic_class = 0;
};

class World {
 public:
  explicit World(std::uint64_t seed);
  ~World();

  /// Seeds of this run: WARREN_SIM_SEED or a fixed default; printed by failing stories.
  [[nodiscard]] static std::uint64_t seed_from_environment(std::uint64_t otherwise);

  // --- hosts ---

  /// A host with a key, listening at `endpoint`, whose inner address is `inner`.
  HostId add_host(const std::string& inner, const std::string& endpoint,
                  node::Node::Options options = {});
  /// Puts a host behind a NAT box: what it sends comes from `address` and a port of the box; only
  /// answers to a mapped port get in. Calling it again rebinds: new mappings, old ones forgotten.
  void put_behind_nat(HostId host, const std::string& address);
  /// The host's own address changes (roaming).
  void move_host(HostId host, const std::string& endpoint);
  /// The process ends and starts again: configuration and hints survive, sessions do not.
  void restart(HostId host, bool keep_hints);
  /// Off the network: nothing in, nothing out, time goes on.
  void unplug(HostId host, bool unplugged);
  /// The host sleeps: its processes stand still, what is sent to it is lost, its clocks go on.
  void suspend(HostId host);
  /// It wakes up. Its engine does what one does: it runs what is due, and calls peers that were
  /// active in the three minutes before the sleep.
  void wake(HostId host);
  /// The host's processor handles this many handshake messages per millisecond, and data at once:
  /// what comes meanwhile waits in its node. Without this, handshakes take no time either.
  void limit_handshakes(HostId host, std::size_t per_millisecond);
  /// The host's wall clock jumps.
  void shift_wall_clock(HostId host, base::Duration by);

  // --- tunnels ---

  /// Makes both peers of each other; `a` knows b's endpoint, b learns a's (unless `both_know`).
  void connect(HostId a, HostId b, bool both_know = false);
  void set_preshared_key(HostId a, HostId b, std::uint8_t fill_byte_a, std::uint8_t fill_byte_b);
  void set_keepalive(HostId host, HostId peer, std::uint16_t seconds);
  void remove_peer(HostId host, HostId peer);

  // --- traffic and time ---

  /// A host hands an IP packet for another's inner address to its node.
  void send(HostId from, HostId to, std::uint64_t payload, std::uint8_t traffic_class = 0);
  void run_for(base::Duration duration);
  /// Runs until `done` or the time is over; true when done.
  bool run_until(const std::function<bool()>& done, base::Duration at_most);
  /// A datagram from nowhere: what an attacker sends.
  void inject(HostId to, const std::string& from, base::Bytes bytes);

  // --- looking ---

  [[nodiscard]] node::Node& node(HostId host);
  [[nodiscard]] const base::PublicKey& key(HostId host) const;
  [[nodiscard]] const std::vector<Arrival>& arrivals(HostId host) const;
  [[nodiscard]] bool arrived(HostId host, std::uint64_t payload) const;
  /// At how many of these hosts it arrived.
  [[nodiscard]] std::size_t count_arrived(const std::vector<HostId>& hosts,
                                          std::uint64_t payload) const;
  [[nodiscard]] base::Instant now() const { return now_; }
  [[nodiscard]] std::uint64_t datagrams_sent(HostId host) const;
  [[nodiscard]] std::uint64_t datagrams_received(HostId host) const;
  [[nodiscard]] std::uint64_t events(HostId host, node::Event::Kind kind) const;
  /// Every datagram that left a host, in order (kept only after record_datagrams).
  void record_datagrams(bool on) { recording_ = on; }
  struct Recorded {
    HostId from;
    base::Endpoint to;
    std::vector<std::uint8_t> bytes;
  };
  [[nodiscard]] const std::vector<Recorded>& recorded() const { return recorded_; }

  Conditions conditions;
  SeededRandom random;

 private:
  struct Host;
  struct Flight;
  struct Later;

  base::WallTime wall(const Host& host) const;
  void configure(Host& host);
  void drain(HostId id);
  void transmit(HostId from, const node::Datagram& datagram);
  void check_nonce(Host& host, const base::Endpoint& remote, base::Bytes bytes);
  void deliver(Flight& flight);
  void deliver_data_first(Host& host, node::Datagram datagram, HostId id);
  void note_arrival(Host& host, base::Bytes packet);
  void work(Host& host, HostId id);
  bool step(base::Instant until);
  base::Endpoint translate_out(Host& host);

  base::Instant now_{1'000'000'000};
  std::uint64_t sequence_ = 0;
  std::unique_ptr<wire::PacketPool> pool_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::unordered_map<base::Endpoint, HostId> reachable_;
  std::vector<Flight> flights_;  ///< heap by arrival
  struct Deadline {
    base::Instant at;
    std::size_t host;
    auto operator<=>(const Deadline&) const = default;
  };
  std::priority_queue<Deadline, std::vector<Deadline>, std::greater<>> deadlines_;
  std::uint16_t next_nat_port_ = 20000;
  bool recording_ = false;
  std::vector<Recorded> recorded_;
};

}  // namespace warren::sim
