#include "gateway/cleanup.hpp"

#include <filesystem>

#include "gateway/engine_record.hpp"
#include "gateway/state_directory.hpp"
#include "hostnet/host_net.hpp"
#include "plan/host.hpp"
#include "services/name_server.hpp"

namespace warren::gateway {

using base::ErrorKind;

namespace {

namespace fs = std::filesystem;

void end_engines(const std::string& run_dir, CleanupReport& report) {
  for (const auto& [id, ended] : end_all_recorded(run_dir, recorded_networks(run_dir))) {
    if (!ended)
      report.problems.push_back(ended.error().message);
    else
      report.removed.push_back(*ended ? "engine " + id.interface_name()
                                      : "files of engine " + id.interface_name());
  }
}

void end_name_servers(const std::string& run_dir, CleanupReport& report) {
  for (const model::NetworkId id : services::recorded_name_servers(run_dir)) {
    const auto ended = services::end_recorded_name_server(run_dir, id);
    if (!ended)
      report.problems.push_back(ended.error().message);
    else
      report.removed.push_back((*ended ? "name server of " : "files of the name server of ") +
                               id.interface_name());
  }
}

void remove_host_objects(const StateDirectory& state, CleanupReport& report) {
  const auto instance = state.existing_instance();
  if (!instance) {
    report.problems.push_back(instance.error().message);
    return;
  }
  if (!*instance) return;
  auto host = hostnet::HostNet::open({.instance = **instance, .state_file = state.host_records()});
  if (!host) {
    report.problems.push_back(host.error().message);
    return;
  }
  const auto steps = plan::reconcile(
      **host, {}, [&report](const std::string& command) { report.removed.push_back(command); });
  if (!steps) report.problems.push_back(steps.error().message);
}

void remove_run_files(const std::string& run_dir, CleanupReport& report) {
  std::error_code error;
  if (fs::remove(run_dir + "/warren.sock", error))
    report.removed.push_back(run_dir + "/warren.sock");
  // Only when empty: what else is in there is not ours.
  for (const std::string& directory :
       {engine_directory(run_dir), services::name_server_directory(run_dir), run_dir})
    if (fs::is_directory(directory, error) && fs::is_empty(directory, error) &&
        fs::remove(directory, error))
      report.removed.push_back(directory);
}

}  // namespace

base::Result<CleanupReport> cleanup(const std::string& state_dir, const std::string& run_dir,
                                    base::Log& log) {
  CleanupReport report;
  auto state = StateDirectory::open_existing(state_dir);
  if (!state && state.error().kind == ErrorKind::Conflict) {
    base::Error error = std::move(state).error();
    error.hint = "end the daemon first (systemctl stop warren): " + error.hint;
    return std::move(error).within("clean up");
  }
  if (!state && state.error().kind != ErrorKind::NotFound)
    return std::move(state).error().within("clean up");
  end_engines(run_dir, report);
  end_name_servers(run_dir, report);
  if (state) remove_host_objects(*state, report);
  remove_run_files(run_dir, report);
  for (const std::string& problem : report.problems)
    log.write(base::LogLevel::Error, "gateway", problem);
  return report;
}

}  // namespace warren::gateway
