// Engine: one WireGuard interface as a running process: node × (UDP, tun, timers, control sockets).
//
// An engine creates no descriptor itself: everything comes from its opener
// (docs/formats/opener.md). The thread of run() is the first worker and does all configuration;
// further workers join under load (crew.hpp).
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "base/result.hpp"
#include "engine/api_server.hpp"
#include "engine/crew.hpp"
#include "engine/load_policy.hpp"
#include "engine/opener_channel.hpp"
#include "engine/shared_node.hpp"
#include "engine/worker.hpp"
#include "os/clock.hpp"
#include "os/clock_watch.hpp"
#include "os/fd.hpp"
#include "os/loop.hpp"

namespace warren::engine {

class Engine final : private ApiTarget {
 public:
  struct Options {
    node::Node::Options node{};
    /// The most workers, the first included; the opener and the processors may allow fewer.
    std::size_t max_workers = kMaxWorkers;
    /// That many, if the opener has them, from the moment when sockets are open; for tests.
    std::size_t min_workers = 1;
    /// How long it must be quiet before one that the load had called leaves.
    base::Duration quiet_for = kQuietFor;
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

  /// Makes the threads of the further workers, parked. After create() and before run(): inside
  /// enter_sandbox(), which forbids threads at its end. Without it the first worker works alone.
  [[nodiscard]] base::Status start_crew();
  /// Runs until the opener says so, the opener ends (where that was agreed), or the tun is gone.
  /// Needs no privilege and no file system: enter_sandbox() comes between create() and run().
  [[nodiscard]] base::Status run();
  /// Ends run() at its next round; for tests, from a handler of the same thread only.
  void stop() { loop_->stop(); }

  [[nodiscard]] const std::string& interface_name() const { return name_; }
  /// What is in use, in a line: "tun: tso4 …; aead NAME; workers: 1 of 2".
  [[nodiscard]] std::string features() const;
  /// What was carried and what was lost for which reason, in a line.
  [[nodiscard]] std::string counters();

 private:
  Engine(std::unique_ptr<os::Loop> loop, base::Log& log, const Options& options);
  [[nodiscard]] base::Status take_over(OpenerChannel::Answer answer);
  [[nodiscard]] base::Status watch_all();

  // The load (engine.cpp).
  void note_busy();
  /// One more worker, one fewer; at least min_workers_.
  [[nodiscard]] base::Status grow(base::Duration patience);
  void grow_under_load(base::Instant now);
  void shrink();
  void grow_to_least();
  void handle_load_tick();
  void handle_idle();
  void handle_tun_gone(const base::Error& error);
  void handle_clocks();
  /// Peers that something went to or came from within the last minutes before `slept_since` are
  /// called, paced.
  void wake_active_peers(base::Instant slept_since);

  // The opener.
  void handle_opener();
  void handle_notices();
  void handle_opener_gone();
  /// Tells the node at once, and then at most once per kNetworkChangePace.
  void handle_network_change();
  void handle_adoption();
  [[nodiscard]] base::Status watch_opener();

  // What it says about itself (report.cpp).
  [[nodiscard]] std::vector<ipc::Report::Counter> count();
  /// Tells the opener, if that would be news.
  void report();
  /// The same, if the features have changed.
  void report_features();

  // Configuration (configuration.cpp).
  void write_interface(std::string& out) override;
  [[nodiscard]] std::optional<std::size_t> write_peers(std::size_t from, std::string& out) override;
  int apply(const ipc::UapiSet& set) override;
  /// The part that can fail: sockets and mark. Changes the sockets, nothing else.
  [[nodiscard]] base::Status apply_sockets(const ipc::UapiSet& set);
  [[nodiscard]] base::Status open_udp(std::uint16_t port, std::uint32_t mark);
  [[nodiscard]] bool fits(const ipc::UapiSet& set);
  void forget_all_peers();
  void apply_peer(const ipc::UapiPeer& peer);
  void restore(SharedNode::Access& node, const ipc::UapiPeer& peer);
  void resume(const base::PublicKey& peer);
  void resume_some();
  /// Nothing of a peer that was removed before leaves any worker once this has returned.
  [[nodiscard]] base::Status make_removals_final();
  void log_line(base::LogLevel level, std::string_view message);

  base::Log& log_;
  std::unique_ptr<os::Loop> loop_;
  std::size_t max_peers_;
  std::size_t max_workers_;
  std::size_t min_workers_;
  SharedNode shared_;
  Worker worker_;  // the first
  Crew crew_;      // the others
  OpenerChannel opener_;
  ipc::Report reported_;  // what the opener knows
  std::string name_;
  os::Fd extension_;
  std::unique_ptr<ApiServer> api_;
  std::uint32_t mark_ = 0;
  bool exit_with_opener_ = true;
  bool link_up_ = false;
  LoadPolicy load_;
  bool load_ticking_ = false;
  base::Instant grow_again_{};  // not asked for a worker before
  bool busy_ = false;           // the first worker carries packets
  base::Instant counters_logged_{};
  bool network_change_paced_ = false;    // its timer runs
  bool network_change_pending_ = false;  // one more came meanwhile
  std::deque<base::PublicKey> resume_;   // peers to be heard by, paced
  std::optional<os::ClockWatch> clocks_;
  std::uint64_t suspends_ = 0;          // of the host
  std::uint64_t clock_steps_ = 0;       // of its wall clock
  std::optional<base::Error> failure_;  // why run() ends, if not well
};

}  // namespace warren::engine
