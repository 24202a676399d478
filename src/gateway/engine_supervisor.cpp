#include "gateway/engine_supervisor.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "os/process.hpp"
#include "os/udp.hpp"

namespace warren::gateway {

using base::ErrorKind;
using base::make_error;

base::Result<std::string> find_engine_program() {
  namespace fs = std::filesystem;
  if (const char* chosen = std::getenv("WARREN_ENGINE"); chosen != nullptr && *chosen != '\0') {
    std::error_code error;
    if (fs::is_regular_file(chosen, error)) return fs::absolute(chosen, error).string();
    return make_error(ErrorKind::NotFound,
                      "WARREN_ENGINE names '" + std::string(chosen) + "', which is not a file");
  }
  WARREN_TRY_ASSIGN(const std::string directory, os::program_directory());
  std::string beside = directory + "/warren-engine";
  std::error_code error;
  if (fs::is_regular_file(beside, error)) return beside;
  return make_error(ErrorKind::NotFound, "there is no " + beside,
                    "install warren-engine beside warren, or name it in WARREN_ENGINE");
}

base::Status EngineSupervisor::end_unwanted(const std::set<model::NetworkId>& wanted) {
  std::string failures;
  std::vector<model::NetworkId> unwanted = recorded_networks(environment_.run_dir);
  std::erase_if(unwanted, [&](model::NetworkId id) { return wanted.contains(id); });
  for (const auto& [id, ended] : end_all_recorded(environment_.run_dir, unwanted)) {
    if (!ended)
      failures += (failures.empty() ? "" : "; ") + ended.error().message;
    else if (*ended)
      environment_.log.write(base::LogLevel::Info, "gateway",
                             "ended " + id.interface_name() + ", an engine without a network");
  }
  if (failures.empty()) return {};
  return make_error(ErrorKind::Failed, failures);
}

base::Status EngineSupervisor::start(const store::StoredNetwork& network,
                                     const std::vector<control::EnginePeer>& peers) {
  WARREN_TRY(begin_start(network, peers));
  return finish_start(network.network.id);
}

base::Status EngineSupervisor::begin_start(const store::StoredNetwork& network,
                                           const std::vector<control::EnginePeer>& peers) {
  const model::NetworkId id = network.network.id;
  if (engines_.contains(id) || starting_.contains(id))
    return make_error(ErrorKind::Conflict,
                      "the engine of network " + network.network.name + " runs already");
  auto engine = std::make_unique<NetworkEngine>(environment_, network, peers);
  // A start that fails takes them along: if they were what it failed at, the next one does not.
  if (auto hints = hints_.extract(id)) engine->use_hints(std::move(hints.mapped()));
  WARREN_TRY(engine->begin_start());
  starting_[id] = std::move(engine);
  return {};
}

base::Status EngineSupervisor::finish_start(model::NetworkId network) {
  auto engine = starting_.extract(network);
  if (engine.empty())
    return make_error(ErrorKind::Internal,
                      "no engine of network " + network.hex() + " is starting");
  WARREN_TRY(engine.mapped()->finish_start());
  engines_.insert(std::move(engine));
  return {};
}

base::Status EngineSupervisor::stop(model::NetworkId network) {
  const auto found = engines_.find(network);
  if (found == engines_.end()) {
    WARREN_TRY(end_recorded(environment_.run_dir, network));
    return {};
  }
  WARREN_TRY(found->second->stop().within("stop the engine of " + found->second->network()));
  if (os::Fd hints = found->second->take_hints()) hints_[network] = std::move(hints);
  engines_.erase(found);
  return {};
}

base::Status EngineSupervisor::add_peer(model::NetworkId network, const control::EnginePeer& peer) {
  WARREN_TRY_ASSIGN(NetworkEngine* const engine, find(network));
  return engine->add_peers({&peer, 1});
}

base::Status EngineSupervisor::add_peers(model::NetworkId network,
                                         const std::vector<control::EnginePeer>& peers) {
  WARREN_TRY_ASSIGN(NetworkEngine* const engine, find(network));
  return engine->add_peers(peers);
}

base::Status EngineSupervisor::remove_peer(model::NetworkId network, const base::PublicKey& peer) {
  const auto found = engines_.find(network);
  if (found != engines_.end()) return found->second->remove_peer(peer);
  // An engine that this daemon does not run may still live: its daemon was killed, and adopting it
  // failed. It ends whole rather than keep the peer.
  WARREN_TRY(end_recorded(environment_.run_dir, network));
  return {};
}

base::Result<std::vector<control::EnginePeerStatus>> EngineSupervisor::peers(
    model::NetworkId network) {
  WARREN_TRY_ASSIGN(NetworkEngine* const engine, find(network));
  return engine->peers();
}

base::Result<control::EngineFacts> EngineSupervisor::read_back(model::NetworkId network) {
  WARREN_TRY_ASSIGN(NetworkEngine* const engine, find(network));
  return engine->read_back();
}

control::EngineState EngineSupervisor::state(model::NetworkId network) const {
  const auto found = engines_.find(network);
  return found == engines_.end() ? control::EngineState::Stopped : found->second->state();
}

std::optional<control::EngineReport> EngineSupervisor::report(model::NetworkId network) const {
  const auto found = engines_.find(network);
  if (found == engines_.end() || !found->second->report()) return std::nullopt;
  const ipc::Report& said = *found->second->report();
  control::EngineReport report{.features = said.features, .counters = {}};
  for (const auto& [name, value] : said.counters) report.counters.emplace_back(name, value);
  return report;
}

base::Status EngineSupervisor::check_port(std::uint16_t port,
                                          const std::vector<base::IpAddress>& listen) {
  for (const auto& [id, engine] : engines_)
    if (engine->port() == port)
      return make_error(
          ErrorKind::Conflict,
          "UDP port " + std::to_string(port) + " belongs to network " + engine->network(),
          "choose another with --port");
  for (const base::Family family : {base::Family::V4, base::Family::V6}) {
    os::UdpOptions options{.family = family, .port = port};
    const auto address = std::ranges::find(listen, family, &base::IpAddress::family);
    if (address != listen.end()) options.address = *address;
    if (!listen.empty() && !options.address) continue;
    auto socket = os::open_udp(options);
    if (socket || socket.error().os_errno == EAFNOSUPPORT) continue;
    if (socket.error().os_errno == EADDRNOTAVAIL) return std::move(socket).error();
    const bool taken = socket.error().os_errno == EADDRINUSE;
    return std::move(socket).error().with_hint(
        taken ? "another program has it (ss -ulnp 'sport = :" + std::to_string(port) +
                    "' tells which); choose another with --port"
              : "choose another with --port");
  }
  return {};
}

void EngineSupervisor::notify_network_changed() {
  for (const auto& [id, engine] : engines_) engine->notify_network_changed();
}

base::Result<NetworkEngine*> EngineSupervisor::find(model::NetworkId network) {
  const auto found = engines_.find(network);
  if (found == engines_.end())
    return make_error(ErrorKind::Unavailable,
                      "the engine of network " + network.hex() + " does not run",
                      "`warren status` tells why");
  return found->second.get();
}

}  // namespace warren::gateway
