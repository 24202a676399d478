// `warren run PROFILE -- COMMAND`: its options.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/warren/cli.hpp"
#include "apps/warren/directories.hpp"
#include "apps/warren/run_config.hpp"
#include "apps/warren/run_detached.hpp"

namespace warren::app {

namespace {

using base::ErrorKind;
using base::make_error;

int run_it(const Invocation& invocation, const RunArguments& arguments) {
  auto config = make_run_config(arguments);
  if (!config) {
    report(invocation, config.error());
    return kRunFailed;
  }
  config->shared_keys = shared_key_directory(invocation);
  if (arguments.detach) {
    return run_detached(invocation, std::move(*config),
                        {.log = arguments.log, .pid_file = arguments.pid_file});
  }
  const netns::RunEnd end = netns::run(std::move(*config));
  if (end.why) report(invocation, *end.why);
  return end.exit_code;
}

void add_isolation_options(CLI::App& run, RunArguments& arguments) {
  run.add_option("--dns", arguments.dns,
                 "Name server instead of the profile's, or none; may be repeated")
      ->allow_extra_args(false);
  run.add_option("--dns-search", arguments.dns_search,
                 "Search domain instead of the profile's; may be repeated")
      ->allow_extra_args(false);
  run.add_flag("--weak-dns", arguments.weak_dns,
               "Go on where the run cannot have its own /etc: the host may change its names");
  run.add_option("--keep", arguments.kept,
                 "Path below /run or XDG_RUNTIME_DIR that stays visible; may be repeated")
      ->allow_extra_args(false);
  run.add_flag("--private-tmp", arguments.private_tmp, "An empty /tmp and /var/tmp of its own");
  run.add_option("--preserve-fds", arguments.preserve_fds,
                 "Pass this many descriptors from 3 on; without it only the standard streams")
      ->check(CLI::Range(0U, 1000U));
}

void add_network_options(CLI::App& run, RunArguments& arguments) {
  run.add_flag("--no-net", arguments.no_net,
               "Start without the tunnel; `warren attach RUN --start-net` or, inside, `warren net "
               "up` starts it");
  run.add_option(
         "--routes", arguments.routes,
         "all: everything goes to the one peer or server; server: what the profile's AllowedIPs "
         "or the AnyConnect server's lists say; the rest goes nowhere. Default: server with "
         "a profile, all with openconnect://")
      ->check(CLI::IsMember({"all", "server"}));
  run.add_option("--expose", arguments.exposed,
                 "[ADDRESS:]PORT:PORT[/tcp|udp]: a port of this machine's loopback that leads to "
                 "the program's; may be repeated")
      ->allow_extra_args(false);
  run.add_option("--allow", arguments.allowed,
                 "CIDR that may connect to a port exposed on another address; may be repeated")
      ->allow_extra_args(false);
  run.add_flag("--expose-public", arguments.expose_public,
               "Ports may be exposed on any address, to everybody");
}

void add_openconnect_options(CLI::App& run, OpenconnectArguments& arguments) {
  const std::string group = "AnyConnect servers (openconnect://HOST)";
  const auto add = [&](const char* name, std::string& value, const char* text) {
    run.add_option(name, value, text)->group(group);
  };
  add("--user", arguments.user, "Name to log in with");
  add("--password-file", arguments.password_file,
      "Holds the password in its first line; -: standard input; without it WARREN_PASSWORD, else "
      "the terminal is asked");
  add("--cert", arguments.cert, "The user's certificate, a PEM file");
  add("--key", arguments.key, "Its key, where that is another file");
  add("--cafile", arguments.cafile,
      "CA certificates that the server's must lead to, instead of this system's");
  add("--servercert", arguments.server_cert,
      "pin-sha256:…: the server's key is this one, whoever signed it");
  add("--group", arguments.group, "Group to choose, where the server offers several");
}

}  // namespace

void add_run_command(CLI::App& app, Invocation& invocation) {
  const auto arguments = std::make_shared<RunArguments>();
  CLI::App* run =
      app.add_subcommand("run", "Run a program whose only network is a private one; needs no root");
  run->add_option(
         "PROFILE", arguments->profile,
         "A profile's name (~/.config/warren/NAME.conf), a WireGuard conf file, a token or a file "
         "that holds one (the run joins and leaves with it), or an AnyConnect server: "
         "openconnect://[USER@]HOST[:PORT]")
      ->required();
  run->add_option("COMMAND", arguments->command, "The program and its arguments, after --");
  run->add_option("--name", arguments->name, "Name of the run (default: the profile's)");
  run->add_option("-e,--env", arguments->variables,
                  "NAME=VALUE to set for the program; may be repeated")
      ->allow_extra_args(false)
      ->check(check_variable);
  run->add_option("--wait-ready", arguments->wait_ready,
                  "Start the program once the tunnel carries an echo; wait at most 10s, 2m, …")
      ->check([](const std::string& text) {
        return parse_wait_s(text) ? std::string()
                                  : "`" + text + "` is not a time span from 1s to 1h (10s, 2m)";
      });
  add_network_options(*run, *arguments);
  add_isolation_options(*run, *arguments);
  add_openconnect_options(*run, arguments->openconnect);
  run->add_option("--certificate-dir", arguments->certificate_dir,
                  "With a token: keep a certificate of this member here while the run lives, as "
                  "member.crt, member.key and member.ca.crt");
  run->add_flag("--no-follow", arguments->no_follow,
                "Do not ask the gateway for changes of routes, name servers and endpoint");
  run->add_flag("--end-when-revoked", arguments->end_when_revoked,
                "End with code 125 when the gateway puts this member out; without it the program "
                "goes on, and its packets go nowhere");
  CLI::Option* detach = run->add_flag("-d,--detach", arguments->detach,
                                      "Return when the program runs; print the run's name");
  run->add_option("--log", arguments->log,
                  "Output of a detached run (default: ~/.local/state/warren/NAME.log)")
      ->needs(detach);
  run->add_option("--pid-file", arguments->pid_file, "Holds the process id of a detached run")
      ->needs(detach);
  run->footer(
      "Usage: warren run [OPTIONS] PROFILE [--] COMMAND [ARGUMENT...]\n"
      "Exit code: the program's; 125 warren failed, 126 it cannot be executed, 127 not found.\n"
      "Example: warren run lab -- ping -c 1 10.20.0.1");
  run->callback([&invocation, arguments] {
    std::vector<std::string>& command = arguments->command;
    command.insert(command.end(), invocation.command.begin(), invocation.command.end());
    if (!command.empty()) {
      invocation.exit_code = run_it(invocation, *arguments);
      return;
    }
    report(invocation, make_error(ErrorKind::Invalid, "warren run: there is no command to run",
                                  "name it after --, for example: warren run lab -- bash"));
    invocation.exit_code = kUsage;
  });
}

}  // namespace warren::app
