// `warren events`: what happens on a gateway, as it happens.
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.hpp"
#include "apps/warren/ask.hpp"
#include "apps/warren/cli.hpp"
#include "apps/warren/event_runner.hpp"
#include "apps/warren/text.hpp"

namespace warren::app {
namespace {

constexpr auto kAskAgain = std::chrono::seconds(1);
constexpr auto kDrainPause = std::chrono::milliseconds(20);

struct EventChoice {
  std::string network;
  std::string program;
  std::string user;
  std::optional<std::uint64_t> after;
  std::uint64_t count = 0;  ///< end after so many; 0: never
};

void print_event(const Invocation& invocation, const api::Event& event) {
  if (invocation.json) {
    print_line(api::encode(event));
  } else {
    fmt::print("{}  {:<10}  {}  {}  {}  {}\n", moment(event.time), event.kind, event.actor,
               event.action, event.target, event.result);
  }
  std::fflush(stdout);
}

base::Status follow(const Invocation& invocation, const EventChoice& choice) {
  const client::Daemon daemon = daemon_of(invocation);
  std::optional<EventRunner> runner;
  if (!choice.program.empty()) {
    WARREN_TRY_ASSIGN(const std::string program, find_program(choice.program));
    WARREN_TRY_ASSIGN(const auto user, event_user(choice.user));
    runner.emplace(program, user, EventLimits{},
                   [](const std::string& text) { fmt::print(stderr, "warren: {}\n", text); });
  }
  client::Daemon::EventRequest request{.network = choice.network, .after = choice.after};
  std::uint64_t left = choice.count;
  const auto heard = [&](const api::Event& event) {
    if (runner) {
      runner->take(api::encode(event));
    } else {
      print_event(invocation, event);
    }
    return choice.count == 0 || --left > 0;
  };
  const auto tick = [&]() -> base::Duration {
    return runner ? runner->tick() : base::Duration(kAskAgain);
  };
  bool known = false;
  while (true) {
    const base::Status ended = daemon.listen(request, heard, tick);
    if (choice.count != 0 && left == 0) break;
    if (!ended && (!known || ended.error().kind != base::ErrorKind::Unavailable)) return ended;
    known = true;
    tick();
    pass_time(kAskAgain);  // the daemon restarts: what happens meanwhile comes later
  }
  while (runner && !runner->is_idle()) {
    runner->tick();
    pass_time(kDrainPause);
  }
  return {};
}

}  // namespace

void add_events_command(CLI::App& app, Invocation& invocation) {
  CLI::App* events = app.add_subcommand("events", "Show what happens on the gateway, or act on it");
  const auto choice = std::make_shared<EventChoice>();
  events->add_option("--network", choice->network, "Of this network alone");
  events->add_option("--exec", choice->program,
                     "Run this program for each event, with its JSON on standard input");
  events->add_option("--exec-user", choice->user, "As this user (root only; default: nobody)")
      ->needs("--exec");
  events->add_option("--after", choice->after, "Begin behind this record of the audit");
  events->add_option("--count", choice->count, "End after so many");
  events->footer(
      "Kinds: connect, disconnect, enrol, revoke, change, refused. A program gets no arguments "
      "and\n"
      "no shell; four run at once, each for half a minute at most.\n"
      "Example: warren events --network physics --exec /usr/local/bin/notify");
  events->callback([&invocation, choice] { finish(invocation, follow(invocation, *choice)); });
}

}  // namespace warren::app
