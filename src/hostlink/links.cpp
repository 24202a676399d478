#include "hostlink/links.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string_view>

#include "hostlink/directory.hpp"
#include "hostlink/journal.hpp"
#include "hostlink/limits.hpp"
#include "netns/runtime_dir.hpp"
#include "os/process.hpp"

namespace warren::hostlink {

namespace {

namespace fs = std::filesystem;
constexpr std::string_view kJournalSuffix = ".undo";
constexpr std::string_view kLogSuffix = ".log";

/// The names of the files in the directory that end so, without that end.
std::set<std::string> names_of(const std::string& directory, std::string_view suffix) {
  std::set<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string file = entry->path().filename();
    if (file.ends_with(suffix)) names.insert(file.substr(0, file.size() - suffix.size()));
  }
  return names;
}

base::Result<netns::RunState> live_state(const std::string& directory, const std::string& name) {
  WARREN_TRY_ASSIGN(auto states, netns::live_states(directory));
  for (netns::RunState& state : states) {
    if (state["name"] == name) return std::move(state);
  }
  return base::make_error(base::ErrorKind::NotFound, name + " has no supervisor");
}

/// Ends it. It undoes what it did; when it cannot, the rest is in its journal.
base::Status end_supervisor(netns::RunState& state) {
  const auto pid = base::parse_number(state["pid"], 1, 1U << 30).value_or(0);
  const auto started = base::parse_number(state["start_time"], 0, ~0ULL).value_or(0);
  const auto process = os::open_pidfd(static_cast<pid_t>(pid), started);
  if (!process) return {};  // it ended meanwhile
  static_cast<void>(os::send_signal(*process, SIGTERM));
  WARREN_TRY_ASSIGN(bool ended, os::wait_readable(*process, kDownPatience));
  if (ended) return {};
  WARREN_TRY(os::send_signal(*process, SIGKILL));
  WARREN_TRY_ASSIGN(ended, os::wait_readable(*process, kKillPatience));
  if (ended) return {};
  return base::make_error(base::ErrorKind::Failed,
                          "process " + std::to_string(pid) + " does not end");
}

}  // namespace

std::vector<LinkStatus> list_links(const std::string& directory) {
  std::vector<LinkStatus> out;
  auto states = netns::live_states(directory).value_or(std::vector<netns::RunState>{});
  auto runs = netns::list_runs(directory).value_or(std::vector<netns::RunStatus>{});
  for (netns::RunStatus& run : runs) {
    const auto same = [&](netns::RunState& state) { return state["name"] == run.name; };
    const auto state = std::ranges::find_if(states, same);
    if (state == states.end()) continue;
    out.push_back({.run = std::move(run),
                   .condition = (*state)["condition"],
                   .names = (*state)["names"],
                   .supervised = true});
  }
  for (const std::string& name : names_of(directory, kJournalSuffix)) {
    const auto same = [&](const LinkStatus& link) { return link.run.name == name; };
    if (std::ranges::any_of(out, same)) continue;
    LinkStatus left;
    left.run.name = name;
    left.condition = "its supervisor was killed: packets go nowhere until `warren down " + name +
                     "` or `warren up`";
    left.supervised = false;
    out.push_back(std::move(left));
  }
  std::ranges::sort(out, {}, [](const LinkStatus& link) { return link.run.name; });
  return out;
}

base::Result<bool> undo_leftovers(const std::string& directory, const std::string& name) {
  const LinkFiles files(directory, name);
  netns::remove_stale(directory);
  if (access(files.journal.c_str(), F_OK) != 0) return false;
  WARREN_TRY(undo(files.journal));
  unlink(files.state.c_str());
  unlink(files.log.c_str());
  return true;
}

base::Result<bool> take_down(const std::string& directory, const std::string& name) {
  bool lived = false;
  if (access(directory.c_str(), F_OK) == 0) {
    if (auto state = live_state(directory, name)) {
      lived = true;
      WARREN_TRY(end_supervisor(*state));
    }
  }
  bool left = false;
  if (access(directory.c_str(), F_OK) == 0) {
    WARREN_TRY_ASSIGN(const Turn turn, Turn::take(directory));
    WARREN_TRY_ASSIGN(left, undo_leftovers(directory, name));
  }
  if (lived || left) return !lived;
  return base::make_error(base::ErrorKind::Unavailable, name + " is not up on this host",
                          "warren status lists what is");
}

Leftovers undo_killed(const std::string& directory) {
  Leftovers left;
  if (access(directory.c_str(), W_OK | X_OK) != 0) return left;
  auto turn = Turn::take(directory);
  if (!turn) {
    left.problems.push_back(turn.error().message);
    return left;
  }
  netns::remove_stale(directory);
  std::set<std::string> names = names_of(directory, kJournalSuffix);
  names.merge(names_of(directory, kLogSuffix));
  left.living = netns::list_runs(directory).value_or(std::vector<netns::RunStatus>{});
  for (const netns::RunStatus& run : left.living) names.erase(run.name);
  for (const std::string& name : names) {
    const LinkFiles files(directory, name);
    Leftovers::Killed killed{.name = name, .undone = {}};
    const base::Status undone =
        undo(files.journal, [&](const Deed& deed) { killed.undone.push_back(deed.remedy()); });
    const bool failed = !undone && undone.error().kind != base::ErrorKind::NotFound;
    if (failed) left.problems.push_back(name + ": " + undone.error().message);
    if (!failed && unlink(files.log.c_str()) == 0) killed.undone.push_back("rm " + files.log);
    if (!killed.undone.empty()) left.killed.push_back(std::move(killed));
  }
  return left;
}

}  // namespace warren::hostlink
