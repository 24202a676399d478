// The inside of HandshakeWork, shared by handshake_work.cpp and the Node.
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "node/handshake_work.hpp"
#include "wg/peer.hpp"

namespace warren::node {

/// A handshake message that waits to be handled.
struct WaitingHandshake {
  [[nodiscard]] base::Bytes bytes() const { return base::Bytes(storage).first(size); }

  std::array<std::uint8_t, wg::kInitiationSize> storage;
  std::uint8_t size = 0;
  base::Endpoint remote;
  base::LocalAddress local{};
};

struct HandshakeWork::State {
  enum class Step : std::uint8_t {
    Idle,
    Initiate,       ///< make an initiation
    ReadInitiator,  ///< whose initiation is it
    Answer,         ///< read its timestamp, make the response
    Conclude,       ///< read the response to our initiation
  };
  /// The peer as it was when the work began.
  struct Partner {
    [[nodiscard]] static Partner of(const wg::Peer& peer);

    wg::PeerId id;
    std::uint64_t serial = 0;
    base::PublicKey public_key;
    crypto::PresharedKey preshared_key;
    /// DH(ours, theirs); compute() makes it where the peer has none yet.
    std::optional<crypto::SharedSecret> static_shared;
    bool made_static_shared = false;
  };
  /// What one handshake needs and gives; forgotten, and wiped, as a whole.
  struct Task {
    Step step = Step::Idle;
    std::uint64_t key_serial = 0;  ///< of the private key
    WaitingHandshake message;      ///< the one received, if any
    Partner partner;

    // Initiate, Conclude
    wg::Timestamp timestamp{};  ///< to be sent; of Answer: the one received, if it is authentic
    wg::InitiatorState initiator;
    wg::Initiation initiation;
    // ReadInitiator, Answer
    wg::ResponderState responder;
    std::optional<base::PublicKey> sender;
    wg::Timestamp newer_than{};  ///< the timestamp must be
    bool too_soon = false;       ///< a peer may not begin again so soon: its message is only read
    // Answer, Conclude
    wg::Response response;
    std::optional<wg::SessionKeys> keys;
    bool good = false;  ///< what was made can be sent, what was read is authentic
  };

  explicit State(base::RandomSource& the_random) : random(the_random) {}

  void compute();
  void initiate();
  void answer();
  void conclude();
  [[nodiscard]] wg::Remote remote();

  base::RandomSource& random;
  /// Ours, lent by the node while a task is in work; or the key to make it of.
  std::unique_ptr<wg::Identity> identity;
  std::optional<crypto::PrivateKey> identity_key;
  Task task;
};

}  // namespace warren::node
