// Theory of operation
//
// Two queues hold what will happen: flights (datagrams under way, by arrival) and deadlines (what
// each node's poll_timeout last said). A deadline may be stale: it is checked against the node
// again when it comes up. After anything happened to a host, `drain` moves its output into the
// network and its events into counters.
//
// The nonce check: a transport message is (receiver index, counter, ciphertext). One sender must
// never send two different messages with the same index and counter to one place, across restarts
// too. The receiver's index is random per session, so a repetition means a reused key. (Two members
// may choose the same index, hence the place.)
#include "sim/world.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <utility>

#include "base/assert.hpp"
#include "crypto/crypto.hpp"

namespace warren::sim {
namespace {

constexpr std::size_t kPoolPackets = 1 << 20;
constexpr std::size_t kInnerSize = 28;  // IPv4 header and eight bytes of payload
constexpr std::uint8_t kTransport = 4;
constexpr base::Duration kWokenWithin = std::chrono::minutes(3);
constexpr base::Duration kWorkTick = std::chrono::milliseconds(1);

/// An IPv4 packet (protocol 253, "experimentation") that carries a number.
wire::Packet inner_packet(wire::PacketPool& pool, const base::IpAddress& from,
                          const base::IpAddress& to, std::uint64_t payload,
                          std::uint8_t traffic_class) {
  wire::Packet packet = pool.take(kInnerSize);
  WARREN_ASSERT(packet);
  base::ByteWriter writer(packet.bytes());
  writer.u8(0x45).u8(traffic_class).u16_be(kInnerSize).u32_be(0).u8(64).u8(253).u16_be(0);
  writer.bytes(from.bytes()).bytes(to.bytes()).u64_be(payload);
  WARREN_ASSERT(writer.ok() && writer.written() == kInnerSize);
  // The header checksum (RFC 1071): the node adjusts it when it changes the ECN bits.
  std::uint32_t sum = 0;
  base::ByteReader words(base::Bytes(packet.bytes()).first(20));
  for (int i = 0; i < 10; ++i) sum += words.u16_be();
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  base::ByteWriter(packet.bytes().subspan(10, 2)).u16_be(static_cast<std::uint16_t>(~sum));
  return packet;
}

struct ConfiguredPeer {
  std::size_t host = 0;
  std::optional<base::Endpoint> endpoint;
  std::uint8_t preshared_fill = 0;
  std::uint16_t keepalive_s = 0;
};

}  // namespace

struct World::Host {
  base::IpAddress inner;
  base::Endpoint endpoint;
  node::Node::Options options;
  crypto::PrivateKey private_key;
  base::PublicKey public_key;
  std::vector<ConfiguredPeer> peers;
  std::unique_ptr<node::Node> node;
  std::map<base::PublicKey, node::PeerHints> hints;
  base::Duration wall_shift{};
  bool unplugged = false;
  std::optional<base::Instant> asleep_since;
  std::optional<base::IpAddress> nat_address;
  std::optional<base::Endpoint> nat_mapping;
  std::vector<Arrival> arrivals;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::size_t handshakes_per_millisecond = 0;  // 0: no limit
  std::optional<base::Instant> works_at;       // when its next handshakes are handled
  std::map<node::Event::Kind, std::uint64_t> events;
  std::unordered_map<std::uint64_t, std::uint64_t> nonces;  // hash(index, counter) -> content hash
};

struct World::Flight {
  base::Instant at;
  std::uint64_t sequence = 0;
  HostId to;
  base::Endpoint from;
  std::uint8_t traffic_class = 0;
  wire::Packet packet;
};

/// Orders a heap so that the earliest flight is on top.
struct World::Later {
  bool operator()(const Flight& a, const Flight& b) const {
    return std::pair(a.at, a.sequence) > std::pair(b.at, b.sequence);
  }
};

World::World(std::uint64_t seed)
    : random(seed), pool_(std::make_unique<wire::PacketPool>(2048, kPoolPackets)) {}

World::~World() = default;

std::uint64_t World::seed_from_environment(std::uint64_t otherwise) {
  const char* text = std::getenv("WARREN_SIM_SEED");
  if (text == nullptr) return otherwise;
  return base::parse_number(text, 0, ~std::uint64_t{0}).value_or(otherwise);
}

HostId World::add_host(const std::string& inner, const std::string& endpoint,
                       node::Node::Options options) {
  auto host = std::make_unique<Host>();
  host->inner = base::IpAddress::parse(inner).value();
  host->endpoint = base::Endpoint::parse(endpoint).value();
  host->options = options;
  host->private_key = crypto::generate_private_key(random);
  host->public_key = crypto::public_key(host->private_key);
  const HostId id{hosts_.size()};
  reachable_[host->endpoint] = id;
  hosts_.push_back(std::move(host));
  configure(*hosts_.back());
  return id;
}

base::WallTime World::wall(const Host& host) const {
  return base::WallTime{1'700'000'000'000'000'000 + now_.ns} + host.wall_shift;
}

void World::configure(Host& host) {
  host.node = std::make_unique<node::Node>(host.options, random, *pool_);
  host.node->set_private_key(host.private_key.clone(), now_);
  for (const ConfiguredPeer& peer : host.peers) {
    node::PeerUpdate update;
    update.public_key = hosts_[peer.host]->public_key;
    update.endpoint = peer.endpoint;
    update.persistent_keepalive_s = peer.keepalive_s;
    if (peer.preshared_fill != 0) {
      update.preshared_key.emplace();
      std::ranges::fill(update.preshared_key->fill(), peer.preshared_fill);
    }
    update.allowed_ips.push_back({base::Prefix::host(hosts_[peer.host]->inner)});
    WARREN_ASSERT(host.node->update_peer(update, now_));
    if (const auto hint = host.hints.find(update.public_key); hint != host.hints.end()) {
      host.node->restore_hints(update.public_key, hint->second);
    }
  }
}

void World::put_behind_nat(HostId host, const std::string& address) {
  Host& moved = *hosts_[host.value];
  reachable_.erase(moved.endpoint);
  if (moved.nat_mapping) reachable_.erase(*moved.nat_mapping);
  moved.nat_address = base::IpAddress::parse(address).value();
  moved.nat_mapping.reset();
}

void World::move_host(HostId host, const std::string& endpoint) {
  Host& moved = *hosts_[host.value];
  reachable_.erase(moved.endpoint);
  moved.endpoint = base::Endpoint::parse(endpoint).value();
  reachable_[moved.endpoint] = host;
}

void World::restart(HostId host, bool keep_hints) {
  Host& restarted = *hosts_[host.value];
  drain(host);
  if (!keep_hints) restarted.hints.clear();
  restarted.node.reset();
  configure(restarted);
  drain(host);
}

void World::unplug(HostId host, bool unplugged) { hosts_[host.value]->unplugged = unplugged; }

void World::suspend(HostId host) { hosts_[host.value]->asleep_since = now_; }

void World::wake(HostId host) {
  Host& woken = *hosts_[host.value];
  WARREN_ASSERT(woken.asleep_since);
  const base::Instant active_since =
      *std::exchange(woken.asleep_since, std::nullopt) - kWokenWithin;
  std::vector<base::PublicKey> active;
  std::ignore =
      woken.node->for_some_active(0, woken.node->peer_count(), active_since,
                                  [&](const base::PublicKey& peer) { active.push_back(peer); });
  for (const base::PublicKey& peer : active) woken.node->wake(peer, now_, wall(woken));
  drain(host);
}

void World::limit_handshakes(HostId host, std::size_t per_millisecond) {
  hosts_[host.value]->handshakes_per_millisecond = per_millisecond;
}

void World::shift_wall_clock(HostId host, base::Duration by) {
  hosts_[host.value]->wall_shift += by;
}

void World::connect(HostId a, HostId b, bool both_know) {
  hosts_[a.value]->peers.push_back({b.value, hosts_[b.value]->endpoint});
  hosts_[b.value]->peers.push_back(
      {a.value, both_know ? std::optional(hosts_[a.value]->endpoint) : std::nullopt});
  for (const auto& [self, other] : {std::pair(a, b), std::pair(b, a)}) {
    Host& host = *hosts_[self.value];
    node::PeerUpdate update;
    update.public_key = hosts_[other.value]->public_key;
    update.endpoint = host.peers.back().endpoint;
    update.allowed_ips.push_back({base::Prefix::host(hosts_[other.value]->inner)});
    WARREN_ASSERT(host.node->update_peer(update, now_));
    drain(self);
  }
}

void World::set_preshared_key(HostId a, HostId b, std::uint8_t fill_byte_a,
                              std::uint8_t fill_byte_b) {
  for (const auto& [self, other, fill] :
       {std::tuple(a, b, fill_byte_a), std::tuple(b, a, fill_byte_b)}) {
    Host& host = *hosts_[self.value];
    for (ConfiguredPeer& peer : host.peers) {
      if (peer.host == other.value) peer.preshared_fill = fill;
    }
    node::PeerUpdate update;
    update.public_key = hosts_[other.value]->public_key;
    update.preshared_key.emplace();
    std::ranges::fill(update.preshared_key->fill(), fill);
    WARREN_ASSERT(host.node->update_peer(update, now_));
  }
}

void World::set_keepalive(HostId host, HostId peer, std::uint16_t seconds) {
  Host& changed = *hosts_[host.value];
  for (ConfiguredPeer& configured : changed.peers) {
    if (configured.host == peer.value) configured.keepalive_s = seconds;
  }
  node::PeerUpdate update;
  update.public_key = hosts_[peer.value]->public_key;
  update.persistent_keepalive_s = seconds;
  WARREN_ASSERT(changed.node->update_peer(update, now_));
  drain(host);
}

void World::remove_peer(HostId host, HostId peer) {
  Host& changed = *hosts_[host.value];
  std::erase_if(changed.peers, [&](const ConfiguredPeer& p) { return p.host == peer.value; });
  node::PeerUpdate update;
  update.public_key = hosts_[peer.value]->public_key;
  update.remove = true;
  WARREN_ASSERT(changed.node->update_peer(update, now_));
  drain(host);
}

void World::send(HostId from, HostId to, std::uint64_t payload, std::uint8_t traffic_class) {
  Host& sender = *hosts_[from.value];
  wire::Packet packet =
      inner_packet(*pool_, sender.inner, hosts_[to.value]->inner, payload, traffic_class);
  sender.node->handle_packets({&packet, 1}, now_, wall(sender));
  drain(from);
}

void World::inject(HostId to, const std::string& from, base::Bytes bytes) {
  Flight flight{.at = now_, .sequence = sequence_++, .to = to};
  flight.from = base::Endpoint::parse(from).value();
  flight.packet = pool_->copy_of(bytes);
  flights_.push_back(std::move(flight));
  std::ranges::push_heap(flights_, Later{});
}

void World::note_arrival(Host& host, base::Bytes packet) {
  if (packet.size() != kInnerSize) return;
  base::ByteReader reader(packet);
  (void)reader.u8();
  const std::uint8_t traffic_class = reader.u8();
  (void)reader.take(10);
  const auto source = base::IpAddress::from_bytes(reader.take(4)).value();
  (void)reader.take(4);
  host.arrivals.push_back({now_, source, reader.u64_be(), traffic_class});
}

void World::drain(HostId id) {
  Host& host = *hosts_[id.value];
  while (auto datagram = host.node->poll_datagram()) transmit(id, *datagram);
  while (auto packet = host.node->poll_packet()) note_arrival(host, packet->bytes());
  while (const auto event = host.node->poll_event()) {
    ++host.events[event->kind];
    if (event->kind == node::Event::Kind::HintsChanged) {
      if (auto hints = host.node->hints(event->peer)) host.hints[event->peer] = *hints;
    }
  }
  if (const auto deadline = host.node->poll_timeout()) deadlines_.push({*deadline, id.value});
}

base::Endpoint World::translate_out(Host& host) {
  if (!host.nat_address) return host.endpoint;
  if (!host.nat_mapping) {
    host.nat_mapping = base::Endpoint{*host.nat_address, next_nat_port_++};
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      if (hosts_[i].get() == &host) reachable_[*host.nat_mapping] = HostId{i};
    }
  }
  return *host.nat_mapping;
}

