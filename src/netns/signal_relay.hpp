// Signals on their way from a process in front of a command to the command.
#pragma once

#include <functional>

#include "base/result.hpp"
#include "os/signals.hpp"

namespace warren::netns {

/// Takes the signals of the calling process out of asynchronous delivery. Those that a process
/// sends are passed on. Those that the terminal sends reach the command's process group by
/// themselves and are not, or they would arrive twice. SIGTSTP stops the caller too, so that the
/// shell sees the job stopped, and its continuation is passed on.
class SignalRelay {
 public:
  using PassOn = std::move_only_function<void(int signal)>;

  [[nodiscard]] static base::Result<SignalRelay> create(PassOn pass_on);
  [[nodiscard]] int descriptor() const { return signals_.descriptor(); }
  /// Handles what waits. Before the command runs it gets nothing from the terminal: then
  /// everything is passed on. SIGCHLD only makes the descriptor readable.
  void handle(bool command_runs);

 private:
  SignalRelay(os::SignalQueue signals, PassOn pass_on)
      : signals_(std::move(signals)), pass_on_(std::move(pass_on)) {}
  os::SignalQueue signals_;
  PassOn pass_on_;
};

}  // namespace warren::netns
