// warren-engine: the data plane of one WireGuard interface.
//
//   warren-engine [-f] wg0        a drop-in for wireguard-go: makes the interface by itself
//   warren-engine --opener-fd 3   started by the daemon or a run, which hands it its descriptors
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <thread>

#include "apps/warren-engine/standalone.hpp"
#include "apps/warren-engine/stderr_log.hpp"
#include "crypto/crypto.hpp"
#include "engine/engine.hpp"
#include "engine/features.hpp"
#include "engine/limits.hpp"
#include "engine/sandbox.hpp"
#include "os/tun.hpp"
#include "os/udp.hpp"

namespace {

using warren::app::StderrLog;

struct Arguments {
  std::string interface_name;
  bool foreground = false;
  bool features = false;
  int opener_fd = -1;
  int ready_fd = -1;
};

int show(const warren::base::Error& error) {
  fmt::print(stderr, "warren-engine: {}\n", error.message);
  if (!error.hint.empty()) fmt::print(stderr, "  hint: {}\n", error.hint);
  return 1;
}

/// A number from 1 to `most` that the environment may have under `name`.
warren::base::Result<std::optional<std::size_t>> number_from_environment(const char* name,
                                                                         std::size_t most,
                                                                         std::string_view else_) {
  const char* text = std::getenv(name);
  if (text == nullptr) return std::nullopt;
  if (const auto number = warren::base::parse_number(text, 1, most)) return *number;
  return warren::base::make_error(warren::base::ErrorKind::Invalid,
                                  fmt::format("{}={} is no number", name, text),
                                  fmt::format("give 1 to {}, or nothing: {}", most, else_));
}

/// WARREN_WORKERS=N: always that many, where the opener has them. WARREN_QUIET_SECONDS=N: how long
/// it must be quiet before one of those that the load called leaves.
warren::base::Result<warren::engine::Engine::Options> options_from_environment() {
  constexpr std::size_t kLongestQuiet_s = 86400;
  warren::engine::Engine::Options options;
  WARREN_TRY_ASSIGN(const auto workers,
                    number_from_environment("WARREN_WORKERS", warren::engine::kMaxWorkers,
                                            "then the load decides"));
  if (workers) options.min_workers = options.max_workers = *workers;
  WARREN_TRY_ASSIGN(const auto quiet_s, number_from_environment("WARREN_QUIET_SECONDS",
                                                                kLongestQuiet_s, "half a minute"));
  if (quiet_s) options.quiet_for = std::chrono::seconds(*quiet_s);
  return options;
}

warren::base::Status run_engine(int opener_fd, StderrLog& log) {
  using warren::engine::Engine;
  WARREN_TRY_ASSIGN(const auto options, options_from_environment());
  WARREN_TRY_ASSIGN(const auto engine, Engine::create(warren::os::Fd(opener_fd), log, options));
  log.set_interface(engine->interface_name());
  WARREN_TRY_ASSIGN(const auto report,
                    warren::engine::enter_sandbox([&] { return engine->start_crew(); }));
  log.write(
      warren::base::LogLevel::Debug, "engine",
      fmt::format("sandboxed: seccomp, no capability{}{}{}",
                  report.changed_user ? ", user nobody" : "",
                  report.changed_root ? ", empty root" : "", report.landlock ? ", Landlock" : ""));
  return engine->run();
}

/// What of this host an engine would use.
int show_features() {
  namespace base = warren::base;
  namespace engine = warren::engine;
  namespace os = warren::os;
  const auto tun = os::open_tun({.name = "wrfeature%d", .offloads = true});
  fmt::print("tun: {}\n", tun ? engine::to_text(tun->offloads)
                              : "not known without a tun (" + tun.error().message + ")");
  for (const auto& [name, family] : {std::pair{"v4", base::Family::V4}, {"v6", base::Family::V6}}) {
    std::string text;
    if (const auto socket = os::open_udp({.family = family, .buffer_bytes = 4096}); !socket) {
      text = "none (" + socket.error().message + ")";
    } else if (const auto offloads = os::enable_udp_offloads(*socket); offloads) {
      text = engine::to_text(*offloads);
    } else {
      text = offloads.error().message;
    }
    fmt::print("udp {}: {}\n", name, text);
  }
  fmt::print("aead: {}\n", warren::crypto::aead_implementation());
  fmt::print("workers: at most {}\n",
             std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, engine::kMaxWorkers));
  return 0;
}

warren::base::Status run(const Arguments& arguments, StderrLog& log) {
  if (arguments.opener_fd >= 0) return run_engine(arguments.opener_fd, log);
  WARREN_TRY(warren::app::check_interface_name(arguments.interface_name));
  if (!arguments.foreground) {
    return warren::app::start_in_background(arguments.interface_name, log);
  }
  return warren::app::run_standalone(
      {.interface_name = arguments.interface_name, .ready_fd = arguments.ready_fd}, log);
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{"A WireGuard interface in user space."};
  app.set_version_flag("--version", "warren-engine " WARREN_VERSION);
  app.footer(
      "Configure the interface with wg(8); it ends when the interface or its socket is removed.\n"
      "LOG_LEVEL=verbose|error|silent decides what goes to standard error.\n"
      "WARREN_WORKERS=N keeps N threads at work; without it their number follows the load.");
  app.add_option("INTERFACE", arguments.interface_name, "Name of the interface to make");
  app.add_flag("-f,--foreground", arguments.foreground, "Stay in the foreground");
  app.add_flag("--features", arguments.features, "Show what this host offers to an engine");
  app.add_option("--opener-fd", arguments.opener_fd,
                 "Socket of the opener that started this engine");
  app.add_option("--ready-fd", arguments.ready_fd)->group("");
  CLI11_PARSE(app, argc, argv);
  if (arguments.features) return show_features();
  if (arguments.interface_name.empty() == (arguments.opener_fd < 0)) {
    fmt::print(stderr, "warren-engine: name an interface, for example: warren-engine wg0\n");
    return 2;
  }
  StderrLog log = StderrLog::from_environment();
  const warren::base::Status status = run(arguments, log);
  return status ? 0 : show(status.error());
}
