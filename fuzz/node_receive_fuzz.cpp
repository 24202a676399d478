// Theory of operation
//
// A node with a known key and one peer gets what a stranger, the peer and the host's own programs
// may send. The peer is built by hand from wg's parts instead of being a second Node, because a
// Node would seal nothing but IP packets, and what is behind the decryption must stand anything.
//
// The input is a list of records: u8 kind, u8 parameter, u16 length (little endian), bytes.
//
//   Raw        the bytes are a datagram from endpoint `parameter`
//   Signed     the same, with a correct mac1 behind the first length-32 bytes
//   Sealed     the bytes are the plaintext of a transport message of the peer; parameter is the
//              outer traffic class
//   Replay     the last sealed datagram once more, its byte at `parameter` changed by bytes[0]
//   Packets    the bytes are IP packets from the tun, cut into pieces of 1 + 8*parameter
//   Handshake  a valid initiation of the peer, answered, gives a new session
//   Time       parameter² × 10 ms pass, timers run
//   Configure  the peer is changed: parameter chooses how
//   Train      u8 which, u8 xor, then plaintexts of 16 + 8*parameter bytes and a shorter one at the
//              end: sealed, datagram `which` changed by xor, given in as one train, through the
//              steps of a batch; what comes out is coalesced
//
// Asserted: only WireGuard messages come out, only to endpoints that were seen; packets that come
// out are whole, of the peer's own addresses and of the length their header states; every slot goes
// back to the pool; cutting what was coalesced gives the same packets again.
#include <algorithm>
#include <set>
#include <vector>

#include "base/assert.hpp"
#include "node/node.hpp"
#include "wg/cookie.hpp"
#include "wg/handshake.hpp"
#include "wg/session.hpp"
#include "wg/tai64n.hpp"
#include "wire/coalescer.hpp"
#include "wire/segments.hpp"

namespace {

namespace base = warren::base;
namespace crypto = warren::crypto;
namespace node = warren::node;
namespace wg = warren::wg;
namespace wire = warren::wire;

constexpr std::size_t kContent = 2048;
constexpr std::size_t kSlots = 512;
constexpr std::size_t kMaxRecords = 200;

class SeededRandom final : public base::RandomSource {
 public:
  void fill(base::MutableBytes out) override {
    for (std::uint8_t& byte : out) {
      state_ = state_ * 6364136223846793005U + 1442695040888963407U;
      byte = static_cast<std::uint8_t>(state_ >> 56);
    }
  }

 private:
  std::uint64_t state_ = 1;
};

crypto::PrivateKey key_of(std::uint8_t fill) {
  crypto::PrivateKey key;
  std::ranges::fill(key.fill(), fill);
  crypto::clamp(key);
  return key;
}

base::Endpoint endpoint_of(std::uint8_t parameter) {
  if (parameter % 2 == 0) return {base::IpAddress::v4(0x0a000000U + parameter), 51820, 0};
  return {base::IpAddress::v6({0x20, 0x01, 0x0d, 0xb8, parameter}), 51820, 0};
}

class Target {
 public:
  Target()
      : ours_(key_of(0x11)),
        theirs_(key_of(0x22)),
        node_({.max_peers = 4}, random_, pool_),
        macs_(ours_.public_key, std::chrono::seconds(120)) {
    WARREN_ASSERT(crypto::x25519(theirs_.private_key, ours_.public_key, shared_));
    node_.set_private_key(key_of(0x11), now_);
    configure(0);
  }
  ~Target() {
    drain();
    node_.remove_all_peers();
    while (node_.poll_event()) {
    }
    drain();
    WARREN_ASSERT(pool_.in_use() == 0);
  }

  void run(std::uint8_t kind, std::uint8_t parameter, base::Bytes bytes) {
    switch (kind % 9) {
      case 0:
        receive(bytes, parameter, 0);
        break;
      case 1:
        receive_signed(bytes, parameter);
        break;
      case 2:
        receive_sealed(bytes, parameter);
        break;
      case 3:
        replay(bytes, parameter);
        break;
      case 4:
        send_packets(bytes, 1 + std::size_t{8} * parameter);
        break;
      case 5:
        handshake(parameter);
        break;
      case 6:
        pass(std::chrono::milliseconds(10) * parameter * parameter);
        break;
      case 7:
        configure(parameter);
        break;
      default:
        receive_train(bytes, 16 + std::size_t{8} * parameter);
    }
    drain();
  }