void World::check_nonce(Host& host, const base::Endpoint& remote, base::Bytes bytes) {
  if (bytes.size() < 16 || bytes[0] != kTransport) return;
  const auto hash = [](base::Bytes part) {
    const crypto::Hash digest = crypto::blake2s({part});
    std::uint64_t value;
    std::memcpy(&value, digest.data(), sizeof value);
    return value;
  };
  const std::uint64_t session =
      hash(bytes.subspan(4, 12)) ^ hash(base::as_bytes(remote.to_string()));
  const auto [entry, fresh] = host.nonces.try_emplace(session, hash(bytes));
  if (!fresh && entry->second != hash(bytes)) {
    std::fprintf(stderr, "a counter was sealed twice\n");
    std::abort();
  }
}

void World::transmit(HostId from, const node::Datagram& datagram) {
  Host& sender = *hosts_[from.value];
  ++sender.sent;
  check_nonce(sender, datagram.remote, datagram.packet.bytes());
  if (recording_) {
    const base::Bytes bytes = datagram.packet.bytes();
    recorded_.push_back({from, datagram.remote, {bytes.begin(), bytes.end()}});
  }
  const base::Endpoint source = translate_out(sender);
  const auto target = reachable_.find(datagram.remote);
  if (sender.unplugged || target == reachable_.end()) return;
  const int copies = random.percent(conditions.duplicate_percent) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    if (random.percent(conditions.loss_percent)) continue;
    base::Duration delay = conditions.delay;
    if (conditions.jitter.count() > 0) {
      delay += base::Duration(random.below(static_cast<std::uint64_t>(conditions.jitter.count())));
    }
    Flight flight{.at = now_ + delay, .sequence = sequence_++, .to = target->second};
    flight.from = source;
    flight.traffic_class = datagram.traffic_class;
    flight.packet = pool_->copy_of(datagram.packet.bytes());
    WARREN_ASSERT(flight.packet);
    flights_.push_back(std::move(flight));
    std::ranges::push_heap(flights_, Later{});
  }
}

