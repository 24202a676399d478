// EngineSupervisor: the engines of all networks of this daemon.
//
// Lives on the daemon's one thread. Calls are synchronous and short (limits.hpp); what happens
// between calls (an engine ends, asks for a descriptor) is handled on the Asio context.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "control/control.hpp"
#include "gateway/network_engine.hpp"

namespace warren::gateway {

/// The engine program: $WARREN_ENGINE, or warren-engine beside the running program. NotFound with
/// both places named.
[[nodiscard]] base::Result<std::string> find_engine_program();

class EngineSupervisor final : public control::EngineControl {
 public:
  explicit EngineSupervisor(EngineEnvironment environment) : environment_(std::move(environment)) {}

  /// Ends engines of former daemons whose network is not in `wanted`. Before anything is started:
  /// what was denied while no daemon ran stays denied. Goes on past failures and lists them.
  [[nodiscard]] base::Status end_unwanted(const std::set<model::NetworkId>& wanted);

  base::Status start(const store::StoredNetwork& network,
                     const std::vector<control::EnginePeer>& peers) override;
  base::Status begin_start(const store::StoredNetwork& network,
                           const std::vector<control::EnginePeer>& peers) override;
  base::Status finish_start(model::NetworkId network) override;
  /// Also ends the recorded engine of a network that this daemon never started.
  base::Status stop(model::NetworkId network) override;
  void forget(model::NetworkId network) override { hints_.erase(network); }
  base::Status add_peer(model::NetworkId network, const control::EnginePeer& peer) override;
  base::Status add_peers(model::NetworkId network,
                         const std::vector<control::EnginePeer>& peers) override;
  base::Status remove_peer(model::NetworkId network, const base::PublicKey& peer) override;
  base::Result<std::vector<control::EnginePeerStatus>> peers(model::NetworkId network) override;
  base::Result<control::EngineFacts> read_back(model::NetworkId network) override;
  [[nodiscard]] control::EngineState state(model::NetworkId network) const override;
  [[nodiscard]] std::optional<control::EngineReport> report(
      model::NetworkId network) const override;
  base::Status check_port(std::uint16_t port, const std::vector<base::IpAddress>& listen) override;

  /// The host's addresses or routes changed.
  void notify_network_changed();

 private:
  [[nodiscard]] base::Result<NetworkEngine*> find(model::NetworkId network);

  EngineEnvironment environment_;
  using Engines = std::map<model::NetworkId, std::unique_ptr<NetworkEngine>>;
  Engines engines_;
  Engines starting_;  ///< between the halves of their start
  /// Of networks whose engine was stopped: where their members were, for the next one. As many as
  /// there are networks at most, for a deleted one is forgotten.
  std::map<model::NetworkId, os::Fd> hints_;
};

}  // namespace warren::gateway
