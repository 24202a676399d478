// The `warren` program: one CLI11 application to which every *_command.cpp adds its subcommands.

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "apps/warren/cli.hpp"
#include "apps/warren/directories.hpp"
#include "apps/warren/text.hpp"

namespace warren::app {
namespace {

/// Commands that another program's follows, behind `--`.
constexpr std::array<std::string_view, 4> kWithCommand = {"run", "proxy", "attach", "exec"};

/// The innermost subcommand that was recognised, and its full name.
struct Innermost {
  const CLI::App* app;
  std::string name;
};
Innermost innermost(const CLI::App& app) {
  Innermost found{.app = &app, .name = "warren"};
  while (true) {
    const auto parsed = found.app->get_subcommands();
    if (parsed.empty()) return found;
    found.app = parsed.front();
    found.name += " " + parsed.front()->get_name();
  }
}

std::vector<std::string> subcommand_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* child : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(child->get_name());
  }
  return names;
}

/// What people type from habit, and what it is called here.
std::string habit(std::string_view word) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kHabits{{
      {"exec", "attach"},
      {"enter", "attach"},
      {"kill", "stop"},
      {"ls", "network list"},
      {"list", "network list"},
      {"version", "--version"},
  }};
  const auto* found = std::ranges::find(kHabits, word, [](const auto& pair) { return pair.first; });
  return found == kHabits.end() ? std::string() : std::string(found->second);
}

base::Error unknown_command(const Innermost& at, const std::string& word,
                            const std::vector<std::string>& known) {
  std::string suggestion = at.name == "warren" ? habit(word) : std::string();
  if (suggestion.empty()) suggestion = nearest(word, known);
  const std::string see = "see: " + at.name + " --help";
  return base::make_error(
      base::ErrorKind::Invalid,
      (at.name == "warren" ? "" : at.name + ": ") + "there is no command '" + word + "'",
      suggestion.empty() ? see : "did you mean: " + at.name + " " + suggestion + "? Else " + see);
}

/// Says what is wrong, which command it concerns, and the nearest word to a mistyped one.
int report_usage(const CLI::App& app, Invocation& invocation, const CLI::ParseError& error,
                 const std::vector<std::string>& words) {
  invocation.json = invocation.json || std::ranges::find(words, "--json") != words.end();
  const Innermost at = innermost(app);
  const std::vector<std::string> known = subcommand_names(*at.app);
  const std::vector<std::string> unread = app.remaining(true);
  const auto unknown =
      std::ranges::find_if(unread, [](const auto& word) { return !word.starts_with('-'); });
  if (!known.empty() && unknown != unread.end()) {
    return report(invocation, unknown_command(at, *unknown, known));
  }
  std::string message = error.what();
  // Said first: the word behind an unknown option counts as one argument too many.
  const auto option =
      std::ranges::find_if(unread, [](const auto& word) { return word.starts_with('-'); });
  if (option != unread.end()) message = "there is no option '" + *option + "'";
  if (at.app != &app) message = at.name + ": " + message;
  std::string hint = "see: " + at.name + " --help";
  const std::string_view command = std::string_view(at.name).substr(at.name.rfind(' ') + 1);
  const bool has_command = std::ranges::find(kWithCommand, command) != kWithCommand.end();
  const bool takes_words = !unread.empty() && !unread.front().starts_with('-');
  if (has_command && takes_words && invocation.command.empty()) {
    hint = "put -- before the command that is to run: -- " + unread.front() + "; else " + hint;
  }
  return report(invocation, base::make_error(base::ErrorKind::Invalid, message, hint));
}

/// `warren help [COMMAND...]`: as --help, but a command that does not exist is an error.
int show_help(const CLI::App& app, Invocation& invocation, std::span<const std::string> names) {
  Innermost at{.app = &app, .name = "warren"};
  for (const std::string& name : names) {
    if (name == "--json") invocation.json = true;
    if (name.starts_with('-')) continue;
    const auto found =
        at.app->get_subcommands([&](const CLI::App* child) { return child->check_name(name); });
    if (found.empty()) {
      return report(invocation, unknown_command(at, name, subcommand_names(*at.app)));
    }
    at = {.app = found.front(), .name = at.name + " " + found.front()->get_name()};
  }
  // help() puts the name of the command itself behind those of its parents.
  fmt::print("{}", at.app->help(at.app == &app ? "" : at.name.substr(0, at.name.rfind(' '))));
  return kDone;
}

/// What stands behind `help`, where that is the command; nullopt where it is not.
std::optional<std::span<const std::string>> asks_for_help(Invocation& invocation,
                                                          std::span<const std::string> words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "help") return words.subspan(i + 1);
    if (!words[i].starts_with('-')) return std::nullopt;
    if (words[i] == "--json") invocation.json = true;
    if (words[i] == "--state-dir" || words[i] == "--run-dir" || words[i] == "--remote") ++i;
  }
  return std::nullopt;
}

