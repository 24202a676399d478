// `warren policy`: who of a network may open what to whom; and `warren verify`.
#include <iostream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.hpp"
#include "apps/warren/ask.hpp"
#include "apps/warren/cli.hpp"
#include "apps/warren/text.hpp"
#include "os/file.hpp"

namespace warren::app {
namespace {

constexpr const char* kNetworkHelp = "the network";
constexpr std::size_t kMaxPolicyFile = 1 << 20;

base::Result<std::string> read_text(const std::string& file) {
  if (file != "-") return os::read_file(file, kMaxPolicyFile);
  return std::string(std::istreambuf_iterator<char>(std::cin), {});
}

void print(const Invocation& invocation, const api::PolicyView& policy) {
  if (invocation.json) return print_line(api::encode(policy));
  for (const std::string& line : policy.lines) fmt::print("{}\n", line);
  if (!policy.present) {
    fmt::print("network {} has no policy: its members reach each other\n", policy.network);
  }
  for (const std::string& warning : policy.warnings) {
    fmt::print(stderr, "warren: warning: {}\n", warning);
  }
  if (policy.present && !policy.in_force) {
    fmt::print(stderr, "warren: warning: it is not in force yet; see `warren status`\n");
  }
}

base::Status set(const Invocation& invocation, const std::string& network,
                 const std::string& file) {
  WARREN_TRY_ASSIGN(const std::string text, read_text(file));
  const std::string where = file == "-" ? "standard input" : file;
  if (text.find('\0') != std::string::npos) {
    return base::make_error(base::ErrorKind::Invalid, where + " is no text: it holds a zero byte",
                            "a policy is YAML, as `warren policy show` prints it");
  }
  api::PolicySet request;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) request.lines.push_back(line);
  auto policy = daemon_of(invocation).set_policy(network, request);
  if (!policy) return std::move(policy).error().within(where);
  if (invocation.json) {
    print_line(api::encode(*policy));
  } else {
    fmt::print("network {} has this policy now ({} rules); what it denies is cut\n",
               policy->network, policy->rules.size());
  }
  return {};
}

base::Status show(const Invocation& invocation, const std::string& named) {
  const client::Daemon daemon = daemon_of(invocation);
  WARREN_TRY_ASSIGN(const std::string network, pick_network(daemon, named, NetworkIs::FirstWord));
  WARREN_TRY_ASSIGN(const auto policy, daemon.show_policy(network));
  print(invocation, policy);
  return {};
}

base::Status clear(const Invocation& invocation, const std::string& network) {
  WARREN_TRY_ASSIGN(const auto policy, daemon_of(invocation).clear_policy(network));
  print(invocation, policy);
  return {};
}

struct Asked {
  std::string network, from, to, port;
};

/// Of three words the first is a network only when there is one of that name and the last is no
/// port: NETWORK FROM SERVICE, otherwise FROM TO PORT.
base::Result<Asked> settled(const client::Daemon& daemon, Asked asked) {
  if (asked.network.empty() || !asked.port.empty()) return asked;
  const bool is_port = asked.to.find_first_of("/ ") != std::string::npos || asked.to == "icmp";
  bool is_network = false;
  if (!is_port) {
    WARREN_TRY_ASSIGN(const auto list, daemon.list_networks());
    for (const api::NetworkView& network : list.networks)
      is_network = is_network || network.name == asked.network;
  }
  if (is_network) return asked;
  return Asked{.network = "", .from = asked.network, .to = asked.from, .port = asked.to};
}

base::Status test(Invocation& invocation, const Asked& words) {
  const client::Daemon daemon = daemon_of(invocation);
  WARREN_TRY_ASSIGN(const Asked asked, settled(daemon, words));
  WARREN_TRY_ASSIGN(const std::string network,
                    pick_network(daemon, asked.network, NetworkIs::FirstWord));
  WARREN_TRY_ASSIGN(
      const auto answer,
      daemon.test_policy(network, {.from = asked.from, .to = asked.to, .port = asked.port}));
  if (!answer.allowed) invocation.exit_code = kFailed;
  if (invocation.json) {
    print_line(api::encode(answer));
    return {};
  }
  const std::string why =
      answer.rule.empty() ? answer.reason : fmt::format("line {}: {}", answer.line, answer.rule);
  fmt::print("{} ({})\n", answer.allowed ? "allow" : "deny", why);
  return {};
}

base::Status verify(Invocation& invocation, const std::string& network) {
  WARREN_TRY_ASSIGN(const auto report, daemon_of(invocation).verify(network));
  if (!report.differences.empty()) invocation.exit_code = kFailed;
  if (invocation.json) {
    print_line(api::encode(report));
    return {};
  }
  for (const auto& difference : report.differences) {
    fmt::print("{}: {}: {}\n", difference.network.empty() ? "host" : difference.network,
               difference.part, difference.what);
    if (!difference.repair.empty()) fmt::print("  repair: {}\n", difference.repair);
  }
  if (report.differences.empty()) {
    fmt::print("{} {} as declared\n", join_words(report.networks),
               report.networks.size() == 1 ? "is" : "are");
  } else {
    const std::size_t count = report.differences.size();
    fmt::print("{} difference{}; put right by: warren export | warren apply -f -\n", count,
               count == 1 ? "" : "s");
  }
  return {};
}

}  // namespace

