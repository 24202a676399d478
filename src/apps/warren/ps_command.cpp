// `warren ps` and `warren stop`: the runs of this user.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/warren/ask.hpp"
#include "apps/warren/cli.hpp"
#include "apps/warren/text.hpp"
#include "netns/runs.hpp"
#include "os/clock.hpp"

namespace warren::app {

namespace {

using nlohmann::ordered_json;

/// An engine that does not answer is not waited for.
constexpr base::Duration kEngineAnswer = std::chrono::seconds(1);
constexpr std::int64_t kSecond = 1'000'000'000;

struct Row {
  netns::RunStatus run;
  std::optional<netns::Traffic> traffic;
};

ordered_json document_of(const std::vector<Row>& rows) {
  ordered_json runs = ordered_json::array();
  for (const auto& [run, traffic] : rows) {
    ordered_json& out = runs.emplace_back(ordered_json{{"name", run.name},
                                                       {"profile", run.profile},
                                                       {"pid", run.pid},
                                                       {"addresses", run.addresses},
                                                       {"since", run.since_s},
                                                       {"net", run.net ? "up" : "off"},
                                                       {"public_key", run.public_key},
                                                       {"exposed", run.exposed}});
    if (!traffic) continue;
    out["rx_bytes"] = traffic->received;
    out["tx_bytes"] = traffic->sent;
    out["last_handshake"] = traffic->last_handshake.ns / kSecond;
  }
  return {{"schema", 1}, {"runs", std::move(runs)}};
}

void print_rows(const std::vector<Row>& rows) {
  const std::int64_t now_s = os::wall_now().ns / kSecond;
  Table table(
      {"RUN", "PROFILE", "ADDRESSES", "SINCE", "RECEIVED", "SENT", "HANDSHAKE", "EXPOSED", "PID"});
  for (const auto& [run, traffic] : rows) {
    const std::string handshake =
        traffic ? age(traffic->last_handshake.ns / kSecond, now_s) : "no tunnel";
    table.add({run.name, run.profile, join_words(run.addresses), age(run.since_s, now_s),
               traffic ? size(traffic->received) : "", traffic ? size(traffic->sent) : "",
               handshake, join_words(run.exposed), std::to_string(run.pid)});
  }
  if (!table.empty()) table.print();
}

base::Status show_runs(const Invocation& invocation) {
  WARREN_TRY_ASSIGN(const std::string directory, netns::runtime_directory());
  WARREN_TRY_ASSIGN(std::vector<netns::RunStatus> runs, netns::list_runs(directory));
  std::ranges::sort(runs, {}, &netns::RunStatus::since_s);
  std::vector<Row> rows;
  for (netns::RunStatus& run : runs) {
    Row& row = rows.emplace_back(Row{.run = std::move(run), .traffic = std::nullopt});
    if (!row.run.net) continue;
    if (auto traffic = netns::traffic_of(row.run, kEngineAnswer)) row.traffic = *traffic;
  }
  if (invocation.json) {
    print_line(document_of(rows).dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  } else {
    print_rows(rows);
  }
  return {};
}

struct StopArguments {
  std::vector<std::string> runs;
  std::string grace = "10s";
};

base::Status stop_runs(const StopArguments& arguments) {
  const std::string text = arguments.grace == "0" || arguments.grace == "0s" ? "" : arguments.grace;
  const auto grace_s = text.empty() ? std::optional<std::uint32_t>(0) : parse_duration_s(text);
  if (!grace_s) {
    return base::make_error(base::ErrorKind::Invalid,
                            "--time: '" + arguments.grace + "' is not a time span",
                            "write it as 0, 10s or 2m");
  }
  WARREN_TRY_ASSIGN(const std::string directory, netns::runtime_directory());
  // Every one is known before any is stopped.
  std::vector<netns::RunState> states;
  for (const std::string& name : arguments.runs) {
    WARREN_TRY_ASSIGN(states.emplace_back(), netns::find_run(directory, name));
  }
  for (netns::RunState& state : states) {
    WARREN_TRY(netns::stop_run(state, std::chrono::seconds(*grace_s)).within(state["name"]));
  }
  return {};
}

}  // namespace

void add_ps_commands(CLI::App& app, Invocation& invocation) {
  CLI::App* ps = app.add_subcommand("ps", "List your runs, with what they sent and received");
  ps->footer("Example: warren ps --json");
  ps->callback([&invocation] { finish(invocation, show_runs(invocation)); });

  const auto arguments = std::make_shared<StopArguments>();
  CLI::App* stop = app.add_subcommand("stop", "End runs of yours");
  stop->add_option("RUN", arguments->runs, "Names of runs, or of their profiles")->required();
  stop->add_option("-t,--time", arguments->grace,
                   "How long the program may take to end after SIGTERM before it is killed")
      ->capture_default_str();
  stop->footer("Returns when the run is gone. Example: warren stop lab");
  stop->callback([&invocation, arguments] { finish(invocation, stop_runs(*arguments)); });
}

}  // namespace warren::app
