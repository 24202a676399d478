// NetworkEngine: the engine process of one network, from its start to its end.
//
// States: Stopped -> (start) -> Running <-> Restarting -> (stop) -> Stopped. While Running a
// process is there and has the wanted configuration; while Restarting none is there.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.hpp"
#include "base/result.hpp"
#include "control/control.hpp"
#include "gateway/delay_timer.hpp"
#include "gateway/engine_configuration.hpp"
#include "gateway/engine_exchange.hpp"
#include "gateway/engine_opener.hpp"
#include "gateway/engine_record.hpp"
#include "gateway/read_watch.hpp"
#include "os/fd.hpp"
#include "os/process.hpp"

namespace warren::gateway {

/// What all engines of a daemon share.
struct EngineEnvironment {
  boost::asio::io_context& io;
  base::Log& log;
  std::string run_dir;
  std::string program;  ///< the path of warren-engine
};

class NetworkEngine {
 public:
  NetworkEngine(EngineEnvironment environment, const store::StoredNetwork& network,
                const std::vector<control::EnginePeer>& peers);
  /// The process lives on; the next daemon adopts it.
  ~NetworkEngine() = default;
  NetworkEngine(const NetworkEngine&) = delete;
  NetworkEngine& operator=(const NetworkEngine&) = delete;

  /// Adopts the engine of a former daemon, or starts one. On an error nothing is left.
  [[nodiscard]] base::Status start();
  /// The two halves of `start`: the second waits for what the first has set going, so that several
  /// engines start at once.
  [[nodiscard]] base::Status begin_start();
  [[nodiscard]] base::Status finish_start();
  /// Ends the process, waits for it, removes every file.
  [[nodiscard]] base::Status stop();
  /// Of an engine that was stopped: where its peers were. Empty: it had none.
  [[nodiscard]] os::Fd take_hints() { return std::move(descriptors_.hints); }
  /// Before a start: those of a former engine of this network.
  void use_hints(os::Fd hints);

  /// In one request; after an error some of them may be there.
  [[nodiscard]] base::Status add_peers(std::span<const control::EnginePeer> peers);
  /// Never leaves the peer in a running process: an engine that does not acknowledge is killed and
  /// started again without the peer.
  [[nodiscard]] base::Status remove_peer(const base::PublicKey& peer);
  [[nodiscard]] base::Result<std::vector<control::EnginePeerStatus>> peers();
  [[nodiscard]] base::Result<control::EngineFacts> read_back();

  [[nodiscard]] control::EngineState state() const { return state_; }
  [[nodiscard]] const std::optional<ipc::Report>& report() const { return opener_.report(); }
  [[nodiscard]] std::uint16_t port() const { return wanted_.port; }
  [[nodiscard]] const std::string& network() const { return network_; }
  void notify_network_changed();

 private:
  [[nodiscard]] base::Result<bool> adopt();
  [[nodiscard]] base::Status adopt_process();
  [[nodiscard]] base::Status receive_adoption();
  [[nodiscard]] base::Status take_adopted(std::vector<os::Fd> descriptors,
                                          const ipc::Adopted& adopted, os::Fd channel);
  [[nodiscard]] base::Status correct_configuration();

  [[nodiscard]] base::Status launch();
  [[nodiscard]] base::Status begin_launch();
  /// Hands over the configuration.
  [[nodiscard]] base::Status finish_launch();
  /// After a start that failed.
  [[nodiscard]] base::Status leave_nothing(base::Status why);
  [[nodiscard]] base::Status open_descriptors();
  [[nodiscard]] base::Status open_tun();
  /// A further queue of the tun, which this process does not keep.
  [[nodiscard]] base::Result<os::Fd> open_queue();
  [[nodiscard]] base::Status open_hints();
  [[nodiscard]] base::Status spawn();
  [[nodiscard]] base::Status watch();

  [[nodiscard]] base::Status apply(const ipc::UapiSet& set, base::Duration at_most);
  [[nodiscard]] base::Result<ipc::UapiStatus> read_status();
  [[nodiscard]] base::Result<std::string> ask(std::string_view request, base::Duration at_most);
  /// Notices an end that Asio has not reported yet, and starts the successor.
  [[nodiscard]] base::Status ensure_running();

  void handle_channel();
  void handle_exit();
  void restart();
  void restart_later();
  /// Waits for the end of the process; kills it when that takes longer than `patience`.
  [[nodiscard]] base::Status end_process(base::Duration patience);
  /// Ends a process that left a request unanswered; its successor gets what is wanted now.
  [[nodiscard]] base::Status replace_process(std::string_view unconfirmed, const base::Error& why);
  void forget_process();
  void say(base::LogLevel level, const std::string& message);

  EngineEnvironment environment_;
  model::NetworkId id_;
  std::string network_;
  EngineFiles files_;
  EngineConfiguration wanted_;
  EngineDescriptors descriptors_;
  EngineOpener opener_;

  control::EngineState state_ = control::EngineState::Stopped;
  os::Child process_;  ///< without a pidfd: there is none
  bool ours_ = false;  ///< a child of this process, to be reaped
  base::Instant started_{};
  unsigned failures_ = 0;  ///< ends in a row of engines that did not live long

  ReadWatch channel_watch_;
  ReadWatch process_watch_;
  DelayTimer restart_timer_;
};

}  // namespace warren::gateway
