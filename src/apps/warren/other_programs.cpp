// What `warren` leaves to the program warren-gateway beside it: `warren daemon` and all that needs
// the gateway's libraries (SQLite, nftables, conntrack, YAML, archives, QR codes). `warren` itself,
// which thousands of runs keep in memory and which is carried to foreign machines, is one static
// file without them. Whoever types such a command gets the other program in the same process; it
// knows every command of this one, too. Where it is not installed, these commands say so.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <string>
#include <string_view>

#include <CLI/CLI.hpp>

#include "apps/warren/cli.hpp"
#include "os/name_service.hpp"
#include "os/process.hpp"

namespace warren::app {
namespace {

constexpr std::string_view kGateway = "/warren-gateway";

/// What a program beside this one brings.
struct Part {
  std::string_view file;
  std::string_view brings;
};
constexpr std::array kParts = {
    Part{kGateway,
         "daemon, config check, cleanup, peer export, apply, diff, export, backup, restore"},
    Part{"/warren-openconnect", "run openconnect://"},
    Part{"/warren-stack", "proxy"},
};

bool is_here(const std::string& directory, std::string_view file) {
  return ::access((directory + std::string(file)).c_str(), X_OK) == 0;
}

/// The words that name the command: no options, none of their values, no leading `help`.
std::array<std::string_view, 2> command_words(std::span<const std::string> words) {
  std::array<std::string_view, 2> found;
  std::size_t count = 0;
  bool value_follows = false;
  for (const std::string& word : words) {
    if (std::exchange(value_follows,
                      word == "--state-dir" || word == "--run-dir" || word == "--remote")) {
      value_follows = false;
      continue;
    }
    if (word == "--" || count == found.size()) break;
    if (word.starts_with('-') || (count == 0 && word == "help")) continue;
    found[count++] = word;
  }
  return found;
}

bool belongs_to_gateway(std::span<const std::string> words) {
  const auto [first, second] = command_words(words);
  return first == "daemon" || first == "config" || first == "cleanup" || first == "apply" ||
         first == "diff" || first == "export" || first == "backup" || first == "restore" ||
         (first == "peer" && second == "export");
}

CLI::App* add_named(CLI::App& app, const char* name, const char* text) {
  return app.add_subcommand(name, text)->prefix_command();
}

}  // namespace

std::string version_text() {
  const auto directory = os::program_directory();
  const std::string text = "warren " WARREN_VERSION;
  if (directory && is_here(*directory, kGateway)) return text;
  std::string missing;
  for (const Part& part : kParts) {
    if (directory && is_here(*directory, part.file)) continue;
    missing += (missing.empty() ? "" : ", ") + std::string(part.brings);
  }
  return text + " portable (without: " + missing + ")";
}

void enter_program() {
#ifdef WARREN_STATIC_PROGRAM
  os::use_own_name_services();
#endif
}

std::optional<int> leave_to_gateway(Invocation& invocation, std::span<const std::string> words,
                                    char** argv) {
  if (!belongs_to_gateway(words)) return std::nullopt;
  const auto directory = os::program_directory();
  if (!directory) return report(invocation, directory.error());
  ::execv((*directory + std::string(kGateway)).c_str(), argv);
  if (errno != ENOENT)
    return report(invocation, base::os_error("start " + *directory + "/warren-gateway"));
  invocation.json = std::ranges::find(words, "--json") != words.end();
  const auto [first, second] = command_words(words);
  const std::string name = std::string(first) + (first == "peer" ? " " + std::string(second) : "");
  return report(
      invocation,
      base::make_error(
          base::ErrorKind::NotFound,
          "this warren is the member's program alone: it leaves out `warren " + name + "`",
          "install warren on the gateway; `warren --version` says what "
          "is left out here"));
}

// These are for --help, for the nearest word to a mistyped one, and for completion; who names
// them has left before they are parsed.
void add_daemon_command(CLI::App& app, Invocation&) {
  add_named(app, "daemon", "Serve networks: the gateway");
  add_named(app, "config", "The daemon's settings");
}

void add_cleanup_command(CLI::App& app, Invocation&) {
  add_named(app, "cleanup",
            "Remove everything of a stopped gateway from this host; its state stays");
}

void add_backup_commands(CLI::App& app, Invocation&) {
  add_named(app, "backup", "Write the whole gateway into one file; its daemon may run");
  add_named(app, "restore", "Make a state directory what a backup says; its daemon is stopped");
}

void add_apply_commands(CLI::App& app, Invocation&) {
  add_named(app, "apply",
            "Make networks what a file says: networks, roles, policy, peers, forwards");
  add_named(app, "diff", "Show what apply would change; exit code 1 if there is something");
  add_named(app, "export", "Write networks as a file that apply understands");
}

void add_peer_export_command(CLI::App& peer, Invocation&) {
  add_named(peer, "export", "Write what a program that cannot join is configured with");
}

}  // namespace warren::app
