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

/// What the daemon found, which may look where this program may not.
base::Status show_findings(Invocation& invocation, const base::Result<api::DoctorReport>& asked,
                           const char* if_none) {
  if (!asked) return asked.error();
  const api::DoctorReport& report = *asked;
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
  if (report.findings.empty()) fmt::print("{}\n", if_none);
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
    const base::Status done = show_findings(invocation, daemon_of(invocation).check_ports(),
                                            "this gateway serves nothing: no port is public");
    if (!done) finish(invocation, done);
  });
  CLI::App* names = doctor->add_subcommand(
      "names", "Ask the name server of each network, and those whom it asks for other names");
  names->footer(
      "Says what to do where one does not answer. Exit code 0 when all do, 1 when not. "
      "Example: warren doctor names");
  names->callback([&invocation] {
    const base::Status done =
        show_findings(invocation, daemon_of(invocation).check_names(),
                      "no network has names: warren network set NETWORK --names");
    if (!done) finish(invocation, done);
  });
}

}  // namespace warren::app
