// `warren daemon`: the gateway with its listeners; `warren config check`: its settings, dry.
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include "apps/warren/cli.hpp"
#include "apps/warren/directories.hpp"
#include "gateway/daemon.hpp"
#include "gateway/engine_supervisor.hpp"
#include "gateway/settings.hpp"
#include "os/clock.hpp"
#include "os/own_place.hpp"
#include "pki/identity.hpp"
#include "server/server.hpp"
#include "store_sqlite/sqlite_store.hpp"

namespace warren::app {

namespace {

/// The enrolment listener's certificate is renewed every month; this covers a daemon whose clock
/// or whose renewal was off for a year.
constexpr int kCertificateDays = 397;

struct DaemonArguments {
  std::string config = gateway::kDefaultSettingsFile;
  std::string log_level;
  std::string endpoint;
  std::string enrol_listen;
  std::string admin_listen;
  bool rootless = false;
};

gateway::DaemonOptions daemon_options(const Invocation& invocation,
                                      const DaemonArguments& arguments) {
  gateway::DaemonOptions options;
  options.settings_file = arguments.config;
  options.state_dir = invocation.state_dir;
  options.run_dir = invocation.run_dir;
  if (!arguments.log_level.empty())
    options.log_level = gateway::parse_log_level(arguments.log_level);
  else if (invocation.verbose)
    options.log_level = base::LogLevel::Debug;
  if (!arguments.endpoint.empty()) options.endpoint = arguments.endpoint;
  if (!arguments.enrol_listen.empty()) options.enrol_listen = arguments.enrol_listen;
  if (!arguments.admin_listen.empty()) options.admin_listen = arguments.admin_listen;
  return options;
}

server::Options server_options(const Invocation& invocation, gateway::Daemon& daemon) {
  server::Options options;
  options.socket_path = invocation.socket_path();
  options.enrol_listen = daemon.settings().enrol_listen;
  options.admin_listen = daemon.settings().admin_listen;
  options.identity_key_pem = daemon.identity().private_key_pem;
  options.make_certificate = [&daemon] {
    return pki::self_signed_certificate(daemon.identity(), os::wall_now(), kCertificateDays);
  };
  options.reload = [&daemon]() -> base::Result<api::Reloaded> {
    WARREN_TRY_ASSIGN(std::vector<std::string> at_next_start, daemon.reload());
    return api::Reloaded{std::move(at_next_start)};
  };
  return options;
}

/// Before the first thread.
base::Status enter_without_root(Invocation& invocation) {
  WARREN_TRY(take_user_directories(invocation));
  // Found now: seen from other mounts the kernel no longer tells where this program is.
  WARREN_TRY_ASSIGN(const std::string engine, gateway::find_engine_program());
  ::setenv("WARREN_ENGINE", engine.c_str(), 1);
  return os::make_or_enter_own_place(invocation.run_dir);
}

base::Result<std::unique_ptr<server::Server>> open_server(boost::asio::io_context& io,
                                                          const Invocation& invocation,
                                                          gateway::Daemon& daemon) {
  WARREN_TRY(daemon.start());
  return server::Server::create(io, daemon.control(), daemon.log(),
                                server_options(invocation, daemon));
}

base::Status run_daemon(const Invocation& invocation, const DaemonArguments& arguments) {
  boost::asio::io_context io(1);
  WARREN_TRY_ASSIGN(
      const std::unique_ptr<gateway::Daemon> daemon,
      gateway::Daemon::create(io, daemon_options(invocation, arguments), store_sqlite::open));
  const auto server = open_server(io, invocation, *daemon);
  if (!server) {
    daemon->abandon();
    return server.error();
  }
  if ((*server)->enrol_port() != 0) daemon->set_enrol_port((*server)->enrol_port());
  if ((*server)->admin_port() != 0) daemon->set_admin_port((*server)->admin_port());
  daemon->run();
  return {};
}

void check_settings(Invocation& invocation, const std::string& file) {
  const gateway::LoadedSettings loaded = gateway::read_settings(file);
  invocation.exit_code = loaded.problems.empty() ? kDone : kFailed;
  if (invocation.json) {
    nlohmann::json document = {{"schema", 1},
                               {"ok", loaded.problems.empty()},
                               {"files", loaded.files},
                               {"problems", nlohmann::json::array()}};
    for (const gateway::SettingsProblem& problem : loaded.problems)
      document["problems"].push_back({{"file", problem.file},
                                      {"line", problem.line},
                                      {"column", problem.column},
                                      {"message", problem.message}});
    std::cout << document.dump() << "\n";
    return;
  }
  for (const gateway::SettingsProblem& problem : loaded.problems)
    std::cerr << problem.to_string() << "\n";
  if (!loaded.problems.empty()) return;
  std::cout << "OK";
  for (const std::string& read : loaded.files) std::cout << " " << read;
  std::cout << (loaded.files.empty() ? " (no settings file: defaults)\n" : "\n");
}

void add_daemon(CLI::App& app, Invocation& invocation) {
  auto* const daemon = app.add_subcommand("daemon", "Serve networks: the gateway");
  const auto arguments = std::make_shared<DaemonArguments>();
  daemon->add_option("--config", arguments->config, "The settings file")->capture_default_str();
  daemon->add_option("--log-level", arguments->log_level, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
  daemon->add_option("--endpoint", arguments->endpoint,
                     "Name or address that members dial (default: the default route's address)");
  daemon->add_option("--enrol-listen", arguments->enrol_listen,
                     "ADDRESS:PORT of the enrolment listener");
  daemon->add_option("--admin-listen", arguments->admin_listen,
                     "ADDRESS:PORT for administrators from elsewhere (default: none)");
  daemon->add_flag("--rootless", arguments->rootless,
                   "Serve without root, in namespaces of this user's own: networks have no way "
                   "out through this host (--no-nat) and no forwards");
  daemon->add_flag_callback("--foreground", [] {}, "Stay in the foreground (it always does)");
  daemon->footer("Example: warren daemon --endpoint vpn.example.org --log-level debug");
  daemon->callback([&invocation, arguments] {
    if (auto entered = arguments->rootless ? enter_without_root(invocation) : base::Status();
        !entered) {
      invocation.exit_code =
          report(invocation, std::move(entered).error().within("run the daemon without root"));
      return;
    }
    if (auto ran = run_daemon(invocation, *arguments); !ran)
      invocation.exit_code = report(invocation, ran.error());
  });
}

void add_config(CLI::App& app, Invocation& invocation) {
  auto* const config = app.add_subcommand("config", "The daemon's settings");
  config->require_subcommand(1);
  config->footer("Example: warren config check");
  auto* const check = config->add_subcommand("check", "Read the settings and tell every problem");
  const auto file = std::make_shared<std::string>(gateway::kDefaultSettingsFile);
  check->add_option("FILE", *file, "The settings file; conf.d beside it is read too")
      ->capture_default_str();
  check->footer("Example: warren config check /etc/warren/warren.yaml");
  check->callback([&invocation, file] { check_settings(invocation, *file); });
}

}  // namespace

void add_daemon_command(CLI::App& app, Invocation& invocation) {
  add_daemon(app, invocation);
  add_config(app, invocation);
}

}  // namespace warren::app