 private:
  void configure(std::uint8_t how) {
    node::PeerUpdate update{.public_key = theirs_.public_key};
    update.remove = how == 1;
    update.persistent_keepalive_s = static_cast<std::uint16_t>(how % 4);
    update.replace_allowed_ips = true;
    for (const char* prefix : {"10.9.0.2/32", "fd00:9::/64"}) {
      update.allowed_ips.push_back({.prefix = *base::Prefix::parse(prefix)});
    }
    if (how % 8 == 2) update.endpoint = endpoint_of(how);
    WARREN_ASSERT(node_.update_peer(update, now_));
    if (how % 8 == 2) known_.insert(endpoint_of(how));
  }

  void receive(base::Bytes bytes, std::uint8_t from, std::uint8_t traffic_class) {
    node::Datagram datagram{.packet = pool_.copy_of(bytes),
                            .remote = endpoint_of(from),
                            .traffic_class = traffic_class};
    if (!datagram.packet) return;  // larger than a slot: the sockets cut it off
    known_.insert(datagram.remote);
    node_.handle_datagrams({&datagram, 1}, now_, wall_);
  }

  void receive_signed(base::Bytes bytes, std::uint8_t from) {
    if (bytes.size() <= wg::kMacsSize) return;
    std::vector<std::uint8_t> datagram(bytes.begin(), bytes.end());
    macs_.add_macs(datagram, now_);
    receive(datagram, from, 0);
  }

  void receive_sealed(base::Bytes plaintext, std::uint8_t traffic_class) {
    if (!session_) handshake(0);
    if (!session_ || session_->next_counter() > 5000) return;
    wire::Packet packet = pool_.copy_of(plaintext);
    if (!packet) return;
    session_->seal(packet, 0);
    last_sealed_.assign(packet.bytes().begin(), packet.bytes().end());
    packet = {};
    receive(last_sealed_, 0, traffic_class);
  }

  void replay(base::Bytes bytes, std::uint8_t at) {
    if (last_sealed_.empty()) return;
    std::vector<std::uint8_t> datagram = last_sealed_;
    if (!bytes.empty()) datagram[at % datagram.size()] ^= bytes[0];
    receive(datagram, 2, 0);
  }

  void receive_train(base::Bytes bytes, std::size_t piece) {
    if (!session_) handshake(0);
    if (!session_ || session_->next_counter() > 5000 || bytes.size() < 2) return;
    const std::size_t which = bytes[0];
    const std::uint8_t change = bytes[1];
    bytes = bytes.subspan(2);
    std::vector<std::uint8_t> train;
    for (std::size_t i = 0; i < node::kMaxTrainSegments && !bytes.empty(); ++i) {
      wire::Packet packet = pool_.copy_of(bytes.first(std::min(piece, bytes.size())));
      if (!packet) return;
      bytes = bytes.subspan(packet.size());
      session_->seal(packet, 0);
      if (i == which) packet.bytes()[i % packet.size()] ^= change;
      train.insert(train.end(), packet.bytes().begin(), packet.bytes().end());
    }
    if (train.empty() || train.size() > node::kMaxTrainBytes) return;
    known_.insert(endpoint_of(0));
    incoming_.add({.packet = trains_.copy_of(train),
                   .remote = endpoint_of(0),
                   .traffic_class = 0,
                   .segment_size = static_cast<std::uint16_t>(piece + wg::kTransportOverhead)});
    node_.identify(incoming_, now_, wall_);
    incoming_.open();
    node_.accept(incoming_, now_, wall_);
    while (node_.handle_handshakes(1, now_, wall_)) {
    }
    coalesce();
    incoming_.clear();
  }

  /// Cutting is the exact reverse of coalescing, whatever the peer sent.
  void coalesce() {
    std::vector<std::vector<std::uint8_t>> before;
    for (const base::MutableBytes packet : incoming_.packets()) {
      check_packet(packet);
      before.emplace_back(packet.begin(), packet.end());
      coalescer_.add(packet);
    }
    coalescer_.finish();
    std::vector<std::vector<std::uint8_t>> after;
    for (std::size_t i = 0; i < coalescer_.result_count(); ++i) {
      const wire::Coalesced result = coalescer_.result(i);
      std::vector<std::uint8_t> whole;
      for (const base::Bytes part : result.pieces)
        whole.insert(whole.end(), part.begin(), part.end());
      WARREN_ASSERT(whole.size() == result.bytes);
      const auto segments = wire::Segments::of(whole, result.offload, wire::Layer::Packet);
      WARREN_ASSERT(segments && segments->count() == result.packets);
      for (std::size_t j = 0; j < segments->count(); ++j) {
        segments->write(j, after.emplace_back(segments->size(j)));
      }
    }
    coalescer_.clear();
    std::ranges::sort(before);
    std::ranges::sort(after);
    WARREN_ASSERT(before == after);
  }

