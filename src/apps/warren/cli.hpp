// What every command of the `warren` program shares: global options, exit codes, how an error is
// shown. Each `*_command.cpp` registers its subcommands on the CLI11 app with an add_* function
// declared here; main.cpp calls them all.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/App.hpp>

#include "base/result.hpp"

namespace warren::app {

/// Exit codes of every command but `run`, which gives the child's.
enum ExitCode : int {
  kDone = 0,
  kFailed = 1,
  kUsage = 2,
  kNotRunning = 3,
  kNotPermitted = 4,
  kNotFound = 5,
  kConflict = 6,
  kRunFailed = 125,
  kCannotExecute = 126,
  kCommandNotFound = 127,
};

/// The state of one invocation. Subcommand callbacks set `exit_code`.
struct Invocation {
  bool json = false;
  bool verbose = false;
  std::string state_dir = "/var/lib/warren";
  std::string run_dir = "/run/warren";
  std::string remote;  ///< the gateway that is meant; empty: as `warren remote use` says
  std::vector<std::string>
      command;  ///< what follows the `--` of `run` and its like, as it was given
  int exit_code = kDone;

  /// The daemon's API socket.
  [[nodiscard]] std::string socket_path() const { return run_dir + "/warren.sock"; }
};

/// Prints "warren: MESSAGE" and "  hint: …" to standard error (with --json: one JSON object
/// {"schema":1,"error":{"kind","message","hint"}} on standard output) and gives the exit code of
/// the error's kind.
int report(const Invocation& invocation, const base::Error& error);

/// What --version says.
std::string version_text();
/// What this program does before anything else.
void enter_program();
/// Becomes the program warren-gateway, with the same arguments, when the words name one of its
/// commands; an exit code when that is not installed. Nothing in warren-gateway itself.
std::optional<int> leave_to_gateway(Invocation& invocation, std::span<const std::string> words,
                                    char** argv);

void add_daemon_command(CLI::App& app, Invocation& invocation);
void add_network_commands(CLI::App& app, Invocation& invocation);
/// On `warren network`.
void add_network_change_commands(CLI::App& network, Invocation& invocation);
void add_network_inside_commands(CLI::App& network, Invocation& invocation);
void add_role_commands(CLI::App& app, Invocation& invocation);
void add_env_command(CLI::App& app, Invocation& invocation);
void add_policy_commands(CLI::App& app, Invocation& invocation);
void add_verify_command(CLI::App& app, Invocation& invocation);
void add_forward_commands(CLI::App& app, Invocation& invocation);
void add_peer_commands(CLI::App& app, Invocation& invocation);
/// `peer add|set-key|rename` and `peer export`, below `peer`.
void add_peer_by_hand_commands(CLI::App& peer, Invocation& invocation);
void add_peer_export_command(CLI::App& peer, Invocation& invocation);
void add_join_command(CLI::App& app, Invocation& invocation);
void add_run_command(CLI::App& app, Invocation& invocation);
/// `up` and `down`.
void add_up_commands(CLI::App& app, Invocation& invocation);
void add_proxy_command(CLI::App& app, Invocation& invocation);
void add_attach_commands(CLI::App& app, Invocation& invocation);
void add_ps_commands(CLI::App& app, Invocation& invocation);
void add_doctor_command(CLI::App& app, Invocation& invocation);
/// `doctor certificates`.
void add_certificate_doctor(CLI::App& doctor, Invocation& invocation);
void add_ca_commands(CLI::App& app, Invocation& invocation);
/// A PEM file (`-`: standard input), for an error called `what`.
base::Result<std::string> read_pem(const std::string& path, const std::string& what);
/// The files of an authority that is brought; those that are not given stay absent.
base::Status read_authority(const std::string& certificate, const std::string& key,
                            std::optional<std::string>& certificates_pem,
                            std::optional<std::string>& key_pem);
void add_cleanup_command(CLI::App& app, Invocation& invocation);
void add_audit_command(CLI::App& app, Invocation& invocation);
/// `apply`, `diff` and `export`.
void add_apply_commands(CLI::App& app, Invocation& invocation);
/// `backup` and `restore`.
void add_backup_commands(CLI::App& app, Invocation& invocation);
void add_status_commands(CLI::App& app, Invocation& invocation);
void add_token_commands(CLI::App& app, Invocation& invocation);
void add_remote_commands(CLI::App& app, Invocation& invocation);
void add_events_command(CLI::App& app, Invocation& invocation);

}  // namespace warren::app
