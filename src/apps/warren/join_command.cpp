#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include "apps/warren/ask.hpp"
#include "apps/warren/cli.hpp"
#include "apps/warren/text.hpp"
#include "client/join.hpp"
#include "client/member.hpp"
#include "hostlink/directory.hpp"
#include "hostlink/links.hpp"
#include "model/conf_key.hpp"
#include "netns/ready.hpp"
#include "netns/runtime_dir.hpp"
#include "os/clock.hpp"
#include "os/file.hpp"

namespace warren::app {
namespace {

constexpr std::size_t kMaxTokenLine = 4096;

/// The token from the argument, standard input ("-") or WARREN_TOKEN.
base::Result<std::string> token_text(const std::string& argument) {
  if (!argument.empty() && argument != "-") return argument;
  if (argument == "-") {
    std::string line;
    char c = 0;
    while (line.size() < kMaxTokenLine && std::cin.get(c) && c != '\n') line.push_back(c);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (line.empty()) {
      return base::make_error(
          base::ErrorKind::Invalid, "read the token: standard input is empty, or its first line is",
          "give the line that warren invite printed: warren join - < token.txt");
    }
    return line;
  }
  if (const char* set = std::getenv("WARREN_TOKEN"); set != nullptr && *set != '\0') return set;
  return base::make_error(base::ErrorKind::Invalid, "join needs a token",
                          "give it as an argument, on standard input (warren join -) or in "
                          "WARREN_TOKEN");
}

base::Status join(const Invocation& invocation, const std::string& argument,
                  const std::string& profile) {
  WARREN_TRY_ASSIGN(std::string text, token_text(argument));
  auto token = model::TokenText::parse(text);
  model::wipe_text(text);
  if (!token) return std::move(token).error();
  client::JoinOptions options;
  options.token = *token;
  WARREN_TRY_ASSIGN(options.directory, client::profile_directory());
  if (!profile.empty()) options.profile = profile;
  os::SystemRandom random;
  WARREN_TRY_ASSIGN(const client::Joined joined, client::join(options, random, os::wall_now()));
  const api::EnrolAnswer& answer = joined.answer;
  const std::string certificate = joined.certificate ? joined.certificate->certificate : "";
  if (invocation.json) {
    const nlohmann::ordered_json document = {{"schema", 1},
                                             {"profile", joined.profile},
                                             {"conf", joined.conf_path},
                                             {"network", answer.network},
                                             {"name", answer.name},
                                             {"address", answer.address},
                                             {"address6", answer.address6},
                                             {"endpoint", answer.endpoint},
                                             {"certificate", certificate}};
    print_line(document.dump());
    return {};
  }
  fmt::print("joined {} as {} with address {}\n", answer.network, answer.name,
             answer.address.empty() ? answer.address6 : answer.address);
  if (!certificate.empty()) fmt::print("  certificate: {}\n", certificate);
  fmt::print("  profile: {}\n  try it:  warren run {} -- ping -c 1 {}\n", joined.conf_path,
             joined.profile, answer.gateway.empty() ? answer.gateway6 : answer.gateway);
  return {};
}

/// Conflict while this host is in the network: its key would be gone under it.
base::Status check_not_up(const Invocation& invocation, const std::string& profile) {
  for (const auto& link : hostlink::list_links(hostlink::directory_in(invocation.run_dir))) {
    if (link.run.profile != profile) continue;
    return base::make_error(base::ErrorKind::Conflict, "leave " + profile + ": it is up",
                            "end it first: warren down " + link.run.name);
  }
  return {};
}

/// Conflict while a run of this profile lives: its key would be gone under it.
base::Status check_no_run(const std::string& directory, const std::string& profile) {
  const auto runtime = netns::runtime_directory();
  if (!runtime) return {};  // then nothing runs either
  WARREN_TRY_ASSIGN(const auto runs, netns::list_runs(*runtime));
  for (const netns::RunStatus& run : runs) {
    if (run.profile != profile && run.profile != client::profile_paths(directory, profile).conf) {
      continue;
    }
    const std::string pid = std::to_string(run.pid);
    return base::make_error(
        base::ErrorKind::Conflict,
        fmt::format("leave {}: the run {} uses it (pid {})", profile, run.name, pid),
        "end it first: warren stop " + run.name);
  }
  return {};
}

struct LeaveChoice {
  std::string profile;
  bool keep = false;   ///< the files stay
  bool force = false;  ///< remove them although the gateway does not know
};

/// The gateway puts us out; what it said, for people. An error only where that may still be done.
base::Result<std::string> tell_gateway(const std::string& directory, const LeaveChoice& choice) {
  WARREN_TRY_ASSIGN(const auto note, client::read_note(directory, choice.profile));
  const client::ProfilePaths paths = client::profile_paths(directory, choice.profile);
  if (!note) {
    return base::make_error(base::ErrorKind::NotFound,
                            ::access(paths.conf.c_str(), F_OK) == 0
                                ? paths.conf + " was not made by warren join, so it stays"
                                : "there is no profile '" + choice.profile + "' in " + directory,
                            "warren status lists the profiles");
  }
  auto text = os::read_file(paths.conf, model::kMaxConfBytes);
  if (!text) return std::move(text).error();
  const auto conf = model::WgConf::parse(*text, paths.conf);
  model::wipe_text(*text);
  if (!conf) return base::Error(conf.error());
  WARREN_TRY_ASSIGN(const client::Membership membership, client::make_membership(*conf, *note));
  const auto left = client::leave(membership);
  if (left)
    return fmt::format("{} left {}: the gateway knows it no more", left->name, left->network);
  if (left.error().final)
    return "the gateway did not know us any more: " + left.error().error.message;
  return left.error().error;
}

base::Status leave(const Invocation& invocation, const LeaveChoice& choice) {
  WARREN_TRY_ASSIGN(const std::string directory, client::profile_directory());
  WARREN_TRY(client::check_profile_name(choice.profile));
  WARREN_TRY(check_not_up(invocation, choice.profile));
  WARREN_TRY(check_no_run(directory, choice.profile));
  auto told = tell_gateway(directory, choice);
  if (!told && (!choice.force || told.error().kind == base::ErrorKind::NotFound)) {
    base::Error error = std::move(told).error();
    if (error.kind == base::ErrorKind::NotFound) return error;
    error.hint =
        "try again later, or remove key and profile here alone with --force; the gateway's "
        "administrator then ends it with: warren revoke";
    return std::move(error).within("leave " + choice.profile +
                                   ": the gateway was not told, so nothing was removed");
  }
  const client::ProfilePaths paths = client::profile_paths(directory, choice.profile);
  std::vector<std::string> removed;
  if (!choice.keep) {
    WARREN_TRY_ASSIGN(removed, client::remove_profile(directory, choice.profile));
  }
  if (invocation.json) {
    print_line(nlohmann::ordered_json{
        {"schema", 1},
        {"profile", choice.profile},
        {"gateway_told", told.has_value()},
        {"removed",
         removed}}.dump());
    return {};
  }
  fmt::print("{}\n", told ? *told : "the gateway was not told: " + told.error().message);
  for (const std::string& path : removed) fmt::print("removed: {}\n", path);
  if (choice.keep) fmt::print("kept:    {}\n", paths.conf);
  return {};
}

}  // namespace

void add_join_command(CLI::App& app, Invocation& invocation) {
  struct Given {
    std::string token;
    std::string profile;
  };
  auto given = std::make_shared<Given>();
  CLI::App* command = app.add_subcommand(
      "join", "Join a network with a token: makes a key here and writes a profile");
  command->add_option("TOKEN", given->token,
                      "the token; - reads it from standard input, without it WARREN_TOKEN is used");
  command->add_option("--profile", given->profile,
                      "the name of the profile; the network's name by default");
  command->footer(
      "An argument is visible to other users of the machine while the command runs; - is not.\n"
      "Example: warren join - < token.txt");
  command->callback(
      [&invocation, given] { finish(invocation, join(invocation, given->token, given->profile)); });

  auto left = std::make_shared<LeaveChoice>();
  CLI::App* leave_command = app.add_subcommand(
      "leave", "Leave a network: tell its gateway, and remove key and profile from this machine");
  leave_command->add_option("PROFILE", left->profile, "the profile")->required();
  leave_command->add_flag("--keep", left->keep, "do not remove key and profile");
  leave_command->add_flag("--force", left->force,
                          "remove them here even when the gateway cannot be told");
  leave_command->footer("Example: warren leave lab");
  leave_command->callback([&invocation, left] { finish(invocation, leave(invocation, *left)); });
}

}  // namespace warren::app