void add_policy_commands(CLI::App& app, Invocation& invocation) {
  CLI::App* policy = app.add_subcommand("policy", "Who of a network may open what to whom");
  policy->require_subcommand(1);
  policy->footer("Example: warren policy show lab");

  CLI::App* set_command = policy->add_subcommand(
      "set", "Give a network a policy; what it does not allow is denied, and cut");
  auto given = std::make_shared<std::pair<std::string, std::string>>();
  set_command->add_option("NETWORK", given->first, kNetworkHelp)->required();
  set_command->add_option("FILE", given->second, "YAML; - for standard input")->required();
  set_command->footer(
      "Example: printf 'rules:\\n  - node -> broker: tcp 1883\\n' | "
      "warren policy set lab -");
  set_command->callback(
      [&invocation, given] { finish(invocation, set(invocation, given->first, given->second)); });

  CLI::App* show_command = policy->add_subcommand("show", "Show the policy of a network");
  auto shown = std::make_shared<std::string>();
  show_command->add_option("NETWORK", *shown, "the network; may be left out if there is one");
  show_command->footer("Example: warren policy show lab");
  show_command->callback([&invocation, shown] { finish(invocation, show(invocation, *shown)); });

  CLI::App* clear_command =
      policy->add_subcommand("clear", "Take the policy away: members reach each other");
  auto cleared = std::make_shared<std::string>();
  clear_command->add_option("NETWORK", *cleared, kNetworkHelp)->required();
  clear_command->footer("Example: warren policy clear lab");
  clear_command->callback(
      [&invocation, cleared] { finish(invocation, clear(invocation, *cleared)); });

  CLI::App* test_command = policy->add_subcommand(
      "test", "Tell whether FROM may open PORT to TO, and by which rule; exit code 1: it may not");
  auto asked = std::make_shared<Asked>();
  test_command->positionals_at_end();  // with two words NETWORK and PORT are left out
  test_command->add_option("NETWORK", asked->network,
                           "the network; may be left out if there is one");
  test_command->add_option("FROM", asked->from, "a peer, a role or internet")->required();
  test_command->add_option("TO", asked->to, "a peer, a role, a service, gateway or internet")
      ->required();
  test_command->add_option("PORT", asked->port,
                           "tcp/22, udp/53, icmp or a service; may be left out if TO is a service");
  test_command->footer("Example: warren policy test alice broker tcp/1883");
  test_command->callback([&invocation, asked] { finish(invocation, test(invocation, *asked)); });
}

void add_verify_command(CLI::App& app, Invocation& invocation) {
  CLI::App* command = app.add_subcommand(
      "verify", "Read back what is in force and name each difference; exit code 1: there is one");
  auto network = std::make_shared<std::string>();
  command->add_option("NETWORK", *network, "the network; all of them when it is left out");
  command->footer("Example: warren verify lab");
  command->callback([&invocation, network] { finish(invocation, verify(invocation, *network)); });
}

}  // namespace warren::app
