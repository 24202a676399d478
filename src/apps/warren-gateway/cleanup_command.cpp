// `warren cleanup`: what a gateway that is stopped, or was killed, has left on this host, and what
// `warren up` has left that was killed.
#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "apps/warren/ask.hpp"
#include "apps/warren/cli.hpp"
#include "apps/warren/text.hpp"
#include "gateway/cleanup.hpp"
#include "hostlink/directory.hpp"
#include "hostlink/links.hpp"
#include "os/own_place.hpp"

namespace warren::app {
namespace {

using nlohmann::ordered_json;

/// Warnings and errors of cleanup, on standard error; everything with -v.
class TerminalLog final : public base::Log {
 public:
  explicit TerminalLog(bool verbose) : verbose_(verbose) {}
  void write(base::LogLevel level, std::string_view module, std::string_view message) override {
    if (!verbose_ && level < base::LogLevel::Warning) return;
    fmt::print(stderr, "{}: {}: {}\n", base::to_string(level), module, message);
  }

 private:
  bool verbose_;
};

/// What a line of a cleanup's report is about: an engine, a file, or the command that did it.
std::string_view kind_of(std::string_view line) {
  const auto has = [line](std::string_view part) { return line.find(part) != line.npos; };
  if (line.starts_with("engine ")) return "engines stopped";
  if (line.starts_with("files of ") || line.starts_with("/") || line.starts_with("rm "))
    return "files removed";
  if (has("ip netns del ") || has("the namespaces of")) return "namespaces removed";
  if (has("link del ")) return "interfaces removed";
  if (has("nft ") || has(" rule del ")) return "rules removed";
  if (line.starts_with("resolv")) return "name servers taken back";
  return "settings, addresses and routes restored";
}

void print_summary(const std::vector<std::string>& removed) {
  std::vector<std::pair<std::string_view, std::size_t>> counts;
  for (const std::string& line : removed) {
    const std::string_view kind = kind_of(line);
    const auto found = std::ranges::find(counts, kind, [](const auto& one) { return one.first; });
    if (found != counts.end()) {
      ++found->second;
    } else {
      counts.emplace_back(kind, 1);
    }
  }
  for (const auto& [kind, count] : counts) fmt::print("{:>4}  {}\n", count, kind);
}

/// What `warren up` left of hosts whose supervisor was killed; the gateway's report takes it up.
hostlink::Leftovers undo_killed_links(const Invocation& invocation,
                                      gateway::CleanupReport& report) {
  hostlink::Leftovers left = hostlink::undo_killed(hostlink::directory_in(invocation.run_dir));
  for (const auto& link : left.killed)
    report.removed.insert(report.removed.end(), link.undone.begin(), link.undone.end());
  report.problems.insert(report.problems.end(), left.problems.begin(), left.problems.end());
  return left;
}

ordered_json names_of(const hostlink::Leftovers& left) {
  ordered_json out = {{"undone", ordered_json::array()}, {"left_alone", ordered_json::array()}};
  for (const auto& link : left.killed) out["undone"].push_back(link.name);
  for (const auto& link : left.living)
    out["left_alone"].push_back({{"name", link.name}, {"pid", link.pid}});
  return out;
}

void print_links(const hostlink::Leftovers& left) {
  for (const auto& link : left.killed)
    fmt::print("{}: undone what its killed `warren up` had left on this host\n", link.name);
  for (const auto& link : left.living)
    fmt::print("{}: left alone, this host is in it (process {}); `warren down {}` ends that\n",
               link.name, link.pid, link.name);
}

base::Status cleanup(Invocation& invocation) {
  TerminalLog log(invocation.verbose);
  WARREN_TRY(os::enter_own_place(invocation.run_dir));
  auto cleaned = gateway::cleanup(invocation.state_dir, invocation.run_dir, log);
  if (!cleaned) {
    base::Error error = std::move(cleaned).error();
    if (error.kind != base::ErrorKind::NotPermitted) return error;
    return std::move(error).with_hint("run it as root, or as the user whose gateway it was");
  }
  gateway::CleanupReport done = std::move(*cleaned);
  WARREN_TRY_ASSIGN(const bool had_place, os::end_own_place(invocation.run_dir));
  if (had_place) done.removed.push_back("the namespaces of the gateway without root");
  const hostlink::Leftovers links = undo_killed_links(invocation, done);
  if (!done.problems.empty()) invocation.exit_code = kFailed;
  if (invocation.json) {
    const ordered_json document = {{"schema", 1},
                                   {"removed", done.removed},
                                   {"problems", done.problems},
                                   {"links", names_of(links)}};
    print_line(document.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
    return {};
  }
  if (invocation.verbose) {
    for (const std::string& line : done.removed) fmt::print("removed: {}\n", line);
  } else {
    print_summary(done.removed);
  }
  print_links(links);
  for (const std::string& line : done.problems) fmt::print(stderr, "warren: {}\n", line);
  const bool nothing = done.removed.empty() && done.problems.empty() && links.living.empty();
  if (nothing) fmt::print("nothing to clean up\n");
  return {};
}

}  // namespace

void add_cleanup_command(CLI::App& app, Invocation& invocation) {
  CLI::App* cleanup_command = app.add_subcommand(
      "cleanup", "Remove everything of a stopped gateway, and of a killed `up`, from this host");
  cleanup_command->footer(
      "State, keys and profiles stay. With -v each removed thing is named.\n"
      "Example: warren cleanup --state-dir /var/lib/warren");
  cleanup_command->callback([&invocation] { finish(invocation, cleanup(invocation)); });
}

}  // namespace warren::app
