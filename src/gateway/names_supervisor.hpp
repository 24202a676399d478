// NameSupervisor: the name servers of all networks of this daemon that want one.
//
// Lives on the daemon's one thread, like the engines. What changed is gathered for a moment
// (limits.hpp); then the zone of each network is asked for and its server told.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "base/result.hpp"
#include "control/name_servers.hpp"
#include "gateway/delay_timer.hpp"
#include "gateway/forwarder_ways.hpp"
#include "gateway/read_watch.hpp"
#include "services/name_server.hpp"

namespace warren::gateway {

class NameSupervisor final : public control::NameServers {
 public:
  using ZoneOf = std::function<std::optional<model::NameZone>(model::NetworkId)>;

  NameSupervisor(boost::asio::io_context& io, base::Log& log, std::string run_dir);
  /// Whom to ask for zones; nothing is served by itself before.
  void set_zones(ZoneOf zone_of) { zone_of_ = std::move(zone_of); }
  /// Ends servers of former daemons whose network is not in `wanted`. Goes on past failures and
  /// lists them.
  [[nodiscard]] base::Status end_unwanted(const std::set<model::NetworkId>& wanted);
  /// Tells the servers when the host asks other name servers than before. Cheap.
  void look_at_resolvers();

  base::Status check() override;
  base::Status serve(const model::NameZone& zone) override;
  base::Status stop(model::NetworkId network) override;
  void changed(model::NetworkId network) override;
  [[nodiscard]] std::string problem(model::NetworkId network) const override;
  [[nodiscard]] std::vector<std::string> warnings(const model::NameZone& zone) const override;
  std::vector<std::string> differences(const model::NameZone& zone) override;
  std::vector<control::NameFinding> examine(const std::vector<model::NameZone>& zones) override;

 private:
  struct Served {
    Served(boost::asio::io_context& io, services::NameServerProgram program,
           const std::string& run_dir, const model::NameZone& zone)
        : name(zone.network_name),
          server(std::move(program), run_dir, zone.network, zone.network_name),
          retry(io) {}
    std::string name;
    services::NameServer server;
    ReadWatch watch;
    DelayTimer retry;
    base::Instant started{};
    unsigned failures = 0;  ///< ends in a row of servers that did not live long
    std::string problem;
    ForwarderWays ways;
    std::string host_problem;  ///< why the host does not ask here; empty: it does, or shall not
    bool host_lacks_a_keeper = false;        ///< of its name servers, who could be told
    std::vector<base::IpAddress> told_host;  ///< the servers that the host was told of
    std::string domain;
  };

  void serve_changed();
  [[nodiscard]] std::vector<std::string> forwarder_warnings(const model::NameZone& zone) const;
  [[nodiscard]] bool is_running(model::NetworkId network) const;
  [[nodiscard]] control::NameFinding finding_of_server(const model::NameZone& zone) const;
  /// nullopt: the host shall not ask here.
  [[nodiscard]] std::optional<control::NameFinding> finding_of_host(
      const model::NameZone& zone) const;
  /// Tells the host who answers for the network's names, or that nobody does.
  void follow_host_access(const model::NameZone& zone, Served& served);
  /// Brings one server to its zone; what fails is tried again later.
  void refresh(model::NetworkId network);
  [[nodiscard]] base::Result<Served*> bring(const model::NameZone& zone);
  [[nodiscard]] base::Status bring_and_ask(const model::NameZone& zone);
  void handle_exit(model::NetworkId network);
  void retry_later(model::NetworkId network, Served& served);
  [[nodiscard]] std::vector<base::IpAddress> forwarders_of(const model::NameZone& zone) const;
  /// Domains of other networks for which the host asks their name servers.
  [[nodiscard]] std::vector<std::string> domains_of_others(model::NetworkId network) const;
  void say(base::LogLevel level, const std::string& message) {
    log_.write(level, "gateway", message);
  }

  boost::asio::io_context& io_;
  base::Log& log_;
  std::string run_dir_;
  ZoneOf zone_of_;
  std::map<model::NetworkId, std::unique_ptr<Served>> served_;
  std::set<model::NetworkId> changed_;
  DelayTimer changed_timer_;
  base::Duration delay_;
  std::vector<base::IpAddress> resolvers_;  ///< of the host, but for those it was told of here
  std::shared_ptr<RelayLoad> relay_load_ = std::make_shared<RelayLoad>();
};

}  // namespace warren::gateway
