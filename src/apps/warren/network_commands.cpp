#include <algorithm>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.hpp"
#include "apps/warren/ask.hpp"
#include "apps/warren/cli.hpp"
#include "apps/warren/text.hpp"
#include "model/conf_key.hpp"

namespace warren::app {
namespace {

std::string described(const api::NetworkView& network) {
  return describe({{"name", network.name},
                   {"subnet", network.subnet},
                   {"subnet6", network.subnet6},
                   {"gateway", network.gateway},
                   {"gateway6", network.gateway6},
                   {"endpoint", network.endpoint},
                   {"listens on", join_words(network.listen)},
                   {"public key", network.public_key},
                   {"dns", join_words(network.dns)},
                   {"names", network.names ? "NAME." + network.name + ".internal" : "no"},
                   {"forwarders", join_words(network.forwarders)},
                   {"nat", network.nat ? "yes" : "no"},
                   {"attached to", network.attach},
                   {"host access", network.host_access ? "yes" : "no"},
                   {"namespace", network.netns},
                   {"interface", network.interface_name},
                   {"reserved", join_words(network.reserved)},
                   {"roles", join_words(network.roles)},
                   {"default role", network.default_role},
                   {"devices", network.max_devices == 0
                                   ? std::string()
                                   : fmt::format("{} for each person", network.max_devices)},
                   {"policy", network.policy ? "yes; see `warren policy show`" : "none"},
                   {"engine", network.stopped ? "stopped by `network stop`" : network.engine},
                   {"features", network.engine_report ? network.engine_report->features : ""},
                   {"peers", fmt::format("{} ({} connected)", network.peers, network.connected)},
                   {"created", moment(network.created)}});
}

base::Status create(const Invocation& invocation, const api::NetworkCreate& request) {
  WARREN_TRY_ASSIGN(const auto network, daemon_of(invocation).create_network(request));
  if (invocation.json) {
    print_line(api::encode(network));
    return {};
  }
  fmt::print("network {} is served at {}\n", network.name, network.endpoint);
  fmt::print("  IPv4: {}\n",
             network.subnet.empty() ? "none; give --subnet to have one" : network.subnet);
  fmt::print("  IPv6: {}\n", network.subnet6.empty() ? "none" : network.subnet6);
  for (const std::string& warning : network.warnings) {
    fmt::print(stderr, "warren: warning: {}\n", warning);
  }
  fmt::print("  invite somebody: warren invite NAME --network {}\n", network.name);
  return {};
}

base::Status list(const Invocation& invocation) {
  WARREN_TRY_ASSIGN(const auto list, daemon_of(invocation).list_networks());
  if (invocation.json) {
    print_line(api::encode(list));
    return {};
  }
  Table table({"NAME", "SUBNET", "SUBNET6", "ENDPOINT", "PEERS", "CONNECTED", "ENGINE"});
  for (const api::NetworkView& network : list.networks) {
    table.add({network.name, network.subnet, network.subnet6, network.endpoint,
               std::to_string(network.peers), std::to_string(network.connected), network.engine});
  }
  table.print();
  return {};
}

base::Status show(const Invocation& invocation, const std::string& name) {
  WARREN_TRY_ASSIGN(const auto network, daemon_of(invocation).show_network(name));
  if (invocation.json) {
    print_line(api::encode(network));
  } else {
    fmt::print("{}", described(network));
    for (const std::string& warning : network.warnings) {
      fmt::print(stderr, "warren: warning: {}\n", warning);
    }
  }
  return {};
}

base::Status remove(const Invocation& invocation, const std::string& name, bool yes) {
  if (!confirmed("Delete the network " + name + " with all its peers?", yes)) {
    return base::make_error(base::ErrorKind::Failed, "nothing was deleted");
  }
  WARREN_TRY(daemon_of(invocation).delete_network(name));
  if (invocation.json) {
    print_line(api::encode(api::Empty{}));
  } else {
    fmt::print("network {} is deleted\n", name);
  }
  return {};
}

/// "NAME=RANGE", "NAME"; a second one of a name is its range of the other family.
void add_role(const std::string& text, std::vector<api::RoleAdd>& roles) {
  const std::size_t equals = text.find('=');
  const std::string name = text.substr(0, equals);
  auto role = std::ranges::find(roles, name, &api::RoleAdd::name);
  if (role == roles.end()) role = roles.insert(roles.end(), api::RoleAdd{.name = name});
  if (equals == std::string::npos) return;
  const std::string range = text.substr(equals + 1);
  (range.find(':') == std::string::npos ? role->range : role->range6) = range;
}

void add_create(CLI::App& network, Invocation& invocation) {
  struct Given {
    api::NetworkCreate request;
    std::string subnet, subnet6, endpoint, default_role, attach;
    bool host_access = false;
    std::vector<std::string> listen;
    std::vector<std::string> roles;
    std::uint32_t max_members = 0;
    std::uint32_t max_devices = 0;
    std::vector<std::string> forwarders;
    std::uint16_t port = 0;
    bool names = false;
    bool no_nat = false;
    std::string ca_certificate, ca_key;
  };
  auto given = std::make_shared<Given>();
  CLI::App* command = network.add_subcommand("create", "Make a network and start to serve it");
  command->add_option("NAME", given->request.name, "a letter, then letters, digits or -; up to 15")
      ->required();
  auto* subnet = command->add_option(
      "--subnet", given->subnet, "IPv4 prefix: 10.20.0.0/24; without it the network has no IPv4");
  auto* subnet6 = command->add_option("--subnet6", given->subnet6,
                                      "IPv6 prefix, or none; a random private /64 by default");
  auto* port = command
                   ->add_option("--port", given->port,
                                "UDP port; the first free one of the settings' range by default")
                   ->check(CLI::Range(1, 65535));
  auto* endpoint =
      command->add_option("--endpoint", given->endpoint, "the host name or address members dial");
  command->add_option("--dns", given->request.dns, "name server of the members; may be repeated")
      ->allow_extra_args(false)
      ->delimiter(',');
  const auto words = [&](const char* option, std::vector<std::string>& into, const char* help) {
    command->add_option(option, into, help)->allow_extra_args(false)->delimiter(',');
  };
  words("--listen", given->listen,
        "address of this host that the UDP port is bound to, one per family; all by default");
  words("--gateway-address", given->request.gateway_addresses,
        "the gateway's own address, one per family; the first of the subnet by default");
  words("--reserve", given->request.reserve,
        "range never handed out: 10.20.0.10-10.20.0.19, 10.20.0.16/28; may be repeated");
  words("--role", given->roles,
        "a role and its addresses: node=10.20.1.0/24; may be repeated; see `warren role`");
  auto* default_role = command->add_option("--default-role", given->default_role,
                                           "the role of whoever is given none; member by default");
  auto* max_members =
      command->add_option("--max-members", given->max_members, "how many members it may have");
  auto* max_devices = command->add_option("--max-devices", given->max_devices,
                                          "how many devices one person may have in it; see "
                                          "--person of `invite` and `peer add`");
  command->add_flag("--names", given->names,
                    "the gateway answers for the names of members and services (needs dnsmasq)");
  words("--forwarder", given->forwarders,
        "name server that is asked for all other names; those of this host by default");
  command->add_option("--ca-cert", given->ca_certificate,
                      "bring an authority: a file with its certificate, then its chain (PEM)");
  command->add_option("--ca-key", given->ca_key, "a file with its key (PEM); - is standard input");
  command->add_flag("--no-nat", given->no_nat, "no way out of the network through this host");
  auto* attach = command->add_option(
      "--attach", given->attach,
      "a bridge or interface of this host: members are part of its segment and its subnet");
  auto* host_access =
      command->add_flag("--host-access", given->host_access,
                        "this host itself reaches the members, with --names by name");
  command->footer(
      "Example: warren network create lab --subnet 10.20.0.0/24 --endpoint vpn.example.org");
  command->callback([=, &invocation] {
    api::NetworkCreate& request = given->request;
    if (attach->count() > 0) request.attach = given->attach;
    if (host_access->count() > 0) request.host_access = given->host_access;
    if (subnet->count() > 0) request.subnet = given->subnet;
    if (subnet6->count() > 0) request.subnet6 = given->subnet6;
    if (port->count() > 0) request.port = given->port;
    if (endpoint->count() > 0) request.endpoint = given->endpoint;
    if (default_role->count() > 0) request.default_role = given->default_role;
    if (!given->listen.empty()) request.listen = given->listen;
    if (max_members->count() > 0) request.max_members = given->max_members;
    if (max_devices->count() > 0) request.max_devices = given->max_devices;
    for (const std::string& role : given->roles) add_role(role, request.roles);
    if (given->names) request.names = true;
    if (!given->forwarders.empty()) request.forwarders = given->forwarders;
    request.nat = !given->no_nat;
    const base::Status read = read_authority(given->ca_certificate, given->ca_key,
                                             request.ca_certificates, request.ca_key);
    finish(invocation, read ? create(invocation, request) : read);
    if (request.ca_key) model::wipe_text(*request.ca_key);
  });
}

}  // namespace

void add_network_commands(CLI::App& app, Invocation& invocation) {
  CLI::App* network = app.add_subcommand("network", "Make, show, change and delete networks");
  network->require_subcommand(1);
  network->footer("Example: warren network list");
  add_create(*network, invocation);
  add_network_change_commands(*network, invocation);
  add_network_inside_commands(*network, invocation);

  CLI::App* list_command = network->add_subcommand("list", "List the networks of this gateway");
  list_command->alias("ls");
  list_command->footer("Example: warren network list --json");
  list_command->callback([&invocation] { finish(invocation, list(invocation)); });

  CLI::App* show_command = network->add_subcommand("show", "Show one network");
  auto shown = std::make_shared<std::string>();
  show_command->add_option("NAME", *shown, "the network")->required();
  show_command->footer("Example: warren network show lab");
  show_command->callback([&invocation, shown] { finish(invocation, show(invocation, *shown)); });

  struct Doomed {
    std::string name;
    bool yes = false;
  };
  auto doomed = std::make_shared<Doomed>();
  CLI::App* delete_command =
      network->add_subcommand("delete", "Delete a network with its peers, and every trace of it");
  delete_command->alias("rm");
  delete_command->add_option("NAME", doomed->name, "the network")->required();
  delete_command->add_flag("-y,--yes", doomed->yes, "do not ask (only a terminal is asked)");
  delete_command->footer("Example: warren network delete lab");
  delete_command->callback(
      [&invocation, doomed] { finish(invocation, remove(invocation, doomed->name, doomed->yes)); });
}

}  // namespace warren::app