void World::deliver(Flight& flight) {
  Host& host = *hosts_[flight.to.value];
  if (host.unplugged || host.asleep_since) return;
  ++host.received;
  node::Datagram datagram{std::move(flight.packet), flight.from, flight.traffic_class};
  if (host.handshakes_per_millisecond != 0) {
    return deliver_data_first(host, std::move(datagram), flight.to);
  }
  host.node->handle_datagrams({&datagram, 1}, now_, wall(host));
  drain(flight.to);
}

/// As a worker does it: handshake messages wait until work() comes to them.
void World::deliver_data_first(Host& host, node::Datagram datagram, HostId id) {
  node::Incoming batch;
  batch.add(std::move(datagram));
  host.node->identify(batch, now_, wall(host));
  batch.open();
  host.node->accept(batch, now_, wall(host));
  for (const base::MutableBytes packet : batch.packets()) note_arrival(host, packet);
  batch.clear();
  if (!host.works_at) {
    host.works_at = now_ + kWorkTick;
    deadlines_.push({*host.works_at, id.value});
  }
  drain(id);
}

/// One millisecond of the host's processor.
void World::work(Host& host, HostId id) {
  if (!host.works_at || *host.works_at > now_) return;
  host.works_at.reset();
  if (host.node->handle_handshakes(host.handshakes_per_millisecond, now_, wall(host))) {
    host.works_at = now_ + kWorkTick;
    deadlines_.push({*host.works_at, id.value});
  }
  drain(id);
}

