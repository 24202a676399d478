// `status`, `audit` and `reload`.
//
// What `status --check` looks at, in this order: with --daemon, the daemon; with a NAME, the run of
// that name or profile; without either, the run of this user when there is one, else the daemon. A
// remote gateway is its daemon.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "api/json.hpp"
#include "apps/warren/ask.hpp"
#include "apps/warren/cli.hpp"
#include "apps/warren/link_status.hpp"
#include "apps/warren/text.hpp"
#include "client/profile.hpp"
#include "hostlink/directory.hpp"
#include "hostlink/links.hpp"
#include "netns/ready.hpp"
#include "netns/runtime_dir.hpp"
#include "os/clock.hpp"
#include "os/process.hpp"
#include "os/unix_socket.hpp"

namespace warren::app {
namespace {

using nlohmann::ordered_json;

constexpr base::Duration kPollEvery = std::chrono::milliseconds(50);

struct StatusChoice {
  std::string run;
  std::string check;
  std::string wait;
  bool daemon = false;
};

std::vector<netns::RunStatus> runs_of_user() {
  const auto directory = netns::runtime_directory();
  if (!directory) return {};
  return netns::list_runs(*directory).value_or(std::vector<netns::RunStatus>{});
}

// --- status as a whole ---

/// What could be learned; `daemon_error` where the daemon could not be asked. Of a remote gateway
/// it is what that one knows: what runs on this host is not part of it.
struct Picture {
  std::optional<api::Status> daemon;
  std::optional<base::Error> daemon_error;
  std::vector<api::NetworkView> networks;
  std::vector<netns::RunStatus> runs;
  std::vector<hostlink::LinkStatus> links;
  std::vector<std::string> profiles;
};

Picture look(const Invocation& invocation) {
  Picture picture;
  const client::Daemon daemon = daemon_of(invocation);
  if (auto status = daemon.status()) {
    picture.daemon = std::move(*status);
    if (auto list = daemon.list_networks()) picture.networks = std::move(list->networks);
  } else {
    picture.daemon_error = std::move(status).error();
  }
  if (asks_remote(invocation)) return picture;
  picture.runs = runs_of_user();
  picture.links = hostlink::list_links(hostlink::directory_in(invocation.run_dir));
  if (const auto directory = client::profile_directory()) {
    if (auto names = client::list_profiles(*directory)) picture.profiles = std::move(*names);
  }
  return picture;
}

ordered_json document_of(const Picture& picture) {
  ordered_json document = {{"schema", 1}};
  document["daemon"] = nullptr;
  if (picture.daemon) document["daemon"] = ordered_json::parse(api::encode(*picture.daemon));
  document["networks"] =
      ordered_json::parse(api::encode(api::NetworkList{picture.networks}))["networks"];
  document["runs"] = ordered_json::array();
  for (const netns::RunStatus& run : picture.runs) {
    document["runs"].push_back({{"name", run.name},
                                {"profile", run.profile},
                                {"pid", run.pid},
                                {"public_key", run.public_key},
                                {"addresses", run.addresses}});
  }
  document["links"] = ordered_json::array();
  for (const hostlink::LinkStatus& link : picture.links) {
    document["links"].push_back(link_document(link));
  }
  document["profiles"] = picture.profiles;
  return document;
}

void print_picture(const Picture& picture) {
  if (picture.daemon) {
    const api::Status& daemon = *picture.daemon;
    fmt::print("daemon    {} since {}, state in {}, {}\n", daemon.version, moment(daemon.started),
               daemon.state_dir, daemon.ready ? "ready" : "not ready");
    for (const std::string& problem : daemon.problems) fmt::print("  problem: {}\n", problem);
  } else {
    fmt::print("daemon    {}\n", picture.daemon_error->kind == base::ErrorKind::NotPermitted
                                     ? "may not be asked by this user"
                                     : "not running here (a gateway's; a member needs none)");
  }
  if (!picture.networks.empty()) {
    Table table({"NETWORK", "ENDPOINT", "PEERS", "CONNECTED", "ENGINE"});
    for (const api::NetworkView& network : picture.networks) {
      table.add({network.name, network.endpoint, std::to_string(network.peers),
                 std::to_string(network.connected), network.engine});
    }
    fmt::print("\n");
    table.print();
    for (const api::NetworkView& network : picture.networks) {
      if (!network.engine_report) continue;
      fmt::print("  {}: engine: {}\n", network.name, network.engine_report->features);
    }
  }
  if (!picture.runs.empty()) {
    Table table({"RUN", "PROFILE", "PID", "ADDRESSES"});
    for (const netns::RunStatus& run : picture.runs) {
      table.add({run.name, run.profile, std::to_string(run.pid), join_words(run.addresses)});
    }
    fmt::print("\n");
    table.print();
  }
  print_links(picture.links);
  if (!picture.profiles.empty()) fmt::print("\nprofiles  {}\n", join_words(picture.profiles));
}

base::Status show_status(Invocation& invocation) {
  Picture picture = look(invocation);
  if (!picture.daemon && picture.runs.empty() && picture.links.empty() &&
      picture.profiles.empty()) {
    if (picture.daemon_error->kind != base::ErrorKind::Unavailable || asks_remote(invocation)) {
      return std::move(*picture.daemon_error);
    }
    return base::make_error(base::ErrorKind::Unavailable,
                            "the daemon is not running, and you have no profiles and no runs",
                            "a member starts with: warren join TOKEN; a gateway with: warren "
                            "daemon (or: systemctl start warren)");
  }
  if (invocation.json) {
    print_line(document_of(picture).dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  } else {
    print_picture(picture);
  }
  return {};
}

// --- checks ---

base::Status ask_daemon(const Invocation& invocation, bool ready) {
  WARREN_TRY_ASSIGN(const api::Status status, daemon_of(invocation).status());
  if (ready && !status.ready) {
    return base::make_error(
        base::ErrorKind::Unavailable,
        "the daemon is not ready: " + (status.problems.empty() ? std::string("engines are starting")
                                                               : join_words(status.problems)),
        "wait for it: warren status --check ready --daemon --wait 30s");
  }
  return {};
}

base::Status check_daemon(const Invocation& invocation, bool ready, base::Duration wait) {
  const base::Instant deadline = os::now() + wait;
  while (true) {
    base::Status asked = ask_daemon(invocation, ready);
    const bool worth_waiting = !asked && asked.error().kind == base::ErrorKind::Unavailable;
    if (!worth_waiting || os::now() >= deadline) return asked;
    pass_time(kPollEvery);
  }
}

base::Result<netns::RunStatus> live_run(const std::string& directory, const std::string& name) {
  WARREN_TRY_ASSIGN(const auto runs, netns::list_runs(directory));
  for (const netns::RunStatus& run : runs) {
    if (run.name == name || run.profile == name || name.empty()) return run;
  }
  return base::make_error(
      base::ErrorKind::Unavailable,
      name.empty() ? std::string("nothing runs") : "no run is named '" + name + "'",
      "start one: warren run PROFILE -- COMMAND");
}

base::Result<netns::RunStatus> check_run(const StatusChoice& choice, base::Duration wait) {
  WARREN_TRY_ASSIGN(const std::string directory, netns::runtime_directory());
  if (choice.check == "live") {
    const base::Instant deadline = os::now() + wait;
    while (true) {
      auto run = live_run(directory, choice.run);
      if (run || os::now() >= deadline) return run;
      pass_time(kPollEvery);
    }
  }
  return netns::check_ready(directory, choice.run, wait);
}

void print_run(const Invocation& invocation, const netns::RunStatus& run, const char* state) {
  if (!invocation.json) {
    fmt::print("run {} is {}{}\n", run.name, state,
               run.echo_round_trip
                   ? fmt::format(", echo in {:.1f} ms",
                                 static_cast<double>(run.echo_round_trip->count()) / 1e6)
                   : "");
    return;
  }
  ordered_json document = {{"schema", 1},
                           {"run", run.name},
                           {"profile", run.profile},
                           {"pid", run.pid},
                           {"state", state}};
  if (run.echo_round_trip) {
    document["echo_ms"] = static_cast<double>(run.echo_round_trip->count()) / 1e6;
  }
  print_line(document.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
}

base::Status check(Invocation& invocation, const StatusChoice& choice) {
  base::Duration wait{0};
  if (!choice.wait.empty()) {
    const auto seconds = parse_duration_s(choice.wait);
    if (!seconds) {
      return base::make_error(base::ErrorKind::Invalid, "'" + choice.wait + "' is not a time span",
                              "write it as 10s or 2m");
    }
    wait = std::chrono::seconds(*seconds);
  }
  const char* state = choice.check == "ready" ? "ready" : "live";
  const bool no_run_meant =
      choice.run.empty() && (asks_remote(invocation) || runs_of_user().empty());
  if (choice.daemon || no_run_meant) {
    WARREN_TRY(check_daemon(invocation, choice.check == "ready", wait));
    print_line(invocation.json
                   ? ordered_json{{"schema", 1}, {"daemon", true}, {"state", state}}.dump()
                   : fmt::format("the daemon is {}", state));
    return {};
  }
  if (const auto link = find_link(invocation, choice.run)) {
    WARREN_TRY(check_link(*link, choice.check == "ready", wait));
    print_run(invocation, link->run, state);
    return {};
  }
  auto run = check_run(choice, wait);
  if (!run) {
    base::Error error = std::move(run).error();
    // For a health check, a run that is not there is simply not running.
    if (error.kind == base::ErrorKind::NotFound) error.kind = base::ErrorKind::Unavailable;
    return error;
  }
  print_run(invocation, *run, state);
  return {};
}

void add_status(CLI::App& app, Invocation& invocation) {
  auto choice = std::make_shared<StatusChoice>();
  CLI::App* command =
      app.add_subcommand("status", "Show the daemon, its networks and your runs; or check one");
  command->add_option("RUN", choice->run, "the run (or its profile) to check");
  command->add_option("--check", choice->check, "exit with 0 only if it is live, or ready")
      ->check(CLI::IsMember({"live", "ready"}));
  command->add_option("--wait", choice->wait, "wait this long for it: 10s, 2m");
  command->add_flag("--daemon", choice->daemon, "check the daemon, even when a run exists");
  command->footer(
      "A run is ready after a handshake and an echo through the tunnel; the daemon when every\n"
      "engine runs. Without RUN the check is of your run if there is one, else of the daemon.\n"
      "Not live or not ready: exit code 3.\n"
      "Example: warren status lab --check ready --wait 10s");
  command->callback([&invocation, choice] {
    if (choice->check.empty() && (!choice->run.empty() || !choice->wait.empty())) {
      choice->check = "ready";
    }
    finish(invocation,
           choice->check.empty() ? show_status(invocation) : check(invocation, *choice));
  });
}

// --- reload ---

base::Status reload(const Invocation& invocation) {
  WARREN_TRY_ASSIGN(const api::Reloaded done, daemon_of(invocation).reload());
  if (invocation.json) {
    print_line(api::encode(done));
    return {};
  }
  print_line("the daemon has read its settings again");
  if (!done.at_next_start.empty()) {
    fmt::print(stderr, "warren: warning: {} changed and {} only when the daemon is started again\n",
               join_words(done.at_next_start), done.at_next_start.size() == 1 ? "counts" : "count");
  }
  return {};
}

}  // namespace

void add_status_commands(CLI::App& app, Invocation& invocation) {
  add_status(app, invocation);

  add_audit_command(app, invocation);
  CLI::App* reload_command =
      app.add_subcommand("reload", "Let the daemon read its settings again; no session drops");
  reload_command->footer("Example: warren reload");
  reload_command->callback([&invocation] { finish(invocation, reload(invocation)); });
  add_cleanup_command(app, invocation);
}

}  // namespace warren::app
