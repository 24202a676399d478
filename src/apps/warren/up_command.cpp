// `warren up` and `warren down`: this host itself in a network.
//
// Theory of operation. `up` forks once. The child becomes the network's supervisor in a session of
// its own, and tells over a pipe what people should read, then an end mark and either nothing (all
// is in place) or the error; the parent prints that and returns. After that the child writes to its
// log. With --foreground there is no child: a service manager is told by sd_notify.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "api/json.hpp"
#include "apps/warren/ask.hpp"
#include "apps/warren/cli.hpp"
#include "apps/warren/run_config.hpp"
#include "apps/warren/text.hpp"
#include "hostlink/directory.hpp"
#include "hostlink/links.hpp"
#include "hostlink/supervisor.hpp"
#include "os/clock.hpp"
#include "os/detach.hpp"
#include "os/fd.hpp"
#include "os/service_notice.hpp"

namespace warren::app {

namespace {

using base::ErrorKind;
using base::make_error;
using nlohmann::ordered_json;

constexpr char kEndOfNotices = 0;
constexpr std::size_t kMaxReport = 64 << 10;

struct UpArguments {
  std::string profile;
  std::string wait_ready;
  bool foreground = false;
  bool no_follow = false;
};

base::Status check_root(const std::string& command, const std::string& profile) {
  if (geteuid() == 0) return {};
  return make_error(ErrorKind::NotPermitted,
                    command + " changes this host's network, so it is for root",
                    "sudo " + command + " " + profile + "; `warren run " + profile +
                        " -- COMMAND` needs no root");
}

std::string ready_text(const Invocation& invocation, const hostlink::LinkFacts& facts) {
  std::vector<std::string> addresses;
  for (const base::Prefix& address : facts.addresses) addresses.push_back(address.to_string());
  if (invocation.json) {
    return ordered_json{{"schema", 1},
                        {"name", facts.name},
                        {"pid", getpid()},
                        {"addresses", addresses},
                        {"all_traffic", facts.all_traffic},
                        {"dns", facts.names}}
        .dump();
  }
  return fmt::format("{} is up: {} (process {}{}{})", facts.name, join_words(addresses), getpid(),
                     facts.names == "none" ? "" : ", DNS by " + facts.names,
                     facts.all_traffic ? ", all traffic" : "");
}

void write_log(const std::string& text) {
  fmt::print(stderr, "{} warren: {}\n", moment(os::wall_now().ns / 1'000'000'000), text);
  std::fflush(stderr);
}

base::Result<hostlink::LinkConfig> make_config(const Invocation& invocation,
                                               const UpArguments& arguments) {
  WARREN_TRY(check_root("warren up", arguments.profile));
  RunArguments run;
  run.profile = arguments.profile;
  run.wait_ready = arguments.wait_ready;
  run.no_follow = arguments.no_follow;
  run.end_when_revoked = true;  // that is told, and nothing ends
  WARREN_TRY_ASSIGN(LinkProfile profile, make_link_profile(run));
  hostlink::LinkConfig config;
  config.run = std::move(profile.run);
  config.table = profile.table;
  config.directory = hostlink::directory_in(invocation.run_dir);
  return config;
}

base::Status up_in_foreground(const Invocation& invocation, hostlink::LinkConfig config) {
  config.notice = [](const std::string& text) { fmt::print(stderr, "warren: {}\n", text); };
  config.on_ready = [&](const hostlink::LinkFacts& facts) {
    print_line(ready_text(invocation, facts));
    std::fflush(stdout);
    if (const auto told = os::notify_service_manager("READY=1"); !told) {
      fmt::print(stderr, "warren: {}\n", told.error().message);
    }
  };
  return hostlink::run_link(std::move(config));
}

void say(const os::Fd& pipe, const std::string& text) {
  std::ignore = write(pipe.get(), text.data(), text.size());
}

[[noreturn]] void be_supervisor(const Invocation& invocation, hostlink::LinkConfig config,
                                os::Fd pipe) {
  const std::string log = hostlink::LinkFiles(config.directory, config.run.name).log;
  config.log = log;
  config.notice = [&](const std::string& text) {
    if (pipe) return say(pipe, "warren: " + text + "\n");
    write_log(text);
  };
  config.on_detachable = [&] { return os::detach_from_terminal(log); };
  config.on_ready = [&](const hostlink::LinkFacts& facts) {
    say(pipe, kEndOfNotices + ready_text(invocation, facts));
    pipe.reset();
  };
  if (chdir("/") < 0) write_log("the root directory cannot be entered");
  const base::Status status = hostlink::run_link(std::move(config));
  if (!status && pipe) say(pipe, std::string(2, kEndOfNotices) + api::encode_error(status.error()));
  if (!status && !pipe) write_log(status.error().message);
  std::exit(status ? kDone : kFailed);
}

/// What the supervisor says until it is ready, or gave up.
std::string read_report(const os::Fd& pipe) {
  std::string text;
  std::array<char, 4096> room;
  while (text.size() < kMaxReport) {
    const ssize_t got = read(pipe.get(), room.data(), room.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(room.data(), static_cast<std::size_t>(got));
  }
  return text;
}

base::Status tell(const std::string& report) {
  const std::size_t end = std::min(report.find(kEndOfNotices), report.size());
  fmt::print(stderr, "{}", report.substr(0, end));
  if (end == report.size()) {
    return make_error(ErrorKind::Failed, "the supervisor ended while it started",
                      "`warren down` undoes what it did");
  }
  const std::string rest = report.substr(end + 1);
  if (!rest.starts_with(kEndOfNotices)) {
    print_line(rest);
    return {};
  }
  return api::decode_error(rest.substr(1))
      .value_or(make_error(ErrorKind::Failed, "the network could not be joined",
                           "its log says more, and `warren up --foreground` everything"));
}

base::Status up_detached(const Invocation& invocation, hostlink::LinkConfig config) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return base::os_error("create a pipe");
  const os::Fd from(ends[0]);
  os::Fd to(ends[1]);
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) return base::os_error("create a process for the network");
  if (config.run.follower) config.run.follower->set_owner(child == 0 ? getpid() : child);
  if (child == 0) be_supervisor(invocation, std::move(config), std::move(to));
  to.reset();
  return tell(read_report(from));
}

base::Status up(const Invocation& invocation, const UpArguments& arguments) {
  WARREN_TRY_ASSIGN(auto config, make_config(invocation, arguments));
  return arguments.foreground ? up_in_foreground(invocation, std::move(config))
                              : up_detached(invocation, std::move(config));
}

/// "lab" of "lab" and of "/etc/wireguard/lab.conf".
std::string link_name(const std::string& profile) {
  std::string name = profile.substr(profile.rfind('/') + 1);
  if (name.ends_with(".conf")) name.resize(name.size() - std::string_view(".conf").size());
  return name;
}

base::Status down(const Invocation& invocation, const std::string& profile) {
  WARREN_TRY(check_root("warren down", profile));
  const std::string name = link_name(profile);
  WARREN_TRY_ASSIGN(const bool killed,
                    hostlink::take_down(hostlink::directory_in(invocation.run_dir), name));
  print_line(invocation.json
                 ? ordered_json{{"schema", 1}, {"name", name}, {"was_killed", killed}}.dump()
                 : name + " is down" +
                       (killed ? ": removed what its killed supervisor had left" : ""));
  return {};
}

}  // namespace

void add_up_commands(CLI::App& app, Invocation& invocation) {
  const auto arguments = std::make_shared<UpArguments>();
  CLI::App* up_command = app.add_subcommand(
      "up", "Join this host itself to a network: link, routes, name servers (as root)");
  up_command
      ->add_option("PROFILE", arguments->profile,
                   "A profile's name (~/.config/warren/NAME.conf) or a WireGuard conf file")
      ->required();
  up_command
      ->add_option(
          "--wait-ready", arguments->wait_ready,
          "Return after the first handshake; undo all when there is none within 10s, 2m, …")
      ->check([](const std::string& text) {
        return parse_wait_s(text) ? std::string()
                                  : "`" + text + "` is not a time span from 1s to 1h (10s, 2m)";
      });
  up_command->add_flag("-f,--foreground", arguments->foreground,
                       "Stay, and undo all at SIGTERM or SIGINT: for a service manager");
  up_command->add_flag("--no-follow", arguments->no_follow,
                       "Do not ask the gateway for changes of routes, name servers and endpoint");
  up_command->footer(
      "Returns when all is in place; `warren down PROFILE` undoes it, also after a kill -9.\n"
      "Example: warren up lab");
  up_command->callback(
      [&invocation, arguments] { finish(invocation, up(invocation, *arguments)); });

  const auto profile = std::make_shared<std::string>();
  CLI::App* down_command =
      app.add_subcommand("down", "Take this host out of a network that `up` joined it to");
  down_command->add_option("PROFILE", *profile, "As it was given to up, or the link's name")
      ->required();
  down_command->footer(
      "Nothing of the network is left on the host; key and profile stay (`warren leave` removes "
      "them).\nExample: warren down lab");
  down_command->callback(
      [&invocation, profile] { finish(invocation, down(invocation, *profile)); });
}

}  // namespace warren::app
