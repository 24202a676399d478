// The opener's side of one engine: holds what the engine was given and answers what it asks for.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "base/result.hpp"
#include "ipc/opener.hpp"
#include "os/fd.hpp"
#include "os/tun.hpp"
#include "os/udp.hpp"

namespace warren::gateway {

/// The descriptors of one engine. The daemon keeps them while the engine is away: packets wait in
/// the tun and at the port, and questions at the sockets, for the successor.
struct EngineDescriptors {
  os::Fd tun;
  os::Fd api_listener;
  os::Fd control_listener;
  os::Fd hints;
  os::Fd udp4;
  os::Fd udp6;
  os::TunOffloads tun_offloads{};  ///< of `tun`
};

/// What an engine is told about itself and may ask for.
struct OpenerPolicy {
  std::string interface_name;
  std::uint16_t mtu = 1420;
  std::uint16_t port = 0;  ///< its network's own; others only from kFirstFreePort
  /// More than 1: `open_queue` opens a further queue of the tun, and the port is shared with the
  /// workers' sockets.
  std::uint8_t max_workers = 1;
  std::function<base::Result<os::Fd>()> open_queue{};
  /// Addresses that the port is bound to, one per family; empty: all. A family that is not named
  /// gets no socket.
  std::vector<base::IpAddress> listen{};
};

/// Answers one engine on its channel. An engine is not trusted: it gets its own descriptors and
/// UDP sockets, and a message that breaks the protocol ends the conversation.
class EngineOpener {
 public:
  EngineOpener(OpenerPolicy policy, EngineDescriptors& descriptors, base::Log& log)
      : policy_(std::move(policy)), descriptors_(descriptors), log_(log) {}

  /// A new engine at the other end of `channel`.
  void attach(os::Fd channel);
  /// Takes over a channel whose engine holds its descriptors already.
  void attach_adopted(os::Fd channel, std::uint16_t port, std::uint32_t mark);
  void detach();
  [[nodiscard]] const os::Fd& channel() const { return channel_; }

  /// Answers what waits on the channel, at most kOpenerQuestionsPerTurn messages, without blocking;
  /// the channel stays readable when more wait. False when the channel is over: the
  /// engine closed it, or broke the protocol.
  bool handle_readable();
  /// Sends a notice; nothing happens when the engine cannot take it.
  void notify(const ipc::OpenerBody& notice);

  /// The mark that the engine's sockets carry: given back to a successor.
  [[nodiscard]] std::uint32_t mark() const { return mark_; }
  /// What the engine said last about itself; nothing yet of a new one.
  [[nodiscard]] const std::optional<ipc::Report>& report() const { return report_; }

 private:
  base::Status answer(const ipc::OpenerMessage& question);
  base::Status answer_hello(std::uint32_t sequence, const ipc::Hello& hello);
  base::Status answer_open(std::uint32_t sequence, const ipc::OpenUdp& request);
  /// As os::open_udp, on the address of this family that the network listens on.
  [[nodiscard]] base::Result<os::Fd> open_one(os::UdpOptions options) const;
  ipc::OpenUdpReply open_sockets(const ipc::OpenUdp& request);
  base::Status answer_worker(std::uint32_t sequence, const ipc::OpenWorker& request);
  base::Status open_worker(const ipc::OpenWorker& request, os::Fd& queue, os::Fd& v4, os::Fd& v6);
  int apply_mark(std::uint32_t mark);
  base::Status reply(std::uint32_t sequence, ipc::OpenerBody body,
                     const std::vector<const os::Fd*>& descriptors = {});

  OpenerPolicy policy_;
  EngineDescriptors& descriptors_;
  base::Log& log_;
  os::Fd channel_;
  bool greeted_ = false;
  bool broken_ = false;  ///< the engine broke the protocol: it is not served any more
  std::uint16_t open_port_ = 0;
  std::uint32_t mark_ = 0;
  std::optional<ipc::Report> report_;
};

}  // namespace warren::gateway
