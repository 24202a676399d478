// Theory of operation
//
// One thread owns everything. Control calls come from the listeners (coroutines on the same
// context) and from the timers here, so nothing is locked. What may take long is bounded by
// limits.hpp.
//
// The daemon is replaceable at any moment: desired state is in the store, engines and kernel
// objects live without it, and start() finds them again. So stopping is just returning from run().
#include "gateway/daemon.hpp"

#include <csignal>
#include <set>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include "gateway/daemon_log.hpp"
#include "gateway/default_endpoint.hpp"
#include "gateway/delay_timer.hpp"
#include "gateway/engine_supervisor.hpp"
#include "gateway/limits.hpp"
#include "gateway/names_supervisor.hpp"
#include "gateway/privileges.hpp"
#include "gateway/read_watch.hpp"
#include "gateway/state_directory.hpp"
#include "hostnet/host_net.hpp"
#include "os/clock.hpp"
#include "os/file.hpp"
#include "os/service_notice.hpp"

namespace warren::gateway {

using base::LogLevel;

namespace {

class SystemClock final : public control::Clock {
 public:
  [[nodiscard]] base::Instant now() const override { return os::now(); }
  [[nodiscard]] base::WallTime wall() const override { return os::wall_now(); }
};

base::Status check_option(const char* name, const std::optional<std::string>& value,
                          std::string (*wrong)(const std::string&)) {
  const std::string why = value ? wrong(*value) : "";
  if (why.empty()) return {};
  return base::make_error(base::ErrorKind::Invalid, std::string(name) + ": " + why,
                          "see: warren daemon --help");
}

base::Result<Settings> effective_settings(const DaemonOptions& options) {
  WARREN_TRY(check_option("--endpoint", options.endpoint, wrong_endpoint));
  WARREN_TRY(check_option("--enrol-listen", options.enrol_listen, wrong_listen));
  WARREN_TRY(check_option("--admin-listen", options.admin_listen, wrong_listen));
  WARREN_TRY_ASSIGN(Settings settings, load_settings(options.settings_file));
  if (options.log_level) settings.log.level = *options.log_level;
  if (options.endpoint) settings.endpoint = *options.endpoint;
  if (options.enrol_listen) settings.enrol_listen = *options.enrol_listen;
  if (options.admin_listen) settings.admin_listen = *options.admin_listen;
  return settings;
}

}  // namespace

struct Daemon::Impl {
  Impl(boost::asio::io_context& context, DaemonOptions given, Settings loaded,
       StateDirectory directory)
      : io(context),
        options(std::move(given)),
        settings(std::move(loaded)),
        state(std::move(directory)),
        signals(io),
        retry_timer(io),
        change_timer(io),
        audit_timer(io) {}

  base::Status open(const StoreFactory& open_store);
  base::Status watch_network();
  void watch_signals();
  void retry_later();
  void forget_old_records();
  base::Result<std::vector<std::string>> reload();
  [[nodiscard]] control::Settings control_settings();
  [[nodiscard]] static std::uint16_t port_of(const std::string& listen, std::uint16_t got);
  void say(LogLevel level, const std::string& message) { log.write(level, "gateway", message); }

