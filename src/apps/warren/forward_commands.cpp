// `warren forward`: ports of the gateway's public addresses that lead to members.
#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.hpp"
#include "apps/warren/ask.hpp"
#include "apps/warren/cli.hpp"
#include "apps/warren/text.hpp"
#include "base/bytes.hpp"
#include "hostnet/port_owner.hpp"
#include "model/forward.hpp"

namespace warren::app {
namespace {

base::Result<model::PublicPort> parse_port(const std::string& text) {
  if (const auto port = model::PublicPort::parse(text)) return *port;
  return base::make_error(base::ErrorKind::Invalid, "\"" + text + "\" is no public port",
                          "write it like 8080/tcp or 53/udp");
}

/// "PEER" or "PEER:PORT".
base::Status parse_target(const std::string& text, api::ForwardAdd& request) {
  const std::size_t colon = text.find(':');
  request.peer = text.substr(0, colon);
  if (colon == std::string::npos) return {};
  const auto port = base::parse_number(std::string_view(text).substr(colon + 1), 1, 65535);
  if (!port) {
    return base::make_error(base::ErrorKind::Invalid, "\"" + text + "\" names no port of a peer",
                            "write it like laptop:80");
  }
  request.to_port = static_cast<std::uint16_t>(*port);
  return {};
}

/// Where others find it: as its network's endpoint is named, and each address.
std::string public_of(const api::ForwardView& forward) {
  std::string out = forward.public_address;
  for (const std::string& address : forward.public_addresses)
    if (address != forward.public_address) out += ", " + address;
  return out;
}

std::string target(const api::ForwardView& forward) {
  return fmt::format("{}:{}", forward.peer, forward.to_port);
}

/// The daemon may not look into other processes; an administrator on its host may.
base::Error with_owner(const client::Daemon& daemon, base::Error refusal, const std::string& from) {
  if (daemon.is_remote()) return refusal;
  const auto port = model::PublicPort::parse(from);
  if (refusal.kind != base::ErrorKind::Conflict || !port) return refusal;
  const base::Status listening = hostnet::check_listening(*port);
  if (listening || refusal.message.find("a program of uid") == std::string::npos) return refusal;
  refusal.hint = listening.error().message + "; choose another port";
  return refusal;
}

/// A forward opens nothing that the network's policy denies.
void warn_of_policy(const client::Daemon& daemon, const api::ForwardView& forward) {
  const auto port = model::PublicPort::parse(forward.from);
  if (!port) return;
  const std::string_view protocol = model::to_string(port->protocol);
  const auto answer = daemon.test_policy(forward.network,
                                         {.from = "internet",
                                          .to = "peer:" + forward.peer,
                                          .port = fmt::format("{}/{}", protocol, forward.to_port)});
  if (!answer || answer->allowed) return;
  fmt::print(stderr,
             "warren: warning: the policy of network {} lets nobody through it; the rule would be\n"
             "  - internet -> {}: {} {}\n",
             forward.network, forward.peer, protocol, forward.to_port);
}

base::Status add(const Invocation& invocation, const std::string& network, const std::string& from,
                 const std::string& to) {
  WARREN_TRY(parse_port(from));
  api::ForwardAdd request{.from = from, .peer = "", .to_port = std::nullopt};
  WARREN_TRY(parse_target(to, request));
  const client::Daemon daemon = daemon_of(invocation);
  WARREN_TRY_ASSIGN(const std::string chosen, pick_network(daemon, network));
  auto added = daemon.add_forward(chosen, request);
  if (!added) return with_owner(daemon, std::move(added).error(), from);
  const api::ForwardView& forward = *added;
  warn_of_policy(daemon, forward);
  if (invocation.json) {
    print_line(api::encode(forward));
  } else {
    fmt::print("{} ({}) leads to {} in network {}\n", forward.from, public_of(forward),
               target(forward), forward.network);
  }
  return {};
}

base::Status list(const Invocation& invocation) {
  WARREN_TRY_ASSIGN(const auto list, daemon_of(invocation).list_forwards());
  if (invocation.json) {
    print_line(api::encode(list));
    return {};
  }
  Table table({"PORT", "NETWORK", "TO", "ADDRESS", "ADDRESS6", "PUBLIC"});
  for (const api::ForwardView& forward : list.forwards) {
    table.add({forward.from, forward.network, target(forward), forward.address, forward.address6,
               public_of(forward)});
  }
  table.print();
  return {};
}

base::Status remove(const Invocation& invocation, const std::string& from) {
  WARREN_TRY_ASSIGN(const model::PublicPort port, parse_port(from));
  WARREN_TRY(daemon_of(invocation)
                 .delete_forward(std::string(model::to_string(port.protocol)), port.port));
  if (invocation.json) {
    print_line(api::encode(api::Empty{}));
  } else {
    fmt::print("the forward of {} is deleted, its connections are cut\n", port.to_string());
  }
  return {};
}

void add_add(CLI::App& forward, Invocation& invocation) {
  struct Given {
    std::string from, to, network;
  };
  auto given = std::make_shared<Given>();
  CLI::App* command =
      forward.add_subcommand("add", "Let a public port of this gateway lead to a member");
  command->add_option("PORT", given->from, "8080/tcp, 53/udp; tcp when left out")->required();
  command->add_option("PEER", given->to, "the member, as laptop or laptop:80")->required();
  command->add_option("--network", given->network, "the network; may be left out if there is one");
  command->footer("Example: warren forward add 8080/tcp laptop:80 --network lab");
  command->callback([&invocation, given] {
    finish(invocation, add(invocation, given->network, given->from, given->to));
  });
}

}  // namespace

void add_forward_commands(CLI::App& app, Invocation& invocation) {
  CLI::App* forward =
      app.add_subcommand("forward", "Ports of this gateway that lead to members of its networks");
  forward->require_subcommand(1);
  forward->footer("Example: warren forward list");
  add_add(*forward, invocation);

  CLI::App* list_command = forward->add_subcommand("list", "List the forwards of this gateway");
  list_command->alias("ls");
  list_command->footer("Example: warren forward list --json");
  list_command->callback([&invocation] { finish(invocation, list(invocation)); });

  auto doomed = std::make_shared<std::string>();
  CLI::App* delete_command =
      forward->add_subcommand("delete", "Delete a forward and cut its connections");
  delete_command->alias("rm");
  delete_command->add_option("PORT", *doomed, "8080/tcp")->required();
  delete_command->footer("Example: warren forward delete 8080/tcp");
  delete_command->callback(
      [&invocation, doomed] { finish(invocation, remove(invocation, *doomed)); });
}

}  // namespace warren::app
