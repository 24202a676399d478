// `warren attach`: a second command inside a run. `warren net up`: what a run started with --no-net
// says from inside.
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <sstream>

#include "apps/warren/cli.hpp"
#include "apps/warren/run_config.hpp"
#include "apps/warren/text.hpp"
#include "netns/attach.hpp"
#include "netns/runs.hpp"

namespace warren::app {

namespace {

using base::ErrorKind;
using base::make_error;

struct AttachArguments {
  std::string run;
  std::vector<std::string> variables;
  std::vector<std::string> command;
  unsigned preserve_fds = 0;
  bool start_net = false;
};

/// As the run's own program was told them.
std::vector<std::string> services_of(const netns::RunState& run) {
  const auto told = run.find("services");
  std::istringstream words(told == run.end() ? std::string() : told->second);
  return {std::istream_iterator<std::string>(words), std::istream_iterator<std::string>()};
}

int attach_it(const Invocation& invocation, const AttachArguments& arguments) {
  const auto fail = [&](const base::Error& error) {
    const int code = report(invocation, error);
    return arguments.command.empty() ? code : static_cast<int>(kRunFailed);
  };
  const auto directory = netns::runtime_directory();
  if (!directory) return fail(directory.error());
  auto found = netns::find_run(*directory, arguments.run);
  if (!found) return fail(found.error());
  netns::RunState run = std::move(*found);
  if (arguments.start_net) {
    if (const base::Status started = netns::start_net(run["control"]); !started) {
      return fail(started.error());
    }
  }
  if (arguments.command.empty()) return kDone;
  const netns::RunEnd end = netns::attach(
      run, {.argv = arguments.command,
            .environment = run_environment(run["name"], services_of(run), arguments.variables),
            .preserve_fds = arguments.preserve_fds});
  if (end.why) report(invocation, *end.why);
  return end.exit_code;
}

int net_up(const Invocation& invocation) {
  base::Status started = netns::start_net(netns::kInsideSocket);
  if (started) return kDone;
  base::Error error = std::move(started).error();
  if (error.os_errno == ENOENT || error.os_errno == ECONNREFUSED) {
    error = make_error(ErrorKind::NotFound, "this is not the inside of a run",
                       "from outside: warren attach RUN --start-net");
  }
  return report(invocation, error);
}

}  // namespace

void add_attach_commands(CLI::App& app, Invocation& invocation) {
  const auto arguments = std::make_shared<AttachArguments>();
  CLI::App* attach =
      app.add_subcommand("attach", "Run another program in a run of yours that goes on");
  attach->add_option("RUN", arguments->run, "The run's name, or its profile's")->required();
  attach->add_option("COMMAND", arguments->command, "The program and its arguments, after --");
  attach
      ->add_option("-e,--env", arguments->variables,
                   "NAME=VALUE to set for the program; may be repeated")
      ->allow_extra_args(false)
      ->check(check_variable);
  attach->add_flag("--start-net", arguments->start_net,
                   "First start the tunnel of a run begun with --no-net");
  attach
      ->add_option("--preserve-fds", arguments->preserve_fds,
                   "Pass this many descriptors from 3 on; without it only the standard streams")
      ->check(CLI::Range(0U, 1000U));
  attach->footer(
      "Usage: warren attach [OPTIONS] RUN [--] COMMAND [ARGUMENT...]\n"
      "Exit code: the program's; 125 warren failed, 126 it cannot be executed, 127 not found.\n"
      "Example: warren attach lab -- bash");
  attach->callback([&invocation, arguments] {
    std::vector<std::string>& command = arguments->command;
    command.insert(command.end(), invocation.command.begin(), invocation.command.end());
    if (!command.empty() || arguments->start_net) {
      invocation.exit_code = attach_it(invocation, *arguments);
      return;
    }
    report(invocation, make_error(ErrorKind::Invalid, "warren attach: there is no command to run",
                                  "name it after --, for example: warren attach lab -- bash"));
    invocation.exit_code = kUsage;
  });

  CLI::App* net = app.add_subcommand("net", "The network of the run around this program");
  net->require_subcommand(1);
  CLI::App* up = net->add_subcommand("up", "Start the tunnel of this run, begun with --no-net");
  up->footer("Example: warren run --no-net lab -- sh -c 'prepare; warren net up; work'");
  up->callback([&invocation] { invocation.exit_code = net_up(invocation); });
}

}  // namespace warren::app