  boost::asio::io_context& io;
  DaemonOptions options;
  Settings settings;
  StateDirectory state;
  DaemonLog log;
  os::SystemRandom random;
  SystemClock clock;
  pki::Identity identity;
  std::uint16_t enrol_port = 0;
  std::uint16_t admin_port = 0;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<hostnet::HostNet> host;
  std::unique_ptr<EngineSupervisor> engines;
  std::unique_ptr<NameSupervisor> names;
  std::unique_ptr<control::Control> control;
  std::optional<os::Rtnl> changes;
  ReadWatch changes_watch;
  boost::asio::signal_set signals;
  DelayTimer retry_timer;
  DelayTimer change_timer;
  DelayTimer audit_timer;
};

base::Status Daemon::Impl::open(const StoreFactory& open_store) {
  WARREN_TRY(log.set(settings.log));
  WARREN_TRY_ASSIGN(const std::string instance, state.instance(random));
  WARREN_TRY_ASSIGN(identity, state.identity());
  WARREN_TRY_ASSIGN(store, open_store(state.database()));
  WARREN_TRY_ASSIGN(
      host, hostnet::HostNet::open({.instance = instance, .state_file = state.host_records()}));
  WARREN_TRY(os::make_directories(options.run_dir, 0755));
  WARREN_TRY_ASSIGN(std::string program, find_engine_program());
  engines = std::make_unique<EngineSupervisor>(EngineEnvironment{
      .io = io, .log = log, .run_dir = options.run_dir, .program = std::move(program)});
  names = std::make_unique<NameSupervisor>(io, log, options.run_dir);
  control = std::make_unique<control::Control>(control::Control::Dependencies{.store = *store,
                                                                              .host = *host,
                                                                              .engines = *engines,
                                                                              .clock = clock,
                                                                              .random = random,
                                                                              .log = log,
                                                                              .names = names.get()},
                                               control_settings());
  names->set_zones([this](model::NetworkId id) { return control->name_zone(id); });
  return {};
}

control::Settings Daemon::Impl::control_settings() {
  control::Settings out;
  out.transit = settings.transit;
  out.first_port = settings.first_port;
  out.last_port = settings.last_port;
  out.identity_pin = identity.pin;
  out.state_dir = options.state_dir;
  out.endpoint_host = settings.endpoint;
  if (out.endpoint_host.empty()) {
    const auto found = default_endpoint();
    if (found && *found)
      out.endpoint_host = (*found)->to_string();
    else
      say(LogLevel::Warning,
          "no default route tells this host's address: set `endpoint` in the settings, or give "
          "--endpoint to each network");
  }
  out.enrol_at = settings.enrol_endpoint;
  out.enrol_port = port_of(settings.enrol_listen, enrol_port);
  const std::uint16_t port = port_of(settings.admin_listen, admin_port);
  if (!settings.admin_listen.empty()) out.admin_at = settings.admin_endpoint;
  if (port != 0 && out.admin_at.empty() && !out.endpoint_host.empty()) {
    const bool colons = out.endpoint_host.find(':') != std::string::npos;
    out.admin_at =
        (colons ? "[" + out.endpoint_host + "]" : out.endpoint_host) + ":" + std::to_string(port);
  }
  return out;
}

std::uint16_t Daemon::Impl::port_of(const std::string& listen, std::uint16_t got) {
  const auto at = base::HostPort::parse(listen);
  return got != 0 || !at ? got : at->port;
}

base::Status Daemon::Impl::watch_network() {
  WARREN_TRY_ASSIGN(changes, os::Rtnl::open());
  WARREN_TRY(changes->subscribe());
  return changes_watch.start(io, changes->descriptor(), [this] {
    const auto changed = changes->drain_changes();
    if (!changed) return say(LogLevel::Warning, changed.error().message);
    if (!*changed || change_timer.is_set()) return;
    change_timer.set(kNetworkChangeDelay, [this] { engines->notify_network_changed(); });
  });
}

void Daemon::Impl::watch_signals() {
  signals.async_wait([this](const boost::system::error_code& error, int number) {
    if (error) return;
    if (number == SIGHUP) {
      (void)reload();  // it has told the log
      return watch_signals();
    }
    say(LogLevel::Info, "stopping; engines go on (warren cleanup removes them)");
    io.stop();
  });
}

void Daemon::Impl::retry_later() {
  retry_timer.set(kRetryPending, [this] {
    control->retry_pending();
    names->look_at_resolvers();
    retry_later();
  });
}

void Daemon::Impl::forget_old_records() {
  audit_timer.set(kForgetAudit, [this] { forget_old_records(); });
  if (settings.audit_keep_s == 0) return;
  const auto forgotten = control->forget_audit(std::chrono::seconds(settings.audit_keep_s));
  if (!forgotten) {
    say(LogLevel::Error, forgotten.error().message);
  } else if (*forgotten != 0) {
    say(LogLevel::Info, "forgot " + std::to_string(*forgotten) + " records of the audit");
  }
}

base::Result<std::vector<std::string>> Daemon::Impl::reload() {
  auto fresh = effective_settings(options);
  base::Status applied;
  if (fresh)
    applied = log.set(fresh->log);
  else
    applied = fresh.error();
  if (!applied) {
    say(LogLevel::Error, "settings not reloaded: " + applied.error().message);
    return std::move(applied).error();
  }
  std::vector<std::string> at_next_start;
  const auto keep = [&](const char* key, std::string Settings::* value) {
    if ((*fresh).*value == settings.*value) return;
    say(LogLevel::Warning, std::string(key) + " changes when the daemon is started again");
    at_next_start.emplace_back(key);
    (*fresh).*value = settings.*value;
  };
  keep("enrol.listen", &Settings::enrol_listen);
  keep("admin.listen", &Settings::admin_listen);
  settings = std::move(*fresh);
  control->set_settings(control_settings());
  forget_old_records();
  say(LogLevel::Info, "settings reloaded");
  return at_next_start;
}

Daemon::Daemon(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Daemon::~Daemon() = default;

base::Result<std::unique_ptr<Daemon>> Daemon::create(boost::asio::io_context& io,
                                                     DaemonOptions options,
                                                     const StoreFactory& open_store) {
  WARREN_TRY_ASSIGN(Settings settings, effective_settings(options));
  WARREN_TRY(keep_needed_capabilities());
  raise_descriptor_limit();
  std::signal(SIGPIPE, SIG_IGN);  // a log reader that went away must not end the daemon
  auto state = StateDirectory::open(options.state_dir);
  if (!state) return std::move(state).error().within("run the daemon");
  auto impl =
      std::make_unique<Impl>(io, std::move(options), std::move(settings), std::move(*state));
  if (auto opened = impl->open(open_store); !opened) {
    impl->state.discard_if_made();
    return std::move(opened).error().within("run the daemon");
  }
  return std::unique_ptr<Daemon>(new Daemon(std::move(impl)));
}

base::Status Daemon::start() {
  WARREN_TRY_ASSIGN(const store::State wanted, impl_->store->load());
  std::set<model::NetworkId> networks;
  std::set<model::NetworkId> with_names;
  for (const auto& [id, stored] : wanted.networks) {
    if (stored.network.stopped) continue;
    networks.insert(id);
    if (stored.network.names) with_names.insert(id);
  }
  if (auto ended = impl_->engines->end_unwanted(networks); !ended)
    impl_->say(LogLevel::Error, ended.error().message);
  if (auto ended = impl_->names->end_unwanted(with_names); !ended)
    impl_->say(LogLevel::Error, ended.error().message);
  WARREN_TRY(impl_->control->start());
  return impl_->watch_network();
}

void Daemon::run() {
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
    boost::system::error_code error;
    if (impl_->signals.add(number, error))
      impl_->say(LogLevel::Error, "cannot wait for signal " + std::to_string(number));
  }
  impl_->watch_signals();
  impl_->retry_later();
  impl_->forget_old_records();
  const auto tell = [this](std::string_view state) {
    if (auto told = os::notify_service_manager(state); !told)
      impl_->say(LogLevel::Warning, told.error().message);
  };
  tell("READY=1");
  impl_->say(LogLevel::Info, "ready");
  impl_->io.run();
  tell("STOPPING=1");
}

base::Result<std::vector<std::string>> Daemon::reload() { return impl_->reload(); }
void Daemon::abandon() { impl_->state.discard_if_made(); }
control::Control& Daemon::control() { return *impl_->control; }
base::Log& Daemon::log() { return impl_->log; }
const Settings& Daemon::settings() const { return impl_->settings; }
const pki::Identity& Daemon::identity() const { return impl_->identity; }

void Daemon::set_enrol_port(std::uint16_t port) {
  impl_->enrol_port = port;
  impl_->control->set_settings(impl_->control_settings());
}

void Daemon::set_admin_port(std::uint16_t port) {
  impl_->admin_port = port;
  impl_->control->set_settings(impl_->control_settings());
}

}  // namespace warren::gateway
