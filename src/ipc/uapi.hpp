// The WireGuard cross-platform userspace API (https://www.wireguard.com/xplatform/): text lines
// `key=value`, a request ends with an empty line. Pure codec, used by the engine (server side) and
// by the daemon (client side).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hpp"
#include "base/key.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "crypto/secret.hpp"

namespace warren::ipc {

struct UapiAllowedIp {
  base::Prefix prefix;
  bool remove = false;
};

struct UapiPeer {
  base::PublicKey public_key;
  bool remove = false;
  bool update_only = false;
  std::optional<crypto::PresharedKey> preshared_key;
  std::optional<base::Endpoint> endpoint;
  std::optional<std::uint16_t> persistent_keepalive_s;
  bool replace_allowed_ips = false;
  std::vector<UapiAllowedIp> allowed_ips;
};

/// One `set=1` request.
struct UapiSet {
  std::optional<crypto::PrivateKey> private_key;  ///< all zero clears it
  std::optional<std::uint16_t> listen_port;
  std::optional<std::uint32_t> fwmark;  ///< 0 clears it
  bool replace_peers = false;
  std::vector<UapiPeer> peers;
};

/// A peer in the answer to `get=1`.
struct UapiPeerStatus {
  base::PublicKey public_key;
  crypto::PresharedKey preshared_key;
  std::optional<base::Endpoint> endpoint;
  base::WallTime last_handshake{};
  std::uint64_t rx_bytes = 0;
  std::uint64_t tx_bytes = 0;
  std::uint16_t persistent_keepalive_s = 0;
  std::vector<base::Prefix> allowed_ips;
};

struct UapiStatus {
  crypto::PrivateKey private_key;
  std::uint16_t listen_port = 0;
  std::uint32_t fwmark = 0;
  std::vector<UapiPeerStatus> peers;
  int error = 0;  ///< the errno line of the answer
};

/// Overwrites the text, its spare capacity included, and empties it: for texts that held a key.
void wipe_text(std::string& text);

/// Bounds of what UapiStream hands out at once: peers, and their allowed IPs together.
inline constexpr std::size_t kUapiPiecePeers = 256;
inline constexpr std::size_t kUapiPieceAllowedIps = 4096;
/// The longest line of a request; every valid one is far shorter.
inline constexpr std::size_t kMaxUapiLine = 1024;

/// Reads requests from a byte stream while it comes in. A `set` is handed out in pieces, each a
/// UapiSet: the interface's settings come with the first one, each piece has some of the peers, and
/// the last one ends the request. So a request of any size takes the memory of one piece, and one
/// of up to kUapiPiecePeers peers is a single piece: parsed whole before anything is applied. When
/// a line is malformed, its piece and all that follow are not handed out; the pieces before it
/// stay applied, as with other implementations.
///
/// A peer with very many allowed IPs is cut too: it goes on in the next piece under the same key.
/// `update_only` has to stand before them, as every client writes it.
class UapiStream {
 public:
  UapiStream() = default;
  UapiStream(const UapiStream&) = delete;
  UapiStream& operator=(const UapiStream&) = delete;
  ~UapiStream();

  struct Piece {
    bool is_get = false;           ///< a whole get request; nothing else is set
    const UapiSet* set = nullptr;  ///< valid until the next call
    bool last = false;             ///< the request ends with it
  };
  /// Adds received bytes. Call poll() until it gives nothing before adding more: then this holds
  /// one unfinished line at most.
  void add(std::string_view bytes);
  /// The next piece. Error: os_errno is what the API answers (EINVAL, EPROTO); the stream is of no
  /// use afterwards.
  [[nodiscard]] base::Result<std::optional<Piece>> poll();

 private:
  enum class Inside { Nothing, Get, Set };
  [[nodiscard]] base::Status begin_request(std::string_view line);
  [[nodiscard]] base::Status handle_set_line(std::string_view line);
  void begin_piece();

  std::string buffer_;
  std::size_t read_ = 0;  ///< bytes of buffer_ that are done with
  Inside inside_ = Inside::Nothing;
  bool past_interface_ = false;  ///< a peer has begun
  bool handed_out_ = false;      ///< set_ was the last piece
  UapiSet set_;
  std::size_t allowed_ips_ = 0;   ///< in set_
  std::optional<UapiPeer> next_;  ///< begins the next piece
  std::optional<base::Error> error_;
};

/// Parses the body of a `set`. Error: os_errno is what the API answers (EINVAL, EPROTO …).
[[nodiscard]] base::Result<UapiSet> parse_uapi_set(std::string_view body);
/// A whole `set=1` request with its closing empty line.
[[nodiscard]] std::string write_uapi_set(const UapiSet& set);
/// Parts of the answer to `get=1`, in the order: interface, peers …, end.
void write_uapi_interface(std::string& out, const crypto::PrivateKey& key, std::uint16_t port,
                          std::uint32_t fwmark);
void write_uapi_peer(std::string& out, const UapiPeerStatus& peer);
/// "errno=N\n\n", where N is 0 or, for the errno `error`, `-error` as every implementation sends
/// it.
void write_uapi_end(std::string& out, int error);
/// Parses the whole answer to `get=1` (client side).
[[nodiscard]] base::Result<UapiStatus> parse_uapi_status(std::string_view text);
/// Parses the answer to `set=1`: "errno=0\n\n" is ok, else an Error with a positive os_errno.
[[nodiscard]] base::Status parse_uapi_result(std::string_view text);

}  // namespace warren::ipc
