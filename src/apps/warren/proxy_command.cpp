// `warren proxy PROFILE [-- COMMAND]`: the weaker way, where namespaces are forbidden.
#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iterator>
#include <memory>

#include "apps/warren/cli.hpp"
#include "apps/warren/directories.hpp"
#include "apps/warren/run_config.hpp"
#include "netns/proxy.hpp"

namespace warren::app {

namespace {

using base::ErrorKind;
using base::make_error;

struct ProxyArguments {
  RunArguments run;
  std::string listen = "127.0.0.1:0";
};

base::Result<base::Endpoint> parse_listen(const std::string& text) {
  const auto endpoint = base::Endpoint::parse(text);
  if (!endpoint) {
    return make_error(ErrorKind::Invalid, "--listen: `" + text + "` is not ADDRESS:PORT",
                      "for example 127.0.0.1:1080 or [::1]:0");
  }
  if (endpoint->address.is_loopback()) return *endpoint;
  return make_error(ErrorKind::NotPermitted,
                    "--listen " + text + ": the password would cross the network unencrypted",
                    "listen on 127.0.0.1 or ::1; other machines join the network themselves, or "
                    "come through ssh -L");
}

base::Result<netns::ProxyConfig> make_proxy_config(const ProxyArguments& arguments) {
  netns::ProxyConfig config;
  WARREN_TRY_ASSIGN(config.listen, parse_listen(arguments.listen));
  if (arguments.run.profile.find("://") != std::string::npos) {
    return make_error(ErrorKind::Invalid, "warren proxy takes WireGuard profiles only",
                      "join the server's network from a machine where `warren run` works");
  }
  WARREN_TRY_ASSIGN(config.run, make_run_config(arguments.run));
  // The command is on the host: it keeps the host's environment.
  config.run.environment.clear();
  for (char** entry = environ; *entry != nullptr; ++entry) {
    config.run.environment.emplace_back(*entry);
  }
  config.variables = config.run.services;
  std::ranges::copy(arguments.run.variables, std::back_inserter(config.variables));
  WARREN_TRY_ASSIGN(config.stack_program, netns::stack_program());
  return config;
}

void say_what_it_is(const netns::RunConfig& run) {
  fmt::print(stderr,
             "warren: proxy: weaker than `warren run`: only programs that honour the proxy "
             "variables are inside; others, and other UDP and DNS, use this host's network\n");
  if (!run.dns_servers.empty()) return;
  fmt::print(stderr, "warren: proxy: {} names no DNS server: names are refused, addresses work\n",
             run.profile);
}

int proxy_it(const Invocation& invocation, const ProxyArguments& arguments) {
  auto config = make_proxy_config(arguments);
  if (!config) {
    report(invocation, config.error());
    return kRunFailed;
  }
  config->run.shared_keys = shared_key_directory(invocation);
  say_what_it_is(config->run);
  if (config->run.argv.empty()) {
    config->on_serving = [](const netns::ProxyUrls& urls) {
      fmt::print("{}\n{}\n", urls.socks, urls.http);
      std::fflush(stdout);
    };
  }
  const netns::RunEnd end = netns::run_proxy(std::move(*config));
  if (end.why) report(invocation, *end.why);
  return end.exit_code;
}

void add_options(CLI::App& proxy, ProxyArguments& arguments) {
  RunArguments& run = arguments.run;
  proxy
      .add_option("--listen", arguments.listen,
                  "ADDRESS:PORT of this machine's loopback; port 0: any free one")
      ->capture_default_str();
  proxy.add_option("--name", run.name, "Name in `warren ps` (default: the profile's)");
  proxy.add_option("-e,--env", run.variables, "NAME=VALUE to set for the program; may be repeated")
      ->allow_extra_args(false)
      ->check(check_variable);
  proxy
      .add_option("--wait-ready", run.wait_ready,
                  "Serve once the tunnel carries an echo; wait at most 10s, 2m, …")
      ->check([](const std::string& text) {
        return parse_wait_s(text) ? std::string()
                                  : "`" + text + "` is not a time span from 1s to 1h (10s, 2m)";
      });
  proxy
      .add_option("--dns", run.dns,
                  "Name server instead of the profile's, or none; may be repeated")
      ->allow_extra_args(false);
  proxy
      .add_option("--dns-search", run.dns_search,
                  "Search domain instead of the profile's; may be repeated")
      ->allow_extra_args(false);
  proxy
      .add_option("--routes", run.routes,
                  "all: everything goes to the one peer; server: what the profile's AllowedIPs "
                  "say (the default); the rest is refused")
      ->check(CLI::IsMember({"all", "server"}));
  proxy
      .add_option("--preserve-fds", run.preserve_fds,
                  "Pass this many descriptors from 3 on; without it only the standard streams")
      ->check(CLI::Range(0U, 1000U));
}

}  // namespace

void add_proxy_command(CLI::App& app, Invocation& invocation) {
  const auto arguments = std::make_shared<ProxyArguments>();
  CLI::App* proxy = app.add_subcommand(
      "proxy", "Where `warren run` is forbidden: a SOCKS5 and HTTP proxy into a WireGuard network");
  proxy
      ->add_option("PROFILE", arguments->run.profile,
                   "A profile's name (~/.config/warren/NAME.conf) or a WireGuard conf file")
      ->required();
  proxy->add_option("COMMAND", arguments->run.command,
                    "The program and its arguments, after --; without it the proxy's addresses "
                    "are printed and it serves until Ctrl-C");
  add_options(*proxy, *arguments);
  proxy->footer(
      "Usage: warren proxy [OPTIONS] PROFILE [-- COMMAND [ARGUMENT...]]\n"
      "Weaker than `warren run`: only programs that honour ALL_PROXY, HTTP_PROXY, HTTPS_PROXY are "
      "inside.\n"
      "Exit code: the program's; 125 warren failed, 126 it cannot be executed, 127 not found.\n"
      "Example: warren proxy lab -- curl http://10.20.0.1/");
  proxy->callback([&invocation, arguments] {
    std::vector<std::string>& command = arguments->run.command;
    command.insert(command.end(), invocation.command.begin(), invocation.command.end());
    invocation.exit_code = proxy_it(invocation, *arguments);
  });
}

}  // namespace warren::app
