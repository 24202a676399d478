// Engine: one WireGuard interface as a running process: node × (UDP, tun, timers, control sockets).
//
// An engine creates no descriptor itself: everything comes from its opener
// (docs/formats/opener.md). One thread runs it all, so that a configuration change and a packet
// never overlap.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "base/result.hpp"
#include "engine/api_server.hpp"
#include "engine/hints_keeper.hpp"
#include "engine/opener_channel.hpp"
#include "engine/udp_port.hpp"
#include "node/node.hpp"
#include "os/clock.hpp"
#include "os/fd.hpp"
#include "os/loop.hpp"
#include "wire/packet.hpp"

namespace warren::engine {

class Engine final : private ApiTarget {
 public:
  struct Options {
    node::Node::Options node{};
  };
  /// Packets lost in the shell around the node, whose own drops are in node::Counters.
  struct Counters {
    std::uint64_t tun_full = 0;       ///< the tun's queue was full or its link down
    std::uint64_t tun_no_buffer = 0;  ///< read from the tun while no packet slot was free
  };

  /// Greets the opener and takes over what it hands out. `log` outlives the engine. Blocks until
  /// the opener has answered.
  [[nodiscard]] static base::Result<std::unique_ptr<Engine>> create(os::Fd opener, base::Log& log,
                                                                    Options options);
  [[nodiscard]] static base::Result<std::unique_ptr<Engine>> create(os::Fd opener, base::Log& log) {
    return create(std::move(opener), log, Options{});
  }
  ~Engine() override;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Runs until the opener says so, the opener ends (where that was agreed), or the tun is gone.
  /// Needs no privilege and no file system: enter_sandbox() comes between create() and run().
  [[nodiscard]] base::Status run();
  /// Ends run() at its next round; for tests, from a handler of the same thread only.
  void stop() { loop_->stop(); }

  [[nodiscard]] const std::string& interface_name() const { return name_; }

 private:
  Engine(std::unique_ptr<os::Loop> loop, base::Log& log, Options options);
  [[nodiscard]] base::Status take_over(OpenerChannel::Answer answer);
  [[nodiscard]] base::Status watch_all();

  // The data loop.
  void handle_tun();
  void drop_from_tun();
  void handle_received(std::span<node::Datagram> batch);
  void handle_timer();
  /// Moves out what the node has produced and sets the next timer.
  void drain();
  void handle_event(const node::Event& event);
  void arm_timer();
  void note_activity();
  void handle_idle();

  // The opener.
  void handle_opener();
  void handle_notices();
  void handle_opener_gone();
  /// Tells the node at once, and then at most once per kNetworkChangePace.
  void handle_network_change();
  void handle_adoption();
  [[nodiscard]] base::Status watch_opener();

  // Configuration (configuration.cpp).
  void write_status(std::string& out) override;
  int apply(const ipc::UapiSet& set) override;
  /// The part that can fail: sockets and mark. Changes the sockets, nothing else.
  [[nodiscard]] base::Status apply_sockets(const ipc::UapiSet& set);
  [[nodiscard]] base::Status open_udp(std::uint16_t port, std::uint32_t mark);
  [[nodiscard]] bool fits(const ipc::UapiSet& set) const;
  void forget_all_peers();
  void apply_peer(const ipc::UapiPeer& peer);
  void restore(const ipc::UapiPeer& peer);
  void resume_some();
  void log_line(base::LogLevel level, std::string_view message);

  base::Log& log_;
  std::unique_ptr<os::Loop> loop_;
  wire::PacketPool pool_;
  os::SystemRandom random_;
  std::size_t max_peers_;
  node::Node node_;
  UdpPort udp_;
  OpenerChannel opener_;
  std::string name_;
  os::Fd tun_;
  os::Fd extension_;
  HintsKeeper hints_;
  std::unique_ptr<ApiServer> api_;
  std::uint32_t mark_ = 0;
  bool exit_with_opener_ = true;
  bool link_up_ = false;
  std::vector<wire::Packet> from_tun_;  // one batch, reused
  std::optional<base::Instant> armed_;
  os::Loop::TimerId timer_ = 0;
  bool active_ = false;  // a packet since the idle timer was set
  bool idle_timer_set_ = false;
  bool network_change_paced_ = false;    // its timer runs
  bool network_change_pending_ = false;  // one more came meanwhile
  std::deque<base::PublicKey> resume_;   // peers to start a handshake with, paced
  Counters counters_;
  std::optional<base::Error> failure_;  // why run() ends, if not well
};

}  // namespace warren::engine
