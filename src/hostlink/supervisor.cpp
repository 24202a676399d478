// Theory of operation
//
// One process per network, the opener of its engine, as the supervisor of a run is:
//
//   turn → lock name and key → look for what is in the way → journal
//   UDP, engine, tun → the engine takes its configuration → addresses, routes, rules, names → ready
//
// Each thing that outlives this process is in the journal before it is done. The end, a failure on
// the way and `warren down` after a kill all undo the same file, so there is one way back.
//
// The tun outlives everybody: when an engine dies its successor gets the same one, and when the
// supervisor is killed too, link and routes stay and packets stop, instead of leaving by the host's
// own way. An engine that ends again and again is tried again for ever, for the same reason.
//
// The gateway's changes come from a process of their own (netns::FollowerHost) and are applied to
// what is there; a step of these that fails is told in the log, and the others are done.
#include "hostlink/supervisor.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "hostlink/directory.hpp"
#include "hostlink/host_network.hpp"
#include "hostlink/journal.hpp"
#include "hostlink/limits.hpp"
#include "hostlink/links.hpp"
#include "hostlink/wake.hpp"
#include "netns/engine_host.hpp"
#include "netns/follower_host.hpp"
#include "netns/runtime_dir.hpp"
#include "os/clock.hpp"
#include "os/file.hpp"
#include "os/loop.hpp"
#include "os/process.hpp"
#include "os/resident.hpp"
#include "os/signals.hpp"
#include "services/host_names.hpp"

namespace warren::hostlink {

namespace {

using services::Names;
using services::NameService;

using base::ErrorKind;
using base::make_error;

/// Where wg(8) looks for userspace interfaces.
constexpr const char* kSocketDirectory = "/var/run/wireguard";

class Supervisor {
 public:
  explicit Supervisor(LinkConfig config)
      : config_(std::move(config)), files_(config_.directory, config_.run.name) {}
  base::Status run();

 private:
  base::Status start();
  base::Status claim();
  base::Status make_network();
  base::Status start_engine();
  base::Status watch_all();
  base::Status handle_configured();
  void wait_for_handshake();
  void be_ready();
  void handle_engine_failure(base::Error error);
  void revive_engine();
  void handle_news(netns::RunNews news);
  void handle_link_change();
  base::Status tell_names(const Names& names);
  base::Status tell_state();
  [[nodiscard]] LinkPlan plan() const;
  [[nodiscard]] std::string socket_path() const {
    return std::string(kSocketDirectory) + "/" + config_.run.name + ".sock";
  }
  [[nodiscard]] Names names() const;
  [[nodiscard]] bool takes_everything() const;  ///< a default route, of either family
  [[nodiscard]] std::string names_by() const;
  void notice(const std::string& text);
  void fail(base::Error error);
  base::Status clean_up();