bool World::step(base::Instant until) {
  const bool flight_next =
      !flights_.empty() && (deadlines_.empty() || flights_.front().at <= deadlines_.top().at);
  if (flight_next) {
    if (flights_.front().at > until) return false;
    std::ranges::pop_heap(flights_, Later{});
    Flight flight = std::move(flights_.back());
    flights_.pop_back();
    now_ = std::max(now_, flight.at);
    deliver(flight);
    return true;
  }
  if (deadlines_.empty() || deadlines_.top().at > until) return false;
  const Deadline due = deadlines_.top();
  deadlines_.pop();
  now_ = std::max(now_, due.at);
  Host& host = *hosts_[due.host];
  if (host.asleep_since) return true;  // wake() looks anew
  work(host, HostId{due.host});
  const auto wanted = host.node->poll_timeout();
  if (!wanted || *wanted > now_) return true;  // stale: a later one is queued
  host.node->handle_timeout(now_, wall(host));
  const auto next = host.node->poll_timeout();
  // A node that neither moves its deadline nor has filled its queue would spin.
  auto first = host.node->poll_datagram();
  WARREN_ASSERT(first || !next || *next > now_);
  if (first) transmit(HostId{due.host}, *first);
  drain(HostId{due.host});
  return true;
}

void World::run_for(base::Duration duration) {
  const base::Instant until = now_ + duration;
  while (step(until)) {
  }
  now_ = until;
}

bool World::run_until(const std::function<bool()>& done, base::Duration at_most) {
  const base::Instant until = now_ + at_most;
  while (!done()) {
    if (!step(until)) {
      now_ = until;
      return done();
    }
  }
  return true;
}

node::Node& World::node(HostId host) { return *hosts_[host.value]->node; }
const base::PublicKey& World::key(HostId host) const { return hosts_[host.value]->public_key; }
const std::vector<Arrival>& World::arrivals(HostId host) const {
  return hosts_[host.value]->arrivals;
}
bool World::arrived(HostId host, std::uint64_t payload) const {
  return std::ranges::any_of(arrivals(host),
                             [&](const Arrival& a) { return a.payload == payload; });
}

std::size_t World::count_arrived(const std::vector<HostId>& hosts, std::uint64_t payload) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(hosts, [&](HostId host) { return arrived(host, payload); }));
}
std::uint64_t World::datagrams_sent(HostId host) const { return hosts_[host.value]->sent; }
std::uint64_t World::datagrams_received(HostId host) const { return hosts_[host.value]->received; }
std::uint64_t World::events(HostId host, node::Event::Kind kind) const {
  const auto& counts = hosts_[host.value]->events;
  const auto found = counts.find(kind);
  return found == counts.end() ? 0 : found->second;
}

}  // namespace warren::sim
