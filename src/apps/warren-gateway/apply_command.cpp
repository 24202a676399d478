// `warren apply`, `warren diff` and `warren export`: whole networks as a file.
//
// What there is and what is wanted are compared here, and every change is one call of the API that
// any other command could make. A change that the daemon refuses ends it; what was done before it
// is listed, and the same command goes on from there.
#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "api/json.hpp"
#include "apps/warren/ask.hpp"
#include "apps/warren/cli.hpp"
#include "apps/warren/text.hpp"
#include "document/document.hpp"
#include "model/conf_key.hpp"
#include "model/forward.hpp"
#include "os/file.hpp"

namespace warren::app {
namespace {

using document::Change;
using document::ChangeKind;

constexpr std::size_t kPeersPerCall = 1000;
/// A request's body may hold 64 KiB.
constexpr std::size_t kBytesPerCall = std::size_t{48} * 1024;

struct ApplyChoice {
  std::string file;
  bool prune = false;
  bool yes = false;
};

std::string shown_name(const std::string& file) { return file == "-" ? "standard input" : file; }

/// "FILE:LINE:COLUMN", as far as it is known.
std::string shown_place(const std::string& file, const document::Place& place) {
  if (place.line == 0) return shown_name(file);
  return fmt::format("{}:{}:{}", shown_name(file), place.line, place.column);
}

/// Puts the file's name and place in front of an error.
base::Error located(const std::string& file, base::Error error, const document::Place& place) {
  return std::move(error).within(shown_place(file, place));
}

base::Result<document::Document> read_document(const std::string& file) {
  const std::string name = file == "-" ? "/dev/stdin" : file;
  WARREN_TRY_ASSIGN(const std::string text, os::read_file(name, document::kMaxDocumentBytes));
  auto parsed = document::Document::parse(text);
  if (!parsed) {
    base::Error error = std::move(parsed).error();
    const auto place = document::take_place(error.message);
    return located(file, std::move(error), place.value_or(document::Place{}));
  }
  const std::filesystem::path folder = std::filesystem::path(name).parent_path();
  for (document::Network& network : parsed->networks) {
    if (!network.ca) continue;
    const auto beside = [&](std::string& other) {
      if (file != "-" && !other.empty()) other = (folder / other).string();
    };
    beside(network.ca->file);
    if (network.ca->key_file) beside(*network.ca->key_file);
    if (network.ca->file.empty()) continue;
    auto read = read_pem(network.ca->file, "certificate of the authority of " + network.name);
    const document::Place place = network.place("ca/certificate");
    if (!read) return located(file, std::move(read).error(), place);
    if (read->find("-----BEGIN CERTIFICATE-----") == std::string::npos) {
      return located(file,
                     base::make_error(
                         base::ErrorKind::Invalid, "there is no certificate in " + network.ca->file,
                         "the authority of " + network.name + " is to be brought in PEM"),
                     place);
    }
    network.ca->certificates = std::move(*read);
  }
  return parsed;
}

/// Reads the keys that changes bring, before any of them is made.
base::Status bring_keys(const std::string& file, const document::Document& wanted,
                        document::Difference& difference) {
  for (Change& change : difference.changes) {
    if (change.key_file.empty()) continue;
    const std::string what = "key of the authority of " + change.network;
    auto& key =
        change.kind == ChangeKind::CreateNetwork ? change.create.ca_key : change.rotate.ca_key;
    auto read = read_pem(change.key_file, what);
    if (!read) {
      const auto network =
          std::ranges::find(wanted.networks, change.network, &document::Network::name);
      return located(file, std::move(read).error(), network->place("ca/key"));
    }
    key = std::move(*read);
  }
  return {};
}

void wipe_keys(document::Difference& difference) {
  for (Change& change : difference.changes) {
    for (auto* key : {&change.create.ca_key, &change.rotate.ca_key}) {
      if (*key) model::wipe_text(**key);
    }
  }
}

base::Result<document::Current> current_of(const client::Daemon& daemon,
                                           const api::NetworkView& network,
                                           const api::ForwardList& forwards) {
  document::Current current;
  current.network = network;
  WARREN_TRY_ASSIGN(current.roles, daemon.list_roles(network.name));
  WARREN_TRY_ASSIGN(current.policy, daemon.show_policy(network.name));
  WARREN_TRY_ASSIGN(current.peers, daemon.list_peers(network.name));
  WARREN_TRY_ASSIGN(current.authorities, daemon.show_authorities(network.name));
  WARREN_TRY_ASSIGN(current.verify, daemon.verify(network.name));
  for (const api::ForwardView& forward : forwards.forwards) {
    if (forward.network == network.name) current.forwards.forwards.push_back(forward);
  }
  return current;
}

/// What the gateway has of these networks; of those that it does not have, nothing.
base::Result<std::map<std::string, document::Current>> look(const client::Daemon& daemon,
                                                            const std::set<std::string>& names) {
  WARREN_TRY_ASSIGN(const api::NetworkList networks, daemon.list_networks());
  WARREN_TRY_ASSIGN(const api::ForwardList forwards, daemon.list_forwards());
  std::map<std::string, document::Current> out;
  for (const api::NetworkView& network : networks.networks) {
    if (!names.contains(network.name)) continue;
    WARREN_TRY_ASSIGN(out[network.name], current_of(daemon, network, forwards));
  }
  return out;
}

/// What is refused before anything is sent, each with its place.
base::Status refuse(const std::string& file, const std::vector<document::Problem>& problems,
                    base::ErrorKind kind, const std::string& hint) {
  if (problems.empty()) return {};
  std::string all;
  for (const document::Problem& problem : problems) {
    all += (all.empty() ? "" : "\n  ") + shown_place(file, problem.place) + ": " + problem.text;
    if (problems.size() > 1 && !problem.hint.empty()) all += " (" + problem.hint + ")";
  }
  const bool alone = problems.size() == 1 && !problems.front().hint.empty();
  return base::make_error(kind, all, alone ? problems.front().hint : hint);
}

base::Result<document::Difference> compare(const client::Daemon& daemon, const ApplyChoice& choice,
                                           const document::Document& wanted) {
  std::set<std::string> names;
  for (const document::Network& network : wanted.networks) names.insert(network.name);
  WARREN_TRY_ASSIGN(const auto current, look(daemon, names));
  WARREN_TRY(refuse(choice.file, document::mistakes(wanted, current, choice.prune),
                    base::ErrorKind::Invalid, "nothing was changed"));
  return document::difference(wanted, current, choice.prune);
}

base::Status add_peers(const client::Daemon& daemon, const Change& change) {
  api::PeerBatch batch;
  std::size_t bytes = 0;
  for (const api::PeerAdd& peer : change.peers) {
    const std::size_t more = api::encode(peer).size();
    if (batch.peers.size() == kPeersPerCall || bytes + more > kBytesPerCall) {
      WARREN_TRY(daemon.add_peers(change.network, batch));
      batch.peers.clear();
      bytes = 0;
    }
    batch.peers.push_back(peer);
    bytes += more;
  }
  if (!batch.peers.empty()) WARREN_TRY(daemon.add_peers(change.network, batch));
  return {};
}

base::Status make(const client::Daemon& daemon, const Change& change) {
  const std::string& network = change.network;
  const auto done = [](const auto& answer) {
    return answer ? base::Status() : base::Status(answer.error());
  };
  switch (change.kind) {
    case ChangeKind::CreateNetwork:
      return done(daemon.create_network(change.create));
    case ChangeKind::SetNetwork:
      return done(daemon.set_network(network, change.set));
    case ChangeKind::RotateAuthority:
      return done(daemon.rotate_authority(network, change.rotate));
    case ChangeKind::StopNetwork:
      return done(daemon.switch_network(network, "stop"));
    case ChangeKind::StartNetwork:
      return done(daemon.switch_network(network, "start"));
    case ChangeKind::AddRole:
      return done(daemon.add_role(network, change.role));
    case ChangeKind::SetRole:
      return done(daemon.set_role(network, change.target, change.role_set));
    case ChangeKind::DeleteRole:
      return daemon.delete_role(network, change.target);
    case ChangeKind::SetPolicy:
      return done(daemon.set_policy(network, change.policy));
    case ChangeKind::ClearPolicy:
      return done(daemon.clear_policy(network));
    case ChangeKind::AddPeers:
      return add_peers(daemon, change);
    case ChangeKind::SetPeerKey:
      return done(daemon.set_peer_key(network, change.target, change.key));
    case ChangeKind::RemovePeer:
      return done(daemon.revoke(network, change.target));
    case ChangeKind::AddForward:
      return done(daemon.add_forward(network, change.forward));
    case ChangeKind::DeleteForward: {
      const auto port = model::PublicPort::parse(change.target);
      return daemon.delete_forward(port->protocol == model::Protocol::Tcp ? "tcp" : "udp",
                                   port->port);
    }
    case ChangeKind::Repair:
      return done(daemon.repair(network));
  }
  return {};
}

void print(const Invocation& invocation, const std::string& file,
           const document::Difference& difference) {
  std::vector<std::string> lines;
  for (const Change& change : difference.changes) {
    lines.insert(lines.end(), change.lines.begin(), change.lines.end());
  }
  if (invocation.json) {
    std::vector<std::string> conflicts;
    for (const document::Problem& one : difference.conflicts) {
      conflicts.push_back(shown_place(file, one.place) + ": " + one.text);
    }
    const nlohmann::ordered_json document = {
        {"schema", 1}, {"changes", lines}, {"conflicts", conflicts}};
    return print_line(
        document.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  }
  constexpr std::size_t kShown = 200;
  for (std::size_t i = 0; i < std::min(lines.size(), kShown); ++i) fmt::print("{}\n", lines[i]);
  if (lines.size() > kShown) {
    fmt::print("… and {} more (--json lists them all)\n", lines.size() - kShown);
  }
}

base::Status refuse_conflicts(const std::string& file, const document::Difference& difference) {
  return refuse(file, difference.conflicts, base::ErrorKind::Conflict,
                "nothing was changed; `warren export` shows what there is");
}

/// Of a change: with its place in the document where the gateway refused it, not where it could not
/// be asked or could not do it.
base::Error not_made(const std::string& file, const document::Document& wanted,
                     const Change& change, base::Error error, std::string_view progress) {
  using base::ErrorKind;
  const bool refused = error.kind == ErrorKind::Invalid || error.kind == ErrorKind::Conflict ||
                       error.kind == ErrorKind::NotFound || error.kind == ErrorKind::NotPermitted;
  if (!refused) {
    return std::move(error).within(fmt::format("apply {} ({})", shown_name(file), progress));
  }
  const document::Place place = document::place_of(wanted, change, error.message);
  if (change.kind == ChangeKind::SetPolicy) std::ignore = document::take_place(error.message);
  error.message += fmt::format(" ({})", progress);
  return located(file, std::move(error), place);
}

bool removes_something(const document::Difference& difference) {
  return std::ranges::any_of(difference.changes, [](const Change& change) {
    return change.kind == ChangeKind::RemovePeer || change.kind == ChangeKind::DeleteRole ||
           change.kind == ChangeKind::DeleteForward || change.kind == ChangeKind::ClearPolicy;
  });
}

base::Status carry_out(const Invocation& invocation, const ApplyChoice& choice,
                       const client::Daemon& daemon, const document::Document& wanted,
                       const document::Difference& difference) {
  print(invocation, choice.file, difference);
  if (difference.changes.empty()) {
    if (!invocation.json) fmt::print("nothing to do\n");
    return {};
  }
  if (removes_something(difference) && !confirmed("Do this?", choice.yes)) {
    return base::make_error(base::ErrorKind::Failed, "nothing was changed");
  }
  std::size_t made = 0;
  for (const Change& change : difference.changes) {
    if (base::Status done = make(daemon, change); !done) {
      const std::string progress =
          fmt::format("{} of {} changes are made", made, difference.changes.size());
      return not_made(choice.file, wanted, change, std::move(done).error(), progress);
    }
    ++made;
  }
  if (!invocation.json) fmt::print("done\n");
  return {};
}

base::Status apply(const Invocation& invocation, const ApplyChoice& choice) {
  const client::Daemon daemon = daemon_of(invocation);
  WARREN_TRY_ASSIGN(const document::Document wanted, read_document(choice.file));
  WARREN_TRY_ASSIGN(document::Difference difference, compare(daemon, choice, wanted));
  WARREN_TRY(refuse_conflicts(choice.file, difference));
  base::Status done = bring_keys(choice.file, wanted, difference);
  if (done) done = carry_out(invocation, choice, daemon, wanted, difference);
  wipe_keys(difference);
  return done;
}

base::Status diff(Invocation& invocation, const ApplyChoice& choice) {
  WARREN_TRY_ASSIGN(const document::Document wanted, read_document(choice.file));
  WARREN_TRY_ASSIGN(const document::Difference difference,
                    compare(daemon_of(invocation), choice, wanted));
  print(invocation, choice.file, difference);
  if (!invocation.json) WARREN_TRY(refuse_conflicts(choice.file, difference));
  if (!difference.changes.empty() || !difference.conflicts.empty()) invocation.exit_code = kFailed;
  return {};
}

base::Status export_networks(const Invocation& invocation, const std::vector<std::string>& names) {
  const client::Daemon daemon = daemon_of(invocation);
  WARREN_TRY_ASSIGN(const api::NetworkList networks, daemon.list_networks());
  WARREN_TRY_ASSIGN(const api::ForwardList forwards, daemon.list_forwards());
  std::set<std::string> missing(names.begin(), names.end());
  document::Document document;
  for (const api::NetworkView& network : networks.networks) {
    if (!names.empty() && missing.erase(network.name) == 0) continue;
    WARREN_TRY_ASSIGN(const auto current, current_of(daemon, network, forwards));
    document.networks.push_back(document::describe(current));
  }
  if (!missing.empty()) {
    return base::make_error(base::ErrorKind::NotFound, "there is no network " + *missing.begin(),
                            "see: warren network list");
  }
  fmt::print("{}", document.write());
  return {};
}

std::shared_ptr<ApplyChoice> add_options(CLI::App& command) {
  auto choice = std::make_shared<ApplyChoice>();
  command.add_option("-f,--file", choice->file, "the document; - for standard input")->required();
  command.add_flag("--prune", choice->prune,
                   "what the file does not name of its networks goes: roles, peers (revoked), "
                   "forwards; never a network");
  return choice;
}

}  // namespace

void add_apply_commands(CLI::App& app, Invocation& invocation) {
  CLI::App* apply_command = app.add_subcommand(
      "apply", "Make networks what a file says: networks, roles, policy, peers, forwards");
  const auto applied = add_options(*apply_command);
  apply_command->add_flag("-y,--yes", applied->yes, "do not ask before something is removed");
  apply_command->footer(
      "What the file does not say stays as it is. Applying a file twice changes nothing.\n"
      "Example: warren apply -f study.yaml");
  apply_command->callback(
      [&invocation, applied] { finish(invocation, apply(invocation, *applied)); });

  CLI::App* diff_command =
      app.add_subcommand("diff", "Show what apply would change; exit code 1 if there is something");
  const auto compared = add_options(*diff_command);
  diff_command->footer("Example: warren diff -f study.yaml");
  diff_command->callback(
      [&invocation, compared] { finish(invocation, diff(invocation, *compared)); });

  CLI::App* export_command =
      app.add_subcommand("export", "Write networks as a file that apply understands");
  auto names = std::make_shared<std::vector<std::string>>();
  export_command->add_option("NETWORK", *names, "these; by default all");
  export_command->footer(
      "No secret is in it; members that wait for their token, and those of a run, are left out.\n"
      "Example: warren export study > study.yaml");
  export_command->callback(
      [&invocation, names] { finish(invocation, export_networks(invocation, *names)); });
}

}  // namespace warren::app