  LinkConfig config_;
  LinkFiles files_;
  std::optional<Turn> turn_;
  std::optional<netns::RunLock> lock_;
  std::optional<Journal> journal_;
  std::optional<HostNetwork> network_;
  std::optional<os::SignalQueue> signals_;
  std::optional<os::Rtnl> changes_;
  std::unique_ptr<os::Loop> loop_;
  std::unique_ptr<netns::EngineHost> engine_;
  std::optional<netns::FollowerHost> follower_;
  std::optional<NameService> name_service_;
  std::optional<Names> told_names_;
  std::vector<std::uint32_t> taken_tables_;
  std::uint16_t port_ = 0;
  std::uint32_t mark_ = 0;
  base::Instant ready_before_{};
  std::string condition_ = "starting";
  std::int64_t since_s_ = 0;
  bool ready_ = false;
  bool done_ = false;
  std::optional<base::Error> failure_;
};

void Supervisor::notice(const std::string& text) {
  if (config_.notice) config_.notice(text);
}

void Supervisor::fail(base::Error error) {
  if (!failure_) failure_ = std::move(error);
  done_ = true;
}

// --- the start ---

base::Status Supervisor::claim() {
  netns::RunConfig& run = config_.run;
  WARREN_TRY_ASSIGN(auto states, netns::live_states(config_.directory));
  for (netns::RunState& state : states) {
    if (const auto table = base::parse_number(state["table"], 1, UINT32_MAX)) {
      taken_tables_.push_back(static_cast<std::uint32_t>(*table));
    }
    if (state["name"] != run.name) continue;
    return make_error(ErrorKind::Conflict,
                      run.name + " is up already (process " + state["pid"] + ")",
                      "warren status shows it; warren down " + run.name + " ends it");
  }
  WARREN_TRY_ASSIGN(const bool left, undo_leftovers(config_.directory, run.name));
  if (left) notice("removed what a killed `warren up " + run.name + "` had left");
  WARREN_TRY_ASSIGN(auto lock, netns::RunLock::acquire({.directory = config_.directory,
                                                        .name = run.name,
                                                        .key = run.public_key,
                                                        .holder = netns::LockHolder::Host}));
  lock_.emplace(std::move(lock));
  since_s_ = os::wall_now().ns / 1'000'000'000;
  return tell_state();
}

base::Status Supervisor::make_network() {
  WARREN_TRY_ASSIGN(auto journal, Journal::create(files_.journal));
  journal_.emplace(std::move(journal));
  WARREN_TRY_ASSIGN(auto network, HostNetwork::open(config_.run.name, taken_tables_, *journal_));
  network_.emplace(std::move(network));
  mark_ = config_.run.engine.fwmark.value_or(0);
  if (mark_ == 0) mark_ = network_->free_table();
  config_.run.engine.fwmark = mark_;
  WARREN_TRY(network_->check(plan()));
  return tell_state();
}

base::Status Supervisor::start_engine() {
  netns::RunConfig& run = config_.run;
  engine_ = std::make_unique<netns::EngineHost>(
      *loop_, run, socket_path(),
      [this] {
        if (base::Status set = handle_configured(); !set) fail(std::move(set).error());
      },
      [this](base::Error error) { handle_engine_failure(std::move(error)); });
  WARREN_TRY(engine_->start());
  port_ = engine_->port();
  // The next engine, and the next after a time without one, is to be found at the same port.
  run.engine.listen_port = port_;
  return {};
}

base::Status Supervisor::start() {
  WARREN_TRY_ASSIGN(auto signals, os::SignalQueue::create({SIGTERM, SIGINT, SIGHUP}));
  signals_.emplace(std::move(signals));
  WARREN_TRY_ASSIGN(auto turn, Turn::take(config_.directory));
  turn_.emplace(std::move(turn));
  WARREN_TRY(claim());
  if (config_.on_detachable) WARREN_TRY(config_.on_detachable());
  WARREN_TRY_ASSIGN(loop_, os::Loop::create());
  WARREN_TRY(make_network());
  WARREN_TRY(os::make_directories(kSocketDirectory, 0755));
  WARREN_TRY(journal_->add({.kind = Deed::Kind::Socket, .name = socket_path()}));
  WARREN_TRY(start_engine());
  WARREN_TRY_ASSIGN(os::Fd tun, network_->make_link(config_.run.mtu));
  engine_->handle_tun(std::move(tun));
  return watch_all();
}

base::Status Supervisor::watch_all() {
  WARREN_TRY_ASSIGN(auto changes, os::Rtnl::open());
  WARREN_TRY(changes.subscribe());
  changes_.emplace(std::move(changes));
  WARREN_TRY(loop_->watch(changes_->descriptor(), [this](os::Ready) { handle_link_change(); }));
  return loop_->watch(signals_->descriptor(), [this](os::Ready) {
    const auto signal = signals_->poll();
    if (signal && *signal != SIGHUP) done_ = true;
  });
}

base::Status Supervisor::handle_configured() {
  if (ready_) {  // a successor after a time without an engine
    condition_ = "up";
    return tell_state();
  }
  WARREN_TRY(network_->apply(plan(), false));
  WARREN_TRY(tell_names(names()));
  turn_.reset();  // waiting for a handshake keeps nobody else from the host
  if (!config_.run.wait_ready) {
    be_ready();
    return {};
  }
  ready_before_ = os::now() + *config_.run.wait_ready;
  wait_for_handshake();
  return {};
}

void Supervisor::wait_for_handshake() {
  wake(config_.run.name, config_.run.echo_target);
  netns::RunStatus self;
  self.uapi_path = socket_path();
  const auto traffic = netns::traffic_of(self, kEngineAnswer);
  if (traffic && traffic->last_handshake.ns != 0) return be_ready();
  if (os::now() >= ready_before_) {
    return fail(make_error(
        ErrorKind::Unavailable, config_.run.name + " is not ready: no handshake with its peer yet",
        "check Endpoint, that UDP reaches it, and that both sides know each other's public key"));
  }
  loop_->at(os::now() + kReadyInterval, [this] {
    if (!done_) wait_for_handshake();
  });
}

void Supervisor::be_ready() {
  condition_ = "up";
  if (base::Status told = tell_state(); !told) return fail(std::move(told).error());
  if (config_.on_ready) {
    config_.on_ready({.name = config_.run.name,
                      .addresses = config_.run.addresses,
                      .names = names_by(),
                      .all_traffic = takes_everything()});
  }
  ready_ = true;
  wake(config_.run.name,
       config_.run.echo_target);  // so that the session is there when somebody needs it
  follower_.emplace(*loop_, config_.run,
                    [this](netns::RunNews news) { handle_news(std::move(news)); });
  std::ignore = follower_->start();  // without it the network goes on as it is
  loop_->at(os::now() + kSettled, [] { os::release_memory(); });
}

// --- names ---

std::string Supervisor::names_by() const {
  if (!name_service_) return "none";
  return name_service_->kind == NameService::Kind::Resolved ? "resolved" : "resolvconf";
}

bool Supervisor::takes_everything() const {
  return std::ranges::any_of(config_.run.routes,
                             [](const base::Prefix& route) { return route.length == 0; });
}

Names Supervisor::names() const {
  return {.servers = config_.run.dns_servers,
          .search = config_.run.dns_search,
          .all_names = config_.run.dns_search.empty() || takes_everything()};
}

/// Names that cannot be set are no failure: addresses work. It is said.
base::Status Supervisor::tell_names(const Names& names) {
  if (told_names_ == names) return {};
  told_names_ = names;
  if (names.servers.empty()) {
    if (name_service_) std::ignore = clear_names(*name_service_, kProgramPatience);
    name_service_.reset();
    return {};
  }
  auto service = services::find_name_service(config_.run.name);
  if (!service) {
    notice("DNS was not changed: neither systemd-resolved nor resolvconf is on this host; ask " +
           names.servers[0].to_string() + " by hand, or install resolvconf");
    return {};
  }
  const auto kind =
      service->kind == NameService::Kind::Resolved ? Deed::Kind::Resolved : Deed::Kind::Resolvconf;
  WARREN_TRY(journal_->add({.kind = kind, .name = service->record}));
  if (const base::Status set = set_names(*service, names, kProgramPatience); !set) {
    notice("DNS was not changed: " + set.error().message);
    std::ignore = clear_names(*service, kProgramPatience);
    told_names_.reset();  // what is new next is a reason to try again
    return {};
  }
  name_service_ = std::move(service);
  return {};
}

// --- while it is up ---

LinkPlan Supervisor::plan() const {
  const netns::RunConfig& run = config_.run;
  PlanInput input{.addresses = run.addresses,
                  .routes = run.routes,
                  .endpoints = {},
                  .mtu = run.mtu,
                  .table = config_.table,
                  .own_table = network_->free_table(),
                  .mark = mark_,
                  .port = port_};
  for (const ipc::UapiPeer& peer : run.engine.peers) {
    if (peer.endpoint) input.endpoints.push_back(peer.endpoint->address);
  }
  return make_plan(input);
}

/// The gateway changed something, or put us out.
void Supervisor::handle_news(netns::RunNews news) {
  netns::RunConfig& run = config_.run;
  if (news.end) {
    condition_ = news.end->message;
    notice(condition_ + "; the link stays, and its packets go nowhere");
    std::ignore = tell_state();
    return;
  }
  netns::take_peers(news, run.engine.peers);
  engine_->update(news.peers);
  if (news.changed) {
    run.addresses = std::move(news.addresses);
    run.routes = std::move(news.routes);
    run.mtu = news.mtu;
    if (news.dns_servers) run.dns_servers = std::move(*news.dns_servers);
    if (news.dns_search) run.dns_search = std::move(*news.dns_search);
  }
  const auto turn = Turn::take(config_.directory);
  if (const base::Status set = network_->apply(plan(), true); !set) {
    notice("not all of what the gateway changed could be done: " + set.error().message);
  }
  std::ignore = tell_names(names());
  std::ignore = tell_state();
}

void Supervisor::handle_link_change() {
  std::ignore = changes_->drain_changes();  // an overrun means "something changed", too
  if (!network_->has_link()) {
    return fail(make_error(ErrorKind::Failed, "the interface " + config_.run.name +
                                                  " was removed; the rest is undone"));
  }
  engine_->notify(ipc::NetworkChanged{});
}

void Supervisor::handle_engine_failure(base::Error error) {
  if (!ready_) return fail(std::move(error));
  condition_ = "no engine: " + error.message;
  notice(condition_ + "; the next try is in a few seconds, packets stop until then");
  std::ignore = tell_state();
  loop_->at(os::now() + kEnginePause, [this] { revive_engine(); });
}

void Supervisor::revive_engine() {
  engine_.reset();
  auto tun = network_->hold_link();
  base::Status started = tun ? start_engine() : base::Status(tun.error());
  if (!started) return handle_engine_failure(std::move(started).error());
  engine_->handle_tun(std::move(*tun));
}

base::Status Supervisor::tell_state() {
  const netns::RunConfig& run = config_.run;
  WARREN_TRY_ASSIGN(const std::uint64_t started, os::process_start_time(getpid()));
  std::string addresses;
  for (const base::Prefix& address : run.addresses) {
    addresses += (addresses.empty() ? "" : ",") + address.to_string();
  }
  netns::RunState state = {{"schema", "1"},
                           {"name", run.name},
                           {"profile", run.profile},
                           {"pid", std::to_string(getpid())},
                           {"start_time", std::to_string(started)},
                           {"addresses", addresses},
                           {"since", std::to_string(since_s_)},
                           {"net", "up"},
                           {"public_key", run.public_key.base64()},
                           {"uapi", socket_path()},
                           {"condition", condition_},
                           {"names", names_by()}};
  if (network_) state["table"] = std::to_string(network_->free_table());
  return netns::write_state(files_.state, state);
}

// --- the end ---

base::Status Supervisor::clean_up() {
  follower_.reset();
  engine_.reset();
  base::Status undone;
  if (lock_) {  // else it is another's
    if (!turn_) {
      auto turn = Turn::take(config_.directory);
      if (turn) turn_.emplace(std::move(*turn));
    }
    if (journal_) undone = undo(files_.journal);
    if (!config_.log.empty()) unlink(config_.log.c_str());
    lock_.reset();
  }
  turn_.reset();
  return undone;
}

base::Status Supervisor::run() {
  base::Status status = start();
  if (!status) fail(std::move(status).error());
  while (!done_) {
    if (base::Status turned = loop_->run_once(std::nullopt); !turned) {
      fail(std::move(turned).error());
    }
  }
  base::Status undone = clean_up();
  if (failure_) return std::move(*failure_);
  return undone;
}

}  // namespace

base::Status run_link(LinkConfig config) { return Supervisor(std::move(config)).run(); }

}  // namespace warren::hostlink
