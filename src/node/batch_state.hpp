// The inside of Outgoing and Incoming, shared by batch.cpp and the Node.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "crypto/crypto.hpp"
#include "node/batch.hpp"
#include "node/inner.hpp"
#include "node/limits.hpp"
#include "wg/session.hpp"
#include "wire/segments.hpp"

namespace warren::node {

/// Keeps the keys of a batch alive. A run of packets of one session takes its key once.
class HeldKeys {
 public:
  /// The key, valid until clear().
  const crypto::Aead* hold(const wg::SharedKey& key) {
    if (keys_.empty() || keys_.back() != key) keys_.push_back(key);
    return key.get();
  }
  [[nodiscard]] std::size_t size() const { return keys_.size(); }
  void clear() { keys_.clear(); }

 private:
  std::vector<wg::SharedKey> keys_;
};

struct Outgoing::State {
  struct Input {
    wire::Packet packet;
    bool plain = false;                      ///< nothing is to be cut or completed
    InnerHeader inner;                       ///< valid with `segments`
    std::optional<wire::Segments> segments;  ///< absent: malformed

    // What Node::plan decided; no key: the packet is not sent by this batch.
    const crypto::Aead* key = nullptr;
    std::uint64_t first_counter = 0;
    wg::Index receiver = 0;
    Owner owner;
    base::Endpoint remote;
    base::LocalAddress local{};
    TrafficClass traffic_class = 0;
  };
  /// A train that may grow: the last of its peer.
  struct OpenTrain {
    Owner owner;
    std::size_t index = 0;       ///< in `trains`
    std::size_t first_size = 0;  ///< of its datagrams
    std::size_t count = 0;
    bool ended = false;  ///< a shorter datagram was the last
  };

  State(wire::PacketPool& the_pool, std::size_t the_max_segments)
      : pool(the_pool), max_segments(the_max_segments) {}

  [[nodiscard]] bool pool_is(const wire::PacketPool& other) const { return &pool == &other; }
  [[nodiscard]] bool seal_in_place(Input& input);
  void seal_into_trains(Input& input);
  [[nodiscard]] OpenTrain* open_train_of(const Owner& owner);
  [[nodiscard]] bool fits(const OpenTrain& train, const Input& input, std::size_t size) const;
  [[nodiscard]] OpenTrain* start_train(OpenTrain* last, const Input& input, std::size_t size);
  /// Writes one datagram but its ciphertext, which follows with the next flush().
  void frame(const Input& input, std::size_t segment, base::MutableBytes out);
  void queue_job(const crypto::Aead& key, std::uint64_t counter, base::MutableBytes datagram);
  void flush();

  wire::PacketPool& pool;
  std::size_t max_segments;
  std::size_t mtu = 0;  ///< as of Node::plan, which has counted the padding with it
  std::vector<Input> inputs;
  HeldKeys keys;
  std::vector<Datagram> trains;
  std::array<OpenTrain, kOpenTrains> open;
  std::size_t open_count = 0;
  std::size_t oldest_open = 0;  ///< the one that makes room when all are taken
  std::array<crypto::AeadJob, crypto::kAeadBatch> jobs;
  std::size_t job_count = 0;
  std::uint64_t lost = 0;
};

struct Incoming::State {
  /// What open() found in a message; only what has authenticated is more than Forged.
  enum class Content : std::uint8_t { Forged, Keepalive, NotIp, Congested, Packet };
  struct Message {
    base::MutableBytes bytes;  ///< the datagram; once opened the inner packet
    const crypto::Aead* key = nullptr;
    std::uint64_t counter = 0;
    wg::Index receiver = 0;
    std::uint32_t datagram = 0;  ///< in `datagrams`
    std::uint32_t outer_size = 0;
    Content content = Content::Forged;
    InnerHeader inner{};  ///< of a Packet
  };
  struct Origin {
    std::uint32_t datagram = 0;
    std::uint64_t peer_serial = 0;
  };

  void look_inside(Message& message) const;

  std::vector<Datagram> datagrams;
  HeldKeys keys;
  std::vector<Message> messages;
  std::vector<base::MutableBytes> packets;
  std::vector<Origin> origins;  ///< beside `packets`
  std::array<crypto::AeadJob, crypto::kAeadBatch> jobs;
};

}  // namespace warren::node
