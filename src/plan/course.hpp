// Course: the steps of a plan, sorted by where they are done.
//
// Most steps of a plan are done inside one network's namespace, and what is done in one never
// depends on another. So a plan for a thousand networks is done by namespace rather than kind by
// kind: a namespace is entered once, and its network succeeds or fails by itself.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "plan/steps.hpp"

namespace warren::plan {

/// The members are done in this order; within each the order is the plan's.
struct Course {
  /// Of the host, before any network: removals, but for those below, and what networks build on.
  std::vector<Step> host_first;
  /// The removal of whole networks: everything in their namespaces, the namespaces, and what the
  /// networks are on the host. It makes room for what is made, and is not undone.
  std::vector<Step> farewell;
  std::vector<Step> spaces;                                       ///< namespaces that are made
  std::vector<std::pair<std::string, std::vector<Step>>> inside;  ///< by namespace
  /// Of the host, and built on links that networks have by now.
  std::vector<Step> host_last;
  /// What the host keeps until the last network is gone that needs it; not undone either.
  std::vector<Step> host_end;

  [[nodiscard]] static Course of(const std::vector<Step>& plan);
};

/// The network's link that a fact of the host's is about ("wh0000001a"); empty: none.
[[nodiscard]] std::string host_link_of(const Fact& fact);

}  // namespace warren::plan
