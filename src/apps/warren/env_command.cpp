// `warren env`: the variables by which programs find the services of a network.
//
// A member reads them from its profile, which is kept current while it is in use; the gateway's
// host asks the daemon.
#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.hpp"
#include "apps/warren/ask.hpp"
#include "apps/warren/cli.hpp"
#include "client/profile.hpp"

namespace warren::app {
namespace {

/// Of the profile of this name; nullopt: there is none that `join` wrote.
base::Result<std::optional<api::Environment>> of_profile(const std::string& name) {
  const auto directory = client::profile_directory();
  if (!directory || !client::check_profile_name(name)) return std::nullopt;
  WARREN_TRY_ASSIGN(const auto note, client::read_note(*directory, name));
  if (!note) return std::nullopt;
  api::Environment out{.network = note->network, .variables = {}};
  for (const model::Variable& variable : note->environment) {
    out.variables.push_back({variable.name, variable.value});
  }
  return out;
}

base::Result<api::Environment> find_environment(const Invocation& invocation,
                                                const std::string& name) {
  const client::Daemon daemon = daemon_of(invocation);
  // Whoever names a gateway does not mean a profile of this host.
  const bool named = !invocation.remote.empty() && daemon.is_remote();
  if (!named) {
    WARREN_TRY_ASSIGN(auto own, of_profile(name));
    if (own) return std::move(*own);
  }
  auto served = daemon.environment(name);
  if (served || daemon.is_remote()) return served;
  base::Error error = std::move(served).error();
  if (error.kind == base::ErrorKind::Unavailable) {
    error.message = "there is no profile '" + name + "', and no daemon that serves it here";
    error.hint = "join the network first: warren join TOKEN; warren status lists the profiles";
  }
  return error;
}

base::Status show(const Invocation& invocation, const std::string& name) {
  WARREN_TRY_ASSIGN(const api::Environment environment, find_environment(invocation, name));
  if (invocation.json) {
    print_line(api::encode(environment));
    return {};
  }
  // Names and values are plain words (model::environment): no shell needs quotes around them.
  for (const api::EnvironmentVariable& variable : environment.variables) {
    fmt::print("{}={}\n", variable.name, variable.value);
  }
  return {};
}

}  // namespace

void add_env_command(CLI::App& app, Invocation& invocation) {
  CLI::App* command =
      app.add_subcommand("env", "Print the variables that tell programs of a network's services");
  auto name = std::make_shared<std::string>();
  command->add_option("NAME", *name, "a profile of yours, or a network of this gateway")
      ->required();
  command->footer(
      "`warren run` sets them by itself; what -e gives stands above them.\n"
      "Example: set -a; eval \"$(warren env lab)\"; set +a");
  command->callback([&invocation, name] { finish(invocation, show(invocation, *name)); });
}

}  // namespace warren::app