  void send_packets(base::Bytes bytes, std::size_t piece) {
    std::vector<wire::Packet> batch;
    while (!bytes.empty() && batch.size() < 64) {
      const std::size_t size = std::min(piece, bytes.size());
      if (wire::Packet packet = pool_.copy_of(bytes.first(size))) {
        batch.push_back(std::move(packet));
      }
      bytes = bytes.subspan(size);
    }
    node_.handle_packets(batch, now_, wall_);
  }

  /// A whole handshake as initiator; the answer is looked for among what the node sends.
  void handshake(std::uint8_t from) {
    pass(std::chrono::milliseconds(40));
    const crypto::PresharedKey none;
    const wg::Remote remote{ours_.public_key, shared_, none};
    wg::InitiatorState state;
    wg::Initiation initiation;
    timestamp_ = wg::next_timestamp(wall_, timestamp_);
    WARREN_ASSERT(
        wg::create_initiation(theirs_, remote, timestamp_, ++index_, random_, state, initiation));
    std::array<std::uint8_t, wg::kInitiationSize> datagram{};
    wg::write_initiation(initiation, datagram);
    macs_.add_macs(datagram, now_);
    drain();
    receive(datagram, from, 0);
    for (const auto& out : drain()) {
      const auto response = wg::parse_response(out);
      if (!response || response->receiver != index_) continue;
      const auto keys = wg::consume_response(theirs_, remote, *response, state);
      WARREN_ASSERT(keys.has_value());
      session_.emplace(*keys, index_, response->sender, wg::Role::Initiator, now_);
    }
  }

  void pass(base::Duration duration) {
    now_ += duration;
    wall_ = wall_ + duration;
    unsigned rounds = 0;
    for (auto next = node_.poll_timeout(); next && *next <= now_; next = node_.poll_timeout()) {
      WARREN_ASSERT(++rounds < 64);  // else a timer that is due for ever
      node_.handle_timeout(now_, wall_);
    }
  }

  std::vector<std::vector<std::uint8_t>> drain() {
    std::vector<std::vector<std::uint8_t>> out;
    while (auto datagram = node_.poll_datagram()) {
      const auto bytes = datagram->packet.bytes();
      WARREN_ASSERT(wg::message_type(bytes).has_value());
      WARREN_ASSERT(known_.contains(datagram->remote));
      out.emplace_back(bytes.begin(), bytes.end());
    }
    while (auto packet = node_.poll_packet()) check_packet(packet->bytes());
    while (node_.poll_event()) {
    }
    return out;
  }

  static void check_packet(base::Bytes packet) {
    WARREN_ASSERT(packet.size() >= 20);
    base::ByteReader in(packet);
    if (packet[0] >> 4 == 4) {
      WARREN_ASSERT(base::ByteReader(packet.subspan(2)).u16_be() == packet.size());
      const auto source = base::IpAddress::from_bytes(packet.subspan(12, 4));
      WARREN_ASSERT(source == base::IpAddress::parse("10.9.0.2"));
      return;
    }
    WARREN_ASSERT(packet[0] >> 4 == 6 && packet.size() >= 40);
    WARREN_ASSERT(base::ByteReader(packet.subspan(4)).u16_be() + 40U == packet.size());
    const auto source = base::IpAddress::from_bytes(packet.subspan(8, 16));
    WARREN_ASSERT(base::Prefix::parse("fd00:9::/64")->contains(*source));
  }

  SeededRandom random_;
  wire::PacketPool pool_{kContent, kSlots};
  wire::PacketPool trains_{65536, 1};
  wg::Identity ours_;    // of the node
  wg::Identity theirs_;  // of the peer that we play
  crypto::SharedSecret shared_;
  base::Instant now_{1'000'000'000'000};
  base::WallTime wall_{1'800'000'000'000'000'000};
  node::Node node_;
  node::Incoming incoming_;
  wire::Coalescer coalescer_{{}};
  wg::CookieGenerator macs_;
  std::optional<wg::Session> session_;
  std::vector<std::uint8_t> last_sealed_;
  wg::Timestamp timestamp_{};
  wg::Index index_ = 0;
  std::set<base::Endpoint> known_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  base::ByteReader in({data, size});
  Target target;
  for (std::size_t i = 0; i < kMaxRecords && !in.rest().empty(); ++i) {
    const std::uint8_t kind = in.u8();
    const std::uint8_t parameter = in.u8();
    const std::size_t length = in.u16_le();
    target.run(kind, parameter, in.take(std::min(length, in.rest().size())));
  }
  return 0;
}
