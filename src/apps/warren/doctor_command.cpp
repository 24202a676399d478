// `warren doctor run`: why runs do not work here, and what an administrator must set. `warren
// doctor ports`: whether others reach what this gateway serves.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/json.hpp"
#include "apps/warren/ask.hpp"
#include "apps/warren/cli.hpp"
#include "netns/doctor.hpp"

namespace warren::app {

namespace {

using netns::Finding;
using nlohmann::ordered_json;

const char* word_for(Finding::State state) {
  switch (state) {
    case Finding::State::Good:
      return "good";
    case Finding::State::Weak:
      return "weak";
    case Finding::State::Bad:
      return "bad";
  }
  return "bad";
}

int examine(const Invocation& invocation) {
  const std::vector<Finding> findings = netns::diagnose();
  const bool works = !findings.empty() && std::ranges::none_of(findings, [](const Finding& one) {
    return one.state == Finding::State::Bad;
  });
  if (invocation.json) {
    ordered_json document = {{"schema", 1}, {"works", works}, {"findings", ordered_json::array()}};
    for (const Finding& finding : findings) {
      document["findings"].push_back({{"what", finding.what},
                                      {"state", word_for(finding.state)},
                                      {"text", finding.text},
                                      {"remedy", finding.remedy}});
    }
    if (!works) document["instead"] = "warren proxy";
    print_line(document.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
    return works ? kDone : kFailed;
  }
  for (const Finding& finding : findings) {
    fmt::print("{:<5} {}: {}\n", word_for(finding.state), finding.what, finding.text);
    if (!finding.remedy.empty()) fmt::print("      hint: {}\n", finding.remedy);
  }
  fmt::print("{}\n", works ? "warren run works here"
                           : "warren run does not work here; no subuid or set-user-id file would "
                             "be needed");
  if (!works) {
    fmt::print(
        "      hint: meanwhile `warren proxy PROFILE -- COMMAND` needs neither namespaces nor a "
        "tun,\n      but is weaker: only programs that honour the proxy variables are inside\n");
  }
  return works ? kDone : kFailed;
}

/// Asks the daemon, which may look at the host's packet filters.
base::Status examine_ports(Invocation& invocation) {
  WARREN_TRY_ASSIGN(const api::DoctorReport report, daemon_of(invocation).check_ports());
  const bool works = std::ranges::none_of(
      report.findings, [](const auto& finding) { return finding.state == "bad"; });
  if (!works) invocation.exit_code = kFailed;
  if (invocation.json) {
    print_line(api::encode(report));
    return {};
  }
  for (const auto& finding : report.findings) {
    fmt::print("{:<5} {}: {}\n", finding.state, finding.what, finding.text);
    if (!finding.remedy.empty()) fmt::print("      hint: {}\n", finding.remedy);
  }
  if (report.findings.empty()) fmt::print("this gateway serves nothing: no port is public\n");
  return {};
}

}  // namespace

void add_doctor_command(CLI::App& app, Invocation& invocation) {
  CLI::App* doctor = app.add_subcommand("doctor", "Say why something does not work here");
  doctor->require_subcommand(1);
  add_certificate_doctor(*doctor, invocation);
  CLI::App* run = doctor->add_subcommand(
      "run", "Try what `warren run` needs, and say what an administrator must set");
  run->footer("Exit code 0 when runs work here, 1 when not. Example: warren doctor run --json");
  run->callback([&invocation] { invocation.exit_code = examine(invocation); });
  CLI::App* ports = doctor->add_subcommand(
      "ports", "Try each public port of this gateway from outside, and name who is in the way");
  ports->footer(
      "Names the rule that firewalld, ufw, iptables or nftables needs. Exit code 0 when all are "
      "open, 1 when not. Example: warren doctor ports");
  ports->callback([&invocation] {
    const base::Status done = examine_ports(invocation);
    if (!done) finish(invocation, done);
  });
}

}  // namespace warren::app