void add_global_options(CLI::App& app, Invocation& invocation) {
  app.set_help_flag("-h,--help", "Show this help");
  app.set_version_flag("--version", version_text, "Show the version");
  app.add_flag("--json", invocation.json, "Print one JSON document instead of text");
  app.add_flag("-v,--verbose", invocation.verbose, "Say more about what is done");
  app.add_option("--state-dir", invocation.state_dir, "The daemon's state")
      ->envname("WARREN_STATE_DIR")
      ->capture_default_str();
  app.add_option("--remote", invocation.remote, "The gateway that is meant: see warren remote")
      ->envname("WARREN_REMOTE");
  app.add_option("--run-dir", invocation.run_dir, "The daemon's sockets")
      ->envname("WARREN_RUN_DIR")
      ->capture_default_str();
}

/// Cuts what follows `--` in a `run`, `proxy`, `attach` or `exec`: it belongs to another program,
/// and nothing of it is interpreted (CLI11 would take "[a,b]" for a list).
std::vector<std::string> take_command(std::vector<std::string>& words) {
  const auto dashes = std::ranges::find(words, "--");
  if (std::find_first_of(words.begin(), dashes, kWithCommand.begin(), kWithCommand.end()) ==
          dashes ||
      dashes == words.end()) {
    return {};
  }
  std::vector<std::string> command(dashes + 1, words.end());
  words.erase(dashes, words.end());
  return command;
}

/// An error where `--remote` is given to a command that is about this host.
std::optional<base::Error> misplaced_remote(std::span<const std::string> words) {
  constexpr std::array<std::string_view, 15> kAboutThisHost = {
      "run",  "proxy",  "attach", "ps",      "stop",   "join",    "leave", "up",
      "down", "daemon", "config", "cleanup", "backup", "restore", "net"};
  const auto end = std::ranges::find(words, "--");
  const bool remote = std::any_of(words.begin(), end, [](const std::string& word) {
    return word == "--remote" || word.starts_with("--remote=");
  });
  if (!remote) return std::nullopt;
  for (auto word = words.begin(); word != end; ++word) {
    if (*word == "--state-dir" || *word == "--run-dir" || *word == "--remote") {
      if (++word == end) break;
      continue;
    }
    if (word->starts_with('-')) continue;
    const bool doctor_run = *word == "doctor" && word + 1 != end && *(word + 1) == "run";
    if (!doctor_run && std::ranges::find(kAboutThisHost, *word) == kAboutThisHost.end()) break;
    return base::make_error(base::ErrorKind::Invalid,
                            "warren " + *word + (doctor_run ? " run" : "") +
                                " is about this host, not about a remote one",
                            "leave --remote out, or log in there");
  }
  return std::nullopt;
}

int run_program(int argc, char** argv) {
  Invocation invocation;
  enter_program();
  choose_directories(invocation);
  if (const auto error = misplaced_remote(std::vector<std::string>(argv + 1, argv + argc))) {
    return report(invocation, *error);
  }
  if (const auto code =
          leave_to_gateway(invocation, std::vector<std::string>(argv + 1, argv + argc), argv)) {
    return *code;
  }
  CLI::App app("Private networks for machines, containers, VMs and people", "warren");
  app.require_subcommand(1);
  app.fallthrough();  // --json and its like may follow the subcommand
  add_global_options(app, invocation);
  add_daemon_command(app, invocation);
  add_network_commands(app, invocation);
  add_role_commands(app, invocation);
  add_policy_commands(app, invocation);
  add_env_command(app, invocation);
  add_forward_commands(app, invocation);
  add_ca_commands(app, invocation);
  add_peer_commands(app, invocation);
  add_join_command(app, invocation);
  add_run_command(app, invocation);
  add_up_commands(app, invocation);
  add_proxy_command(app, invocation);
  add_attach_commands(app, invocation);
  add_ps_commands(app, invocation);
  add_doctor_command(app, invocation);
  add_status_commands(app, invocation);
  add_events_command(app, invocation);
  add_token_commands(app, invocation);
  add_remote_commands(app, invocation);
  add_verify_command(app, invocation);
  add_apply_commands(app, invocation);
  add_backup_commands(app, invocation);
  // Last: subcommands inherit what is set before they exist.
  app.footer(
      "Start here: warren daemon, warren network create, warren invite, warren join, "
      "warren run\nMore: warren help COMMAND, man warren");
  std::vector<std::string> words(argv + 1, argv + argc);
  invocation.command = take_command(words);
  if (const auto behind = asks_for_help(invocation, words)) {
    return show_help(app, invocation, *behind);
  }
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
      return app.exit(error);  // --help, --version
    }
    return report_usage(app, invocation, error, words);
  }
  return invocation.exit_code;
}

}  // namespace
}  // namespace warren::app

int main(int argc, char** argv) { return warren::app::run_program(argc, argv); }
