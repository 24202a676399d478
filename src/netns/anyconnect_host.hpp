// AnyConnectHost: the supervisor's care for the process that holds its AnyConnect session.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "base/result.hpp"
#include "netns/anyconnect.hpp"
#include "netns/recent_ends.hpp"
#include "netns/tunnel.hpp"
#include "os/loop.hpp"

namespace warren::netns {

class AnyConnectHost final : public Tunnel {
 public:
  struct Events {
    Configured configured;
    Failed failed;
    /// The server gave other addresses, routes or another MTU than before: they are in the run's
    /// `session`.
    std::move_only_function<void()> changed;
    /// Packets flow, or do no longer; before `configured`.
    std::move_only_function<void(bool up)> turned;
  };

  /// `loop` and `run` outlive this; the run is logged in, or was.
  AnyConnectHost(os::Loop& loop, AnyConnectRun& run, Events events);
  ~AnyConnectHost() override;

  [[nodiscard]] base::Status start() override;
  void handle_tun(os::Fd tun) override;

 private:
  [[nodiscard]] base::Status watch();
  [[nodiscard]] base::Status restart();
  void drop();
  void offer_tun();
  void handle_message();
  [[nodiscard]] base::Status handle(ipc::AnyConnectMessage& message);
  [[nodiscard]] base::Status answer(const ipc::AnyConnectMessage& question);
  [[nodiscard]] base::Status take_session(const ipc::AnyConnectMessage& message);
  [[nodiscard]] base::Status take_up(const ipc::AnyConnectMessage& message);
  void handle_end();
  void give_up(base::Error error);
  void notice(const std::string& text);

  os::Loop& loop_;
  AnyConnectRun& run_;
  Events events_;
  AnyConnectProcess process_;
  os::Fd tun_;
  bool has_session_ = true;
  bool up_ = false;
  bool ever_up_ = false;
  bool told_lost_ = false;
  std::optional<base::Error> why_;  ///< what the process said last
  unsigned failures_ = 0;           ///< since packets flowed
  unsigned refusals_ = 0;           ///< logins that the server refused, since then
  RecentEnds ends_;                 ///< of sessions that were up
  os::Loop::TimerId timer_ = 0;     ///< the next start, or the end of patience with this one
};

}  // namespace warren::netns
