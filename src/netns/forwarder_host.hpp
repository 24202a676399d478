// ForwarderHost: the supervisor's care for the process of the exposed ports.
#pragma once

#include <functional>

#include "base/result.hpp"
#include "netns/forwarder.hpp"
#include "netns/recent_ends.hpp"
#include "netns/run.hpp"
#include "os/loop.hpp"
#include "os/process.hpp"

namespace warren::netns {

class ForwarderHost {
 public:
  using Failed = std::move_only_function<void(base::Error)>;

  /// All of these outlive this. `failed` is called when the process ends again and again.
  ForwarderHost(os::Loop& loop, RunConfig& config, const os::Fd& init_control, Failed failed);
  ~ForwarderHost();
  ForwarderHost(const ForwarderHost&) = delete;
  ForwarderHost& operator=(const ForwarderHost&) = delete;

  /// Opens the ports and starts the process; nothing where no port is exposed.
  [[nodiscard]] base::Status start();

 private:
  [[nodiscard]] base::Status fork_one();
  [[nodiscard]] base::Status watch_one(pid_t pid);
  [[noreturn]] void be_forwarder(pid_t supervisor, os::Fd sockets);
  void handle_end();

  os::Loop& loop_;
  RunConfig& config_;
  const os::Fd& init_control_;
  Failed failed_;
  std::vector<os::Fd> listeners_;
  os::Child child_;
  RecentEnds ends_;
  os::Loop::TimerId restart_ = 0;
};

}  // namespace warren::netns
