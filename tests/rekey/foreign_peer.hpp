// ForeignPeer: wireguard-go in a network namespace of its own, configured with wg(8).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/key.hpp"
#include "base/result.hpp"
#include "os/fd.hpp"
#include "os/process.hpp"
#include "os/scratch_directory.hpp"

namespace warren::rekey {

/// Inner addresses: the peer's and ours.
inline constexpr const char* kPeerInner = "10.88.0.1";
inline constexpr const char* kOurInner = "10.88.0.2";

/// Runs a program to its end: its exit code and what it wrote to standard output and error.
struct Finished {
  int code = 0;
  std::string text;
};
[[nodiscard]] Finished run(const std::string& command);

class ForeignPeer {
 public:
  /// What this machine lacks for it; empty when nothing.
  [[nodiscard]] static std::string missing();

  /// Makes the namespace, starts wireguard-go in it and gives it a key, a port and addresses.
  ForeignPeer();
  ForeignPeer(const ForeignPeer&) = delete;
  ForeignPeer& operator=(const ForeignPeer&) = delete;
  ~ForeignPeer();

  [[nodiscard]] const base::PublicKey& key() const { return public_key_; }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] const os::Fd& netns() const { return netns_; }

  /// Makes us its peer; with `our_port` it knows where we are and may begin.
  void know(const base::PublicKey& us, std::optional<std::uint16_t> our_port);
  /// Forgets us and everything agreed with us.
  void forget(const base::PublicKey& us);
  /// Ends it and starts it again: same key and port, no memory of us.
  void restart();
  /// Bytes it has received from us, as `wg show` tells.
  [[nodiscard]] std::uint64_t received_bytes() const;
  /// Starts ping(8) to our inner address inside the namespace.
  [[nodiscard]] os::Child start_ping(unsigned count, const std::string& interval_s) const;
  /// Runs a command inside the namespace; fails the test when it fails.
  std::string run_inside(const std::string& command) const;

 private:
  void make_key();
  void start();
  void stop();

  os::ScratchDirectory scratch_;
  std::string namespace_;
  std::string interface_;
  os::Fd netns_;
  os::Child program_;
  base::PublicKey public_key_;
  std::uint16_t port_ = 51830;
};

}  // namespace warren::rekey
