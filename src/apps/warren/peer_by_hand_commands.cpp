// `peer add`, `peer set-key`, `peer rename`: members whose key is handed in.
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.hpp"
#include "apps/warren/ask.hpp"
#include "apps/warren/cli.hpp"
#include "apps/warren/text.hpp"

namespace warren::app {
namespace {

constexpr const char* kNetworkHelp = "the network; may be left out when there is only one";
constexpr std::size_t kMaxKeyLine = 256;

struct AddChoice {
  std::vector<std::string> names;  ///< [ROLE] NAME
  std::string network;
  std::string key;
  std::vector<std::string> addresses;
  std::string expires;
  std::string person;
};

struct ChangeChoice {
  std::string name;
  std::string value;  ///< the key or the new name
  std::string network;
};

/// A public key from the argument or the first line of standard input ("-").
base::Result<std::string> key_text(const std::string& argument) {
  if (argument != "-") return argument;
  std::string line;
  char c = 0;
  while (line.size() < kMaxKeyLine && std::cin.get(c) && c != '\n') line.push_back(c);
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
  if (!line.empty()) return line;
  return base::make_error(
      base::ErrorKind::Invalid,
      "read the public key: standard input is empty, or its first line is",
      "give the line that wg pubkey prints: wg pubkey < private.key | warren peer set-key NAME -");
}

void print_peer(const Invocation& invocation, const api::PeerView& peer, const std::string& text) {
  if (invocation.json) {
    print_line(api::encode(peer));
  } else {
    print_line(text);
  }
}

std::string addresses_of(const api::PeerView& peer) {
  const bool both = !peer.address.empty() && !peer.address6.empty();
  return peer.address + (both ? " and " : "") + peer.address6;
}

base::Status add(const Invocation& invocation, const AddChoice& choice) {
  api::PeerAdd request;
  request.name = choice.names.back();
  if (choice.names.size() == 2) request.role = choice.names.front();
  request.addresses = choice.addresses;
  if (!choice.person.empty()) request.person = choice.person;
  if (!choice.key.empty()) {
    WARREN_TRY_ASSIGN(request.public_key, key_text(choice.key));
  }
  if (!choice.expires.empty()) {
    request.expires_s = parse_duration_s(choice.expires);
    if (!request.expires_s) {
      return base::make_error(base::ErrorKind::Invalid,
                              "'" + choice.expires + "' is not a time span",
                              "write it as 90s, 15m, 24h or 7d");
    }
  }
  const client::Daemon daemon = daemon_of(invocation);
  WARREN_TRY_ASSIGN(const std::string network, pick_network(daemon, choice.network));
  WARREN_TRY_ASSIGN(const api::PeerView peer, daemon.add_peer(network, request));
  std::string text =
      fmt::format("{} is in {} with address {}", peer.name, peer.network, addresses_of(peer));
  if (peer.expires != 0) text += "\n  until " + moment(peer.expires);
  if (peer.public_key.empty()) {
    text += fmt::format(
        "\n  it waits for its key: warren peer set-key {0} KEY --network {1} (as wg pubkey prints "
        "it)"
        "\n  or let the keys be made here: warren peer export {0} --network {1} --generate-keys "
        "--format qr",
        peer.name, peer.network);
  }
  print_peer(invocation, peer, text);
  return {};
}

base::Status set_key(const Invocation& invocation, const ChangeChoice& choice) {
  api::PeerKey request;
  WARREN_TRY_ASSIGN(request.public_key, key_text(choice.value));
  const client::Daemon daemon = daemon_of(invocation);
  WARREN_TRY_ASSIGN(const std::string network, pick_network(daemon, choice.network));
  WARREN_TRY_ASSIGN(const api::PeerView peer, daemon.set_peer_key(network, choice.name, request));
  print_peer(invocation, peer,
             fmt::format("{} may connect to {} with the key {}", peer.name, peer.network,
                         peer.public_key));
  return {};
}

base::Status rename(const Invocation& invocation, const ChangeChoice& choice) {
  const client::Daemon daemon = daemon_of(invocation);
  WARREN_TRY_ASSIGN(const std::string network, pick_network(daemon, choice.network));
  WARREN_TRY_ASSIGN(const api::PeerView peer,
                    daemon.rename_peer(network, choice.name, {.name = choice.value}));
  print_peer(invocation, peer,
             fmt::format("{} is now called {} in {}", choice.name, peer.name, peer.network));
  return {};
}

void add_add(CLI::App& peer, Invocation& invocation) {
  auto choice = std::make_shared<AddChoice>();
  CLI::App* command = peer.add_subcommand("add", "Add a member whose key is handed in");
  command
      ->add_option("NAME", choice->names,
                   "the name of the new peer; before it may stand its role: the network's "
                   "default one when left out")
      ->required()
      ->expected(1, 2);
  command->add_option("--network", choice->network, kNetworkHelp);
  command->add_option("--key", choice->key,
                      "its public key; - reads it from standard input; without it the peer waits "
                      "for its key");
  command
      ->add_option("--address", choice->addresses,
                   "its address; one of each family; the first free one by default")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("--expires", choice->expires,
                      "when its membership ends by itself: 90s, 15m, 24h, 7d; never by default");
  command->add_option("--person", choice->person, "whose device it is: a login or a mail address");
  command->footer("Example: warren peer add phone --expires 90d");
  command->callback([&invocation, choice] { finish(invocation, add(invocation, *choice)); });
}

}  // namespace

void add_peer_by_hand_commands(CLI::App& peer, Invocation& invocation) {
  add_add(peer, invocation);

  auto keyed = std::make_shared<ChangeChoice>();
  CLI::App* key_command = peer.add_subcommand("set-key", "Give a peer that waits for it its key");
  key_command->add_option("NAME", keyed->name, "the peer")->required();
  key_command
      ->add_option("KEY", keyed->value,
                   "the public key that its member made; - reads it from "
                   "standard input")
      ->required();
  key_command->add_option("--network", keyed->network, kNetworkHelp);
  key_command->footer("Example: wg pubkey < private.key | warren peer set-key phone -");
  key_command->callback([&invocation, keyed] { finish(invocation, set_key(invocation, *keyed)); });

  auto renamed = std::make_shared<ChangeChoice>();
  CLI::App* rename_command =
      peer.add_subcommand("rename", "Give a peer another name; its sessions go on");
  rename_command->add_option("NAME", renamed->name, "the peer")->required();
  rename_command->add_option("NEW", renamed->value, "its new name")->required();
  rename_command->add_option("--network", renamed->network, kNetworkHelp);
  rename_command->footer("Example: warren peer rename phone old-phone");
  rename_command->callback(
      [&invocation, renamed] { finish(invocation, rename(invocation, *renamed)); });
}

}  // namespace warren::app
