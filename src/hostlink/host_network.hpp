// HostNetwork: the link of one network on this host, with its addresses, routes and rules.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "hostlink/journal.hpp"
#include "hostlink/plan.hpp"
#include "os/fd.hpp"
#include "os/rtnl.hpp"

namespace warren::hostlink {

class HostNetwork {
 public:
  /// `journal` outlives this; `taken` are tables of networks that do not use them yet. Conflict
  /// when the link's name is taken; the message names the owner.
  [[nodiscard]] static base::Result<HostNetwork> open(const std::string& name,
                                                      const std::vector<std::uint32_t>& taken,
                                                      Journal& journal);

  /// A routing table, and a mark, that nobody uses here.
  [[nodiscard]] std::uint32_t free_table() const { return table_; }
  /// Conflict when the host has one of these addresses, or another way to one of these networks.
  [[nodiscard]] base::Status check(const LinkPlan& plan);
  /// Makes the tun: down, without addresses. It stays when its holder dies.
  [[nodiscard]] base::Result<os::Fd> make_link(std::uint32_t mtu);
  /// A further holder of the link, in place of one that is gone.
  [[nodiscard]] base::Result<os::Fd> hold_link() const;
  /// Brings the host from the plan that was applied last to this one; what is the same stays. Goes
  /// on past errors when `best_effort`, and tells the first one at the end.
  [[nodiscard]] base::Status apply(const LinkPlan& plan, bool best_effort);
  /// Whether the link is still there and the one that was made.
  [[nodiscard]] bool has_link();

 private:
  HostNetwork(std::string name, Journal& journal, os::Rtnl rtnl)
      : name_(std::move(name)), journal_(&journal), rtnl_(std::move(rtnl)) {}
  [[nodiscard]] base::Status check_addresses(const LinkPlan& plan,
                                             const std::vector<os::Link>& links);
  [[nodiscard]] base::Status check_routes(const LinkPlan& plan, const std::vector<os::Link>& links);
  [[nodiscard]] base::Status set_sysctls(const LinkPlan& plan) const;
  [[nodiscard]] base::Status place_rules(std::vector<os::Rule>& rules);
  class Steps;
  void apply_addresses(const LinkPlan& plan, Steps& steps);
  void apply_routes(const LinkPlan& plan, Steps& steps);
  void apply_rules(const LinkPlan& plan, Steps& steps);
  [[nodiscard]] base::Status add_rules(std::vector<os::Rule> wanted);
  [[nodiscard]] os::Route route_of(const PlannedRoute& planned) const;

  std::string name_;
  Journal* journal_;
  os::Rtnl rtnl_;
  std::uint32_t table_ = 0;
  std::uint32_t index_ = 0;
  LinkPlan applied_;
  std::vector<os::Rule> rules_;  ///< as they are in force
};

}  // namespace warren::hostlink
