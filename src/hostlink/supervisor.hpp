// `warren up`: this host itself in a network, with a link, routes and name servers of its own.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "hostlink/plan.hpp"
#include "netns/run.hpp"

namespace warren::hostlink {

/// What came of it, for people and scripts.
struct LinkFacts {
  std::string name;
  std::vector<base::Prefix> addresses;
  std::string names;  ///< "resolved", "resolvconf" or "none"
  bool all_traffic = false;
};

struct LinkConfig {
  /// Its name is the link's. Needed beyond a run's network: engine, engine_program, follower.
  netns::RunConfig run;
  TableChoice table;
  std::string directory;  ///< from directory_in()
  std::string log;        ///< removed at the end; empty: there is none
  /// Called once, when the name is ours and before any process is started; may leave the terminal.
  std::move_only_function<base::Status()> on_detachable = nullptr;
  /// A line that whoever starts it should read.
  std::move_only_function<void(const std::string&)> notice = nullptr;
  /// Called once, when all is in place.
  std::move_only_function<void(const LinkFacts&)> on_ready = nullptr;
};

/// Joins the calling process's network namespace to the network, and returns when it was told to
/// end (SIGTERM, SIGINT), when the link was removed, or when it could not be joined. Then
/// everything that was done is undone. Conflict: it is up already, or its name, a route, an address
/// is taken; the message names by whom. Needs root. The caller has one thread.
[[nodiscard]] base::Status run_link(LinkConfig config);

}  // namespace warren::hostlink
