// FollowerHost: the supervisor's care for the process that follows the gateway.
#pragma once

#include <functional>

#include "base/result.hpp"
#include "netns/follower.hpp"
#include "netns/recent_ends.hpp"
#include "netns/run.hpp"
#include "os/fd.hpp"
#include "os/loop.hpp"
#include "os/process.hpp"

namespace warren::netns {

class FollowerHost {
 public:
  using Heard = std::move_only_function<void(RunNews)>;

  /// `loop` and `config` outlive this. Nothing is started where `config` has no follower.
  FollowerHost(os::Loop& loop, RunConfig& config, Heard heard)
      : loop_(loop), config_(config), heard_(std::move(heard)) {}
  ~FollowerHost();
  FollowerHost(const FollowerHost&) = delete;
  FollowerHost& operator=(const FollowerHost&) = delete;

  [[nodiscard]] base::Status start();

 private:
  [[noreturn]] void be_follower(pid_t supervisor, os::Fd socket);
  void handle_message();
  void handle_end();
  void forget();

  os::Loop& loop_;
  RunConfig& config_;
  Heard heard_;
  os::Child child_;
  os::Fd socket_;
  RecentEnds ends_;
  os::Loop::TimerId restart_ = 0;
};

}  // namespace warren::netns
