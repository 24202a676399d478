// `warren network exec` and `warren network capture`: a namespace must not hide a network from its
// operator.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "apps/warren/ask.hpp"
#include "apps/warren/cli.hpp"
#include "apps/warren/text.hpp"
#include "hostnet/capture.hpp"
#include "os/fd.hpp"
#include "os/own_place.hpp"
#include "os/signals.hpp"

namespace warren::app {
namespace {

using base::ErrorKind;
using base::make_error;

base::Error needs_root(base::Error error) {
  if (error.os_errno != EPERM && error.os_errno != EACCES) return error;
  error.kind = ErrorKind::NotPermitted;
  return std::move(error).with_hint("run it as root");
}

/// Inside a network names are what its gateway answers: its resolv.conf in place of the host's, for
/// this process and its children alone.
base::Status use_names(const Invocation& invocation, const api::NetworkView& network) {
  if (!network.names || network.stopped) return {};
  const std::string file = invocation.run_dir + "/names/" + network.interface_name + "/resolv.conf";
  const bool done = ::unshare(CLONE_NEWNS) == 0 &&
                    ::mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) == 0 &&
                    ::mount(file.c_str(), "/etc/resolv.conf", nullptr, MS_BIND, nullptr) == 0;
  return done ? base::Status() : base::os_error("put " + file + " over /etc/resolv.conf");
}

/// Returns only when the program could not be started.
int execute_inside(const Invocation& invocation, const std::string& name) {
  if (const auto here = check_here(invocation, "network exec"); !here) {
    report(invocation, here.error());
    return kRunFailed;
  }
  const auto network = daemon_of(invocation).show_network(name);
  base::Status entered;
  if (network) entered = os::enter_own_place(invocation.run_dir);
  if (network && entered) entered = hostnet::enter_namespace(network->netns);
  if (!network || !entered) {
    report(invocation, network ? needs_root(entered.error()) : network.error());
    return kRunFailed;
  }
  if (const auto named = use_names(invocation, *network); !named) {
    fmt::print(stderr, "warren: warning: names are the host's: {}\n", named.error().message);
  }
  std::vector<std::string> words = invocation.command;
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execvp(argv.front(), argv.data());
  const bool missing = errno == ENOENT;
  report(invocation, base::os_error("execute " + words.front()));
  return missing ? kCommandNotFound : kCannotExecute;
}

struct CaptureArguments {
  std::string network, peer, file;
  std::uint64_t count = 0;
  std::uint32_t seconds = 0;
};

base::Result<os::Fd> open_output(const std::string& file) {
  if (file == "-") return os::Fd(STDOUT_FILENO);
  // What is inside a tunnel is for its owner's eyes.
  os::Fd out(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!out) return base::os_error("write " + file);
  return out;
}

base::Result<hostnet::CaptureOptions> capture_options(const Invocation& invocation,
                                                      const CaptureArguments& given) {
  WARREN_TRY(check_here(invocation, "network capture"));
  const client::Daemon daemon = daemon_of(invocation);
  WARREN_TRY_ASSIGN(const auto network, daemon.show_network(given.network));
  hostnet::CaptureOptions options{.netns = network.netns,
                                  .link = network.interface_name,
                                  .only = {},
                                  .count = std::nullopt,
                                  .at_most = std::nullopt};
  if (given.count != 0) options.count = given.count;
  if (given.seconds != 0) options.at_most = std::chrono::seconds(given.seconds);
  if (given.peer.empty()) return options;
  WARREN_TRY_ASSIGN(const auto peer, daemon.show_peer(given.network, given.peer));
  for (const std::string& text : {peer.address, peer.address6}) {
    if (const auto address = base::IpAddress::parse(text)) options.only.push_back(*address);
  }
  if (!options.only.empty()) return options;
  return make_error(ErrorKind::Conflict, given.peer + " has no address (it is " + peer.state + ")",
                    "`warren peer list " + given.network + "` shows who has one");
}

base::Status capture(const Invocation& invocation, const CaptureArguments& given) {
  WARREN_TRY_ASSIGN(const auto options, capture_options(invocation, given));
  // Before the socket is there: a signal ends the capture, not the file in its middle.
  WARREN_TRY_ASSIGN(const auto signals, os::SignalQueue::create({SIGINT, SIGTERM, SIGHUP}));
  WARREN_TRY(os::enter_own_place(invocation.run_dir));
  auto socket = hostnet::open_capture(options);
  if (!socket) return needs_root(std::move(socket).error().within("capture"));
  WARREN_TRY_ASSIGN(const os::Fd out, open_output(given.file));
  fmt::print(stderr, "capturing network {} on {}; Ctrl-C ends it\n", given.network, options.link);
  WARREN_TRY_ASSIGN(const auto report,
                    hostnet::capture(*socket, options, out, signals.descriptor()));
  fmt::print(stderr, "{} packets captured, {} dropped\n", report.packets, report.dropped);
  return {};
}

void add_exec(CLI::App& network, Invocation& invocation) {
  CLI::App* command =
      network.add_subcommand("exec", "Run a program on the gateway, inside a network's namespace");
  auto name = std::make_shared<std::string>();
  command->add_option("NAME", *name, "the network")->required();
  command->footer(
      "Usage: warren network exec NAME -- COMMAND [ARGUMENT...]\n"
      "Needs root, or the user whose gateway it is. Exit code: the program's; 125 warren failed, "
      "126 it cannot be executed, 127 not "
      "found.\n"
      "Example: warren network exec lab -- ip route");
  command->callback([&invocation, name] {
    if (!invocation.command.empty()) {
      invocation.exit_code = execute_inside(invocation, *name);
      return;
    }
    report(invocation,
           make_error(ErrorKind::Invalid, "warren network exec: there is no command to run",
                      "name it after --, for example: warren network exec lab -- ip route"));
    invocation.exit_code = kUsage;
  });
}

void add_capture(CLI::App& network, Invocation& invocation) {
  CLI::App* command = network.add_subcommand(
      "capture", "Write what passes a network, decrypted, to a file for tcpdump or Wireshark");
  auto given = std::make_shared<CaptureArguments>();
  command->add_option("NAME", given->network, "the network")->required();
  command->add_option("--peer", given->peer, "only packets from or to this peer");
  command->add_option("-w,--write", given->file, "the pcap file, or - for standard output")
      ->required();
  command->add_option("--count", given->count, "end after so many packets")
      ->check(CLI::PositiveNumber);
  command->add_option("--seconds", given->seconds, "end after this time")
      ->check(CLI::Range(1U, 366U * 24 * 3600));
  command->footer(
      "Needs root, or the user whose gateway it is. Without --count and --seconds it ends with "
      "Ctrl-C.\n"
      "Example: warren network capture lab --peer laptop -w lab.pcap --seconds 30");
  command->callback([&invocation, given] { finish(invocation, capture(invocation, *given)); });
}

}  // namespace

void add_network_inside_commands(CLI::App& network, Invocation& invocation) {
  add_exec(network, invocation);
  add_capture(network, invocation);
}

}  // namespace warren::app
