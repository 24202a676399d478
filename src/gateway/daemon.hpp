// Daemon: the running gateway, put together from its parts, on one Asio thread.
//
// Order: settings, lock, log, instance, identity, store, host, engines, control. The listeners are
// another module's: `warren daemon` opens them once start() has applied every denial.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "base/result.hpp"
#include "control/control.hpp"
#include "gateway/settings.hpp"
#include "pki/identity.hpp"
#include "store/store.hpp"

namespace boost::asio {
class io_context;
}

namespace warren::gateway {

struct DaemonOptions {
  std::string settings_file = kDefaultSettingsFile;
  std::string state_dir = "/var/lib/warren";
  std::string run_dir = "/run/warren";
  // These stand above the settings file.
  std::optional<base::LogLevel> log_level;
  std::optional<std::string> endpoint;
  std::optional<std::string> enrol_listen;
  std::optional<std::string> admin_listen;
};

/// Opens the store at a path (gateway knows only the interface).
using StoreFactory =
    std::function<base::Result<std::unique_ptr<store::Store>>(const std::string& path)>;

class Daemon {
 public:
  /// Takes the state's lock and everything below it. Errors: Conflict (another daemon, named by its
  /// pid), NotPermitted (not root), Invalid (settings). `io` outlives the daemon.
  [[nodiscard]] static base::Result<std::unique_ptr<Daemon>> create(boost::asio::io_context& io,
                                                                    DaemonOptions options,
                                                                    const StoreFactory& open_store);
  /// Engines and kernel objects stay: traffic goes on.
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  /// Ends unwanted engines, then brings up every network (control::Control::start).
  [[nodiscard]] base::Status start();
  /// Runs the context until SIGTERM or SIGINT; SIGHUP reloads. Tells the service manager.
  void run();

  /// Reads the settings again, and gives the keys that changed and count at the next start only.
  /// An error leaves the former settings in force.
  [[nodiscard]] base::Result<std::vector<std::string>> reload();
  /// It could not serve: a state that this start made goes again with the daemon.
  void abandon();

  [[nodiscard]] control::Control& control();
  [[nodiscard]] base::Log& log();
  [[nodiscard]] const Settings& settings() const;
  [[nodiscard]] const pki::Identity& identity() const;
  /// The port that the enrolment listener got, where the settings leave it open (port 0).
  void set_enrol_port(std::uint16_t port);
  /// The same of the listener for administration.
  void set_admin_port(std::uint16_t port);

 private:
  struct Impl;
  explicit Daemon(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace warren::gateway
