// warren-engine: the data plane of one WireGuard interface.
//
//   warren-engine [-f] wg0        a drop-in for wireguard-go: makes the interface by itself
//   warren-engine --opener-fd 3   started by the daemon or a run, which hands it its descriptors
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "apps/warren-engine/standalone.hpp"
#include "apps/warren-engine/stderr_log.hpp"
#include "engine/engine.hpp"
#include "engine/sandbox.hpp"

namespace {

using warren::app::StderrLog;

struct Arguments {
  std::string interface_name;
  bool foreground = false;
  int opener_fd = -1;
  int ready_fd = -1;
};

int show(const warren::base::Error& error) {
  fmt::print(stderr, "warren-engine: {}\n", error.message);
  if (!error.hint.empty()) fmt::print(stderr, "  hint: {}\n", error.hint);
  return 1;
}

warren::base::Status run_engine(int opener_fd, StderrLog& log) {
  using warren::engine::Engine;
  WARREN_TRY_ASSIGN(const auto engine, Engine::create(warren::os::Fd(opener_fd), log));
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
      "LOG_LEVEL=verbose|error|silent decides what goes to standard error.");
  app.add_option("INTERFACE", arguments.interface_name, "Name of the interface to make");
  app.add_flag("-f,--foreground", arguments.foreground, "Stay in the foreground");
  app.add_option("--opener-fd", arguments.opener_fd,
                 "Socket of the opener that started this engine");
  app.add_option("--ready-fd", arguments.ready_fd)->group("");
  CLI11_PARSE(app, argc, argv);
  if (arguments.interface_name.empty() == (arguments.opener_fd < 0)) {
    fmt::print(stderr, "warren-engine: name an interface, for example: warren-engine wg0\n");
    return 2;
  }
  StderrLog log = StderrLog::from_environment();
  const warren::base::Status status = run(arguments, log);
  return status ? 0 : show(status.error());
}
