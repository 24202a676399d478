// `warren network stop|start|restart|set`: what can change of a network that is there.
#include <array>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.hpp"
#include "apps/warren/ask.hpp"
#include "apps/warren/cli.hpp"

namespace warren::app {
namespace {

base::Status turn(const Invocation& invocation, const std::string& name, const std::string& verb) {
  WARREN_TRY_ASSIGN(const auto network, daemon_of(invocation).switch_network(name, verb));
  if (invocation.json) {
    print_line(api::encode(network));
  } else if (network.stopped) {
    fmt::print("network {} is stopped\n", network.name);
  } else {
    fmt::print("network {} is served at {}\n", network.name, network.endpoint);
  }
  return {};
}

void add_turn(CLI::App& network, Invocation& invocation, const std::string& verb,
              const std::string& what) {
  CLI::App* command = network.add_subcommand(verb, what);
  auto name = std::make_shared<std::string>();
  command->add_option("NAME", *name, "the network")->required();
  command->footer("Example: warren network " + verb + " lab");
  command->callback(
      [&invocation, name, verb] { finish(invocation, turn(invocation, *name, verb)); });
}

base::Status set(const Invocation& invocation, const std::string& name,
                 const api::NetworkSet& request) {
  WARREN_TRY_ASSIGN(const auto network, daemon_of(invocation).set_network(name, request));
  if (invocation.json) {
    print_line(api::encode(network));
  } else {
    fmt::print("network {} is changed; sessions go on\n", network.name);
    for (const std::string& warning : network.warnings) {
      fmt::print(stderr, "warren: warning: {}\n", warning);
    }
    if (request.endpoint || request.dns) {
      fmt::print("  who joined hears of it by itself; a bundle of `peer export` stays as it was\n");
    }
  }
  return {};
}

/// Invalid when nothing is to change, or one thing both ways.
base::Status check_given(const CLI::App& command, const std::string& name,
                         std::span<CLI::Option* const> switches) {
  for (const CLI::Option* option : switches) {
    if (option->count() < 2) continue;
    return base::make_error(
        base::ErrorKind::Invalid,
        fmt::format("change network {}: {} is given more than once", name, option->get_name()),
        "give it once, as --NAME or as --no-NAME");
  }
  const auto options = command.get_options(
      [](const CLI::Option* option) { return option->count() > 0 && !option->get_positional(); });
  if (!options.empty()) return {};
  return base::make_error(base::ErrorKind::Invalid,
                          "change network " + name + ": it is not said what is to change",
                          "warren network set --help shows what can");
}

/// Options as given: absent, or a value ("none" empties a list).
struct Given {
  std::string name, endpoint, subnet, subnet6, default_role;
  std::uint32_t max_members = 0;
  std::uint32_t max_devices = 0;
  std::vector<std::string> dns, reserve, gateway_addresses, forwarders;
  std::uint16_t port = 0;
  bool nat = false;
  bool host_access = false;
  bool names = false;
};

std::vector<std::string> list_of(const std::vector<std::string>& words) {
  return words == std::vector<std::string>{"none"} ? std::vector<std::string>{} : words;
}

void add_set(CLI::App& network, Invocation& invocation) {
  auto given = std::make_shared<Given>();
  CLI::App* command =
      network.add_subcommand("set", "Change settings of a network; no session drops");
  command->add_option("NAME", given->name, "the network")->required();
  const auto words = [&](const char* option, std::vector<std::string>& into, const char* help) {
    return command->add_option(option, into, help)->allow_extra_args(false)->delimiter(',');
  };
  auto* endpoint =
      command->add_option("--endpoint", given->endpoint, "the host name or address members dial");
  auto* dns = words("--dns", given->dns, "name servers of the members, or none");
  auto* nat = command->add_flag("--nat,!--no-nat", given->nat, "a way out through this host");
  auto* host_access = command->add_flag("--host-access,!--no-host-access", given->host_access,
                                        "this host itself reaches the members, with --names by "
                                        "name");
  auto* names = command->add_flag("--names,!--no-names", given->names,
                                  "the gateway answers for the names of members and services");
  auto* forwarders = words("--forwarder", given->forwarders,
                           "name servers that are asked for all other names, or none: those of "
                           "this host");
  auto* reserve =
      words("--reserve", given->reserve, "ranges that are never handed out, or none: replaces all");
  auto* devices = command->add_option("--max-devices", given->max_devices,
                                      "how many devices one person may have; 0: no limit");
  auto* role = command->add_option("--default-role", given->default_role,
                                   "the role of whoever is given none");
  auto* members = command->add_option("--max-members", given->max_members,
                                      "how many members it may have; 0: as many as any");
  // What cannot change is taken as well, so that the refusal can tell why.
  auto* subnet = command->add_option("--subnet", given->subnet)->group("");
  auto* subnet6 = command->add_option("--subnet6", given->subnet6)->group("");
  auto* port = command->add_option("--port", given->port)->group("");
  auto* gateway = words("--gateway-address", given->gateway_addresses, "")->group("");
  command->footer("Example: warren network set lab --endpoint vpn2.example.org --no-nat");
  command->callback([=, &invocation] {
    if (const auto good = check_given(*command, given->name, std::array{nat, host_access, names});
        !good) {
      return finish(invocation, good);
    }
    api::NetworkSet request;
    if (endpoint->count() > 0) request.endpoint = given->endpoint;
    if (dns->count() > 0) request.dns = list_of(given->dns);
    if (nat->count() > 0) request.nat = given->nat;
    if (host_access->count() > 0) request.host_access = given->host_access;
    if (names->count() > 0) request.names = given->names;
    if (forwarders->count() > 0) request.forwarders = list_of(given->forwarders);
    if (reserve->count() > 0) request.reserve = list_of(given->reserve);
    if (role->count() > 0) request.default_role = given->default_role;
    if (members->count() > 0) request.max_members = given->max_members;
    if (devices->count() > 0) request.max_devices = given->max_devices;
    if (subnet->count() > 0) request.subnet = given->subnet;
    if (subnet6->count() > 0) request.subnet6 = given->subnet6;
    if (port->count() > 0) request.port = given->port;
    if (gateway->count() > 0) request.gateway_addresses = given->gateway_addresses;
    finish(invocation, set(invocation, given->name, request));
  });
}

}  // namespace

void add_network_change_commands(CLI::App& network, Invocation& invocation) {
  add_turn(network, invocation, "stop",
           "Serve a network no more, until it is started; its keys, addresses and port stay");
  add_turn(network, invocation, "start", "Serve a stopped network again");
  add_turn(network, invocation, "restart", "End the engine of a network and start a new one");
  add_set(network, invocation);
}

}  // namespace warren::app
