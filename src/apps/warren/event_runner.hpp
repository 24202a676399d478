// A program for each event: started without a shell and without privileges, with the event's
// document on its standard input.
//
// EventLimits say how many of them run at once, each for how long, and how many more events wait;
// what comes on top of them is dropped, with a word about it.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "os/process.hpp"

namespace warren::app {

struct EventLimits {
  std::size_t at_once = 4;
  std::size_t waiting = 256;
  base::Duration longest = std::chrono::seconds(30);
};

class EventRunner {
 public:
  /// `say`: how it tells what went wrong.
  EventRunner(std::string program, std::optional<os::SpawnUser> user, EventLimits limits,
              std::function<void(const std::string&)> say)
      : program_(std::move(program)), user_(user), limits_(limits), say_(std::move(say)) {}
  /// Kills what still runs.
  ~EventRunner();
  EventRunner(const EventRunner&) = delete;
  EventRunner& operator=(const EventRunner&) = delete;

  void take(std::string document);
  /// Reaps, ends what runs too long, starts what waits; when it wants to be called again.
  base::Duration tick();
  [[nodiscard]] bool is_idle() const { return running_.empty() && waiting_.empty(); }

 private:
  struct Running {
    os::Child child;
    base::Instant until;
    bool told = false;
  };
  void start(const std::string& document);
  [[nodiscard]] bool has_ended(Running& one, base::Instant now);

  std::string program_;
  std::optional<os::SpawnUser> user_;
  EventLimits limits_;
  std::function<void(const std::string&)> say_;
  std::vector<Running> running_;
  std::deque<std::string> waiting_;
  std::size_t dropped_ = 0;
};

/// The path of a program as a shell would find it, from the root on; NotFound.
[[nodiscard]] base::Result<std::string> find_program(const std::string& name);
/// Who runs it: the user of this name; for root without a name nobody; otherwise who we are.
[[nodiscard]] base::Result<std::optional<os::SpawnUser>> event_user(const std::string& name);

}  // namespace warren::app
