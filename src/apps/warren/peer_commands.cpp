#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.hpp"
#include "apps/warren/ask.hpp"
#include "apps/warren/cli.hpp"
#include "apps/warren/text.hpp"
#include "os/clock.hpp"

namespace warren::app {
namespace {

constexpr const char* kNetworkHelp = "the network; may be left out when there is only one";

struct PeerChoice {
  std::string name;
  std::string network;
  std::string person;
  bool everywhere = false;
  bool yes = false;
};

struct InviteChoice {
  std::string name;
  std::string network;
  std::string role;
  std::string expires = "24h";
  std::uint32_t uses = 1;
  std::string lease;
  std::string person;
};

base::Error not_a_span(const std::string& text) {
  return base::make_error(base::ErrorKind::Invalid, "'" + text + "' is not a time span",
                          "write it as 90s, 15m, 24h or 7d");
}

std::string alternation_text(const api::PeerView& peer) {
  if (peer.alternates.size() != 2) return {};
  return fmt::format("alternates between {} and {}: its key is used in two places at once",
                     peer.alternates[0], peer.alternates[1]);
}

/// "enrolled", or what a member for a run is: "ephemeral (100 s of 120 s left)".
std::string state_text(const api::PeerView& peer) {
  if (!peer.lease_s) return peer.state;
  return fmt::format("ephemeral ({} s of {} s left)", peer.lease_left_s.value_or(0), *peer.lease_s);
}

base::Status invite(const Invocation& invocation, const InviteChoice& choice) {
  const auto expires = parse_duration_s(choice.expires);
  if (!expires) return not_a_span(choice.expires);
  const client::Daemon daemon = daemon_of(invocation);
  WARREN_TRY_ASSIGN(const std::string network, pick_network(daemon, choice.network));
  api::InviteRequest request;
  request.name = choice.name;
  request.role = choice.role;
  request.expires_s = *expires;
  request.uses = choice.uses;
  if (!choice.person.empty()) request.person = choice.person;
  if (!choice.lease.empty()) {
    request.lease_s = parse_duration_s(choice.lease);
    if (!request.lease_s) return not_a_span(choice.lease);
  }
  WARREN_TRY_ASSIGN(const api::Invitation invitation, daemon.invite(network, request));
  if (invocation.json) {
    print_line(api::encode(invitation));
    return {};
  }
  // The token alone on standard output: `warren invite laptop | ssh laptop warren join -`.
  const bool many = invitation.uses > 1;
  fmt::print(
      stderr, "{} may join {} until {}, {}, with this token:\n",
      many ? fmt::format("{0}-1 to {0}-{1}", invitation.name, invitation.uses) : invitation.name,
      invitation.network, moment(invitation.expires), many ? "each once" : "once");
  fmt::print("{}\n", invitation.token);
  return {};
}

base::Status list(const Invocation& invocation, const std::string& named,
                  const std::string& person) {
  const client::Daemon daemon = daemon_of(invocation);
  WARREN_TRY_ASSIGN(const std::string network, pick_network(daemon, named));
  WARREN_TRY_ASSIGN(api::PeerList list, daemon.list_peers(network));
  if (!person.empty()) {
    std::erase_if(list.peers, [&](const api::PeerView& peer) { return peer.person != person; });
  }
  if (invocation.json) {
    print_line(api::encode(list));
    return {};
  }
  const std::int64_t now = os::wall_now().seconds();
  // The column is there only where somebody writes persons down.
  const bool persons = std::ranges::any_of(
      list.peers, [](const api::PeerView& peer) { return !peer.person.empty(); });
  std::vector<std::string> titles = {"NAME",      "ROLE",     "STATE", "ADDRESS", "ADDRESS6",
                                     "HANDSHAKE", "RECEIVED", "SENT",  "EXPIRES"};
  if (persons) titles.emplace_back("PERSON");
  Table table(titles);
  for (const api::PeerView& peer : list.peers) {
    std::vector<std::string> row = {peer.name,
                                    peer.role,
                                    state_text(peer),
                                    peer.address,
                                    peer.address6,
                                    age(peer.last_handshake, now),
                                    size(peer.rx_bytes),
                                    size(peer.tx_bytes),
                                    peer.expires == 0 ? std::string() : moment(peer.expires)};
    if (persons) row.push_back(peer.person);
    table.add(std::move(row));
  }
  table.print();
  return {};
}

base::Status show(const Invocation& invocation, const PeerChoice& choice) {
  const client::Daemon daemon = daemon_of(invocation);
  WARREN_TRY_ASSIGN(const std::string network, pick_network(daemon, choice.network));
  WARREN_TRY_ASSIGN(const api::PeerView peer, daemon.show_peer(network, choice.name));
  if (invocation.json) {
    print_line(api::encode(peer));
    return {};
  }
  const auto when = [](std::int64_t s) { return s == 0 ? std::string() : moment(s); };
  fmt::print("{}",
             describe({{"network", peer.network},
                       {"name", peer.name},
                       {"role", peer.role},
                       {"person", peer.person},
                       {"state", state_text(peer)},
                       {"address", peer.address},
                       {"address6", peer.address6},
                       {"public key", peer.public_key},
                       {"seen from", peer.endpoint},
                       {"warning", alternation_text(peer)},
                       {"handshake", age(peer.last_handshake, os::wall_now().seconds())},
                       {"received", size(peer.rx_bytes)},
                       {"sent", size(peer.tx_bytes)},
                       {"invited", when(peer.invited)},
                       {"enrolled", when(peer.enrolled)},
                       {"revoked", peer.state == "expired" ? std::string() : when(peer.revoked)},
                       {peer.state == "expired" ? "expired" : "expires", when(peer.expires)}}));
  return {};
}

void print_times(const api::Revocation& done) {
  fmt::print("{} is out of {}\n", done.name, done.network);
  for (const auto& step : done.steps) fmt::print("  {:<12} {:>9.3f} ms\n", step.step, step.ms);
  fmt::print("  {:<12} {:>9.3f} ms\n", "total", done.total_ms);
  for (const std::string& pending : done.pending) {
    fmt::print(stderr, "warren: not closed yet, the daemon keeps trying: {}\n", pending);
  }
}

base::Status show_revocations(Invocation& invocation, const api::RevocationList& list) {
  for (const api::Revocation& done : list.revocations) {
    if (!done.pending.empty()) invocation.exit_code = kFailed;
  }
  if (invocation.json) {
    print_line(api::encode(list));
    return {};
  }
  for (const api::Revocation& done : list.revocations) print_times(done);
  for (const std::string& key : list.refused_keys) {
    fmt::print("the key {} is refused in every network of this gateway\n", key);
  }
  fmt::print("{} out, in {:.3f} ms\n", list.revocations.size(), list.total_ms);
  return {};
}

/// Everything but one peer in one network.
base::Status revoke_several(Invocation& invocation, const PeerChoice& choice) {
  const client::Daemon daemon = daemon_of(invocation);
  const bool by_person = !choice.person.empty();
  if (by_person && choice.everywhere && !choice.network.empty()) {
    return base::make_error(base::ErrorKind::Invalid,
                            "--everywhere is about the whole gateway, --network about a part of it",
                            "leave one of them out");
  }
  std::string network;
  if (!by_person || !choice.everywhere) {
    WARREN_TRY_ASSIGN(network, pick_network(daemon, choice.network));
  }
  const std::string who = by_person ? "every device of " + choice.person : choice.name;
  const std::string where = choice.everywhere ? "in every network" : "in " + network;
  if (!confirmed("Revoke " + who + " " + where + " for ever?", choice.yes)) {
    return base::make_error(base::ErrorKind::Failed, "nobody was revoked");
  }
  if (by_person) {
    WARREN_TRY_ASSIGN(const auto done, daemon.revoke_person(network, choice.person));
    return show_revocations(invocation, done);
  }
  WARREN_TRY_ASSIGN(const auto done, daemon.revoke_everywhere(network, choice.name));
  return show_revocations(invocation, done);
}

base::Status revoke(Invocation& invocation, const PeerChoice& choice) {
  if (choice.name.empty() == choice.person.empty()) {
    return base::make_error(base::ErrorKind::Invalid, "revoke needs a peer's NAME or --person WHO",
                            "see: warren revoke --help");
  }
  if (choice.everywhere || !choice.person.empty()) return revoke_several(invocation, choice);
  const client::Daemon daemon = daemon_of(invocation);
  WARREN_TRY_ASSIGN(const std::string network, pick_network(daemon, choice.network));
  if (!confirmed("Revoke " + choice.name + " in " + network + " for ever?", choice.yes)) {
    return base::make_error(base::ErrorKind::Failed, "nobody was revoked");
  }
  WARREN_TRY_ASSIGN(const api::Revocation done, daemon.revoke(network, choice.name));
  if (!done.pending.empty()) invocation.exit_code = kFailed;
  if (invocation.json) {
    print_line(api::encode(done));
    return {};
  }
  print_times(done);
  return {};
}

void add_invite(CLI::App& app, Invocation& invocation) {
  auto choice = std::make_shared<InviteChoice>();
  CLI::App* command = app.add_subcommand("invite", "Print a token with which one peer may join");
  command->add_option("NAME", choice->name, "the name of the new peer")->required();
  command->add_option("--network", choice->network, kNetworkHelp);
  command->add_option("--role", choice->role, "the role of the new peer");
  command
      ->add_option("--expires", choice->expires,
                   "how long the token is good: 90s, 15m, 24h, 7d; from 10s to 366d")
      ->capture_default_str();
  command
      ->add_option("--uses", choice->uses,
                   "how many peers the token is good for: NAME-1, NAME-2 …, each with its own key "
                   "and address; at most 1000")
      ->capture_default_str();
  command->add_option("--lease", choice->lease,
                      "of those who join for a run alone (warren run TOKEN): how long one may be "
                      "silent before it is put out; 2m by default");
  command->add_option("--person", choice->person,
                      "whose device it is: a login or a mail address; see --max-devices of "
                      "`network create`");
  command->footer("Example: warren invite laptop --expires 2h");
  command->callback([&invocation, choice] { finish(invocation, invite(invocation, *choice)); });
}

void set_up_revoke(CLI::App& command, const std::string& example, Invocation& invocation) {
  auto choice = std::make_shared<PeerChoice>();
  command.add_option("NAME", choice->name, "the peer");
  command.add_option("--network", choice->network, kNetworkHelp);
  command.add_option("--person", choice->person, "instead of NAME: every device of this person");
  command.add_flag("--everywhere", choice->everywhere,
                   "in every network of this gateway, those to come too: its key is refused "
                   "there, and whoever has it is out");
  command.add_flag("-y,--yes", choice->yes, "do not ask (only a terminal is asked)");
  command.footer("Example: " + example);
  command.callback([&invocation, choice] { finish(invocation, revoke(invocation, *choice)); });
}

}  // namespace

void add_peer_commands(CLI::App& app, Invocation& invocation) {
  add_invite(app, invocation);
  CLI::App* peer =
      app.add_subcommand("peer", "Add, list, show, rename and export the members of a network");
  peer->require_subcommand(1);
  peer->footer("Example: warren peer list");

  CLI::App* list_command = peer->add_subcommand("list", "List the peers of a network");
  list_command->alias("ls");
  auto listed = std::make_shared<PeerChoice>();
  list_command->add_option("NETWORK", listed->name, kNetworkHelp);
  auto* flag = list_command->add_option("--network", listed->network, kNetworkHelp);
  list_command->add_option("--person", listed->person, "only the devices of this person");
  list_command->footer("Example: warren peer list lab");
  list_command->callback([&invocation, listed, flag] {
    finish(invocation,
           list(invocation, flag->count() > 0 ? listed->network : listed->name, listed->person));
  });

  CLI::App* show_command = peer->add_subcommand("show", "Show one peer");
  auto shown = std::make_shared<PeerChoice>();
  show_command->add_option("NAME", shown->name, "the peer")->required();
  show_command->add_option("--network", shown->network, kNetworkHelp);
  show_command->footer("Example: warren peer show laptop --network lab");
  show_command->callback([&invocation, shown] { finish(invocation, show(invocation, *shown)); });
  add_peer_by_hand_commands(*peer, invocation);
  add_peer_export_command(*peer, invocation);
  CLI::App* delete_command = peer->add_subcommand("delete", "The same as warren revoke");
  delete_command->alias("rm");
  set_up_revoke(*delete_command, "warren peer delete laptop", invocation);
  set_up_revoke(*app.add_subcommand("revoke",
                                    "Cut a peer off: returns when every way in is closed, and "
                                    "says how long it took"),
                "warren revoke laptop", invocation);
}

}  // namespace warren::app
